"""Whether a run is its profile's own, or a variant of it: the same pipeline with other parameters.

What a profile publishes, its README and its reports, is of the parameters that lie beside the reports
(:data:`PUBLISHED`). No stage writes that file and DVC does not know it, so no way of setting parameters changes both;
``aopc adopt`` writes it. Without it, as in a copy of the bare pipeline, the last commit's params.yaml takes its place.
"""

import json
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aopc.base.errors import InputError
from aopc.base.files import read_json, write_json
from aopc.base.places import profile
from aopc.paper.folders import REPORTS

PUBLISHED = REPORTS / "parameters.json"
#: So many changes are named where there is little room.
FEW = 3
_ORDER = "order of panels"


@dataclass(frozen=True)
class Change:
    """A setting by its dotted key, as JSON: what the profile publishes and what was run; None: not set."""

    key: str
    published: str | None
    here: str | None

    def __str__(self) -> str:
        was, now = ("not set" if v is None else v.strip('"') for v in (self.published, self.here))
        return f"{self.key}: {was} → {now}"

    @property
    def option(self) -> str:
        """As DVC's ``--set-param`` takes it."""
        if self.here is None:
            return f"~{self.key}"
        return f"{'+' if self.published is None else ''}{self.key}={self.here}"


@dataclass(frozen=True)
class Variant:
    """What differs from the profile's own parameters; false where nothing does."""

    changes: tuple[Change, ...]
    #: Keys of whole sections that the profile publishes and that are not there.
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __str__(self) -> str:
        return "; ".join(map(str, self.changes))

    @property
    def brief(self) -> str:
        """The first few changes, and how many more there are; empty where nothing differs."""
        more = len(self.changes) - FEW
        return "; ".join(map(str, self.changes[:FEW])) + (f" and {more} more" if more > 0 else "")

    @property
    def command(self) -> str:
        """That runs it. A section goes as a whole: without its settings, one by one, an empty one would stay."""
        gone = [*self.removed, *(c.key for c in self.changes if c.here is None)]
        options = [f"~{key}" for key in self.removed]
        for change in self.changes:
            # What is empty is so because all in it is gone.
            emptied = change.here == "{}" and any(_within(key, [change.key]) for key in gone)
            if change.key != _ORDER and not emptied and not _within(change.key, self.removed):
                options.append(change.option)
        return " ".join(["dvc exp run", *(f"-S {shlex.quote(option)}" for option in options)])

    @property
    def sentence(self) -> str:
        return f"a variant of the profile {profile().removeprefix('profiles/')}, not the replication ({self.brief})"


def variant_of(params: Mapping[str, Any]) -> Variant:
    """How the parameters of a run differ from those that the current folder's profile publishes.

    A profile that publishes nothing yet has no variants.

    Raises
    ------
    InputError
        If what it publishes cannot be read.
    """
    published = _published()
    if published is None:
        return Variant(())
    before, now = (dict(_flat(values)) for values in (published, params))
    # The order of panels is that of figures and tables.
    before[_ORDER], now[_ORDER] = (_said(list(values.get("panels") or ())) for values in (published, params))
    changes = [Change(key, before.get(key), now.get(key)) for key in {**before, **now}]
    return Variant(tuple(c for c in changes if c.published != c.here), tuple(_removed(published, params)))


def _removed(published: Mapping[str, Any], here: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Sections, the outermost ones, that are not here."""
    for key, value in published.items():
        if isinstance(value, Mapping) and value:
            if key not in here:
                yield f"{prefix}{key}"
            elif isinstance(here[key], Mapping):
                yield from _removed(value, here[key], f"{prefix}{key}.")


def _within(key: str, sections: Iterable[str]) -> bool:
    return any(key.startswith(f"{section}.") for section in sections)


def adopt(params: Mapping[str, Any]) -> str:
    """Make the parameters the profile's own; returns what to do next."""
    write_json(PUBLISHED, {"profile": profile(), "parameters": params})
    return f"wrote {PUBLISHED}: these parameters are the profile's own now; run `dvc repro` and commit both"


def _published() -> Mapping[str, Any] | None:
    if PUBLISHED.exists():
        try:
            found = read_json(PUBLISHED)
            if found["profile"] == profile():  # in a copy of a profile's folder it is the other's
                return dict(found["parameters"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"cannot read {PUBLISHED}, the parameters that this profile publishes: get it back from git, or write it"
                " anew with `aopc adopt`"
            ) from error
    return _committed()


def _committed() -> Mapping[str, Any] | None:
    """params.yaml as of the last commit."""
    try:
        done = subprocess.run(["git", "show", "HEAD:./params.yaml"], capture_output=True, timeout=20, check=True)
        found = YAML(typ="safe").load(done.stdout.decode())
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError, YAMLError):
        return None
    return found if isinstance(found, dict) else None


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings by dotted key, as JSON; an empty section is a value."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _said(value)


def _said(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
