"""Which images of a large data set are taken."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from aopc.base.errors import InputError


@dataclass(frozen=True)
class Subset:
    """So many images of a data set, by a rule that looks at their names only: the order in which an archive or a
    folder yields them does not matter.

    Attributes
    ----------
    rule
        "first": the first in the order of names. "sample": those whose name, hashed with the seed, comes first,
        which is a random sample without replacement.

    Examples
    --------
    >>> Subset(2, "first").of(["b", "c", "a"])
    ['a', 'b']
    """

    count: int
    rule: Literal["first", "sample"]
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"the number of images must be at least 1; got {self.count}")

    @property
    def identity(self) -> list[str | int]:
        """What the subset is determined by."""
        return [self.count, self.rule, *([self.seed] if self.rule == "sample" else [])]

    def rank(self, image_id: str) -> bytes:
        """The images with the lowest ranks are taken."""
        if self.rule == "first":
            return image_id.encode()
        return hashlib.blake2b(json.dumps([self.seed, "subset", image_id]).encode(), digest_size=16).digest()

    def of(self, image_ids: Iterable[str]) -> list[str]:
        """The subset of these images, in the order of names; all, where there are fewer."""
        return sorted(sorted(image_ids, key=self.rank)[: self.count])
