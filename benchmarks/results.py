"""The files that the benchmarks write, in this folder."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"


def read(path: Path) -> dict[str, Any]:
    """What is there, or nothing."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def update(path: Path, found: dict[str, Any]) -> None:
    """Put results beside, or in the place of, those that are there."""
    text = json.dumps(_merged(read(path), found), indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _merged(old: dict[str, Any], new: dict[str, Any], depth: int = 2) -> dict[str, Any]:
    """``new`` over ``old``, by network and by device."""
    if depth == 0:
        return new
    return old | {
        key: _merged(old.get(key, {}), value, depth - 1) if isinstance(value, dict) else value
        for key, value in new.items()
    }
