"""What each figure shows: in the paper, and what to look for here (captions.toml)."""

import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Caption:
    """Of one figure or table.

    Attributes
    ----------
    stem
        Of its files; figures drawn once a data set have its name added after a hyphen.
    title
        With the paper's number, where it has one.
    paper
        What the paper shows there; empty for what is not in the paper.
    see
        What to look for, and how to read it.
    data
        Its data, from reports/.
    claims
        The claims that it belongs to.
    """

    stem: str
    title: str
    see: str
    data: str
    paper: str = ""
    claims: tuple[str, ...] = ()


_FILE = Path(__file__).with_name("captions.toml")
CAPTIONS = tuple(
    Caption(**{**entry, "claims": tuple(entry.get("claims", ()))})
    for entry in tomllib.loads(_FILE.read_text(encoding="utf-8"))["caption"]
)
