"""What each figure shows: in the paper, and what to look for here (captions.toml)."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Caption:
    """Of one figure or table.

    Attributes
    ----------
    stem
        Of its files; figures drawn once a data set have its name added after a hyphen.
    see
        What to look for, and how to read it.
    data
        File below reports/.
    paper
        What the paper shows there; empty for what is not in the paper.
    claims
        The claims that it belongs to.
    """

    stem: str
    title: str
    see: str
    data: str
    paper: str = ""
    claims: Sequence[str] = ()


_TEXT = Path(__file__).with_name("captions.toml").read_text(encoding="utf-8")
CAPTIONS = tuple(Caption(**entry) for entry in tomllib.loads(_TEXT)["caption"])
