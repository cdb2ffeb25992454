"""Which of the package's files a module depends on: those that its imports reach.

One rule for DVC's dependencies (`make pipeline`), for the identity of stored parts and for the code
version in result files, so that these cannot disagree.
"""

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
NAME = PACKAGE.name

#: How registries name what is imported at its first use.
_LAZY = re.compile(rf"({NAME}(?:\.\w+)+):\w+")


@lru_cache(maxsize=64)
def reached(module: str) -> tuple[str, ...]:
    """The files that a module's imports reach, itself included, below the package, sorted.

    Followed are imports anywhere in a file but under ``if TYPE_CHECKING:``, texts of the form
    ``aopc.module:name`` (registries name so what they import later), and the ``__init__.py`` of every
    package on the way. A text that is the name of a data file beside the module counts as well.

    Parameters
    ----------
    module
        As in an import, ``aopc.explainers.run``.

    Examples
    --------
    >>> reached("aopc.base.names")
    ('__init__.py', 'base/__init__.py', 'base/errors.py', 'base/names.py')
    """
    found: set[Path] = set()
    queue = list(_files_of(module))
    while queue:
        file = queue.pop()
        if file not in found:
            found.add(file)
            queue += _references(file)
    return tuple(sorted(file.relative_to(PACKAGE).as_posix() for file in found))


def _files_of(name: str) -> list[Path]:
    """The file of a module, or of the module that holds the attribute, and its packages' own files."""
    parts = name.split(".")[1:]
    files = [PACKAGE / "__init__.py"]
    place = PACKAGE
    for part in parts:
        place = place / part
        if place.is_dir():
            files.append(place / "__init__.py")
        elif place.with_suffix(".py").is_file():
            files.append(place.with_suffix(".py"))
    return [file for file in files if file.is_file()]


@lru_cache(maxsize=512)
def _references(file: Path) -> tuple[Path, ...]:
    if file.suffix != ".py":
        return ()
    found: list[Path] = []
    for node in _executed(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module and _is_ours(node.module):
            for alias in node.names:
                found += _files_of(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                found += _files_of(alias.name) if _is_ours(alias.name) else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            lazy = _LAZY.fullmatch(node.value)
            if lazy:
                found += _files_of(lazy[1])
            elif re.fullmatch(r"[\w.-]+\.\w+", node.value) and (file.parent / node.value).is_file():
                found.append(file.parent / node.value)
    return tuple(found)


def _is_ours(module: str) -> bool:
    return module == NAME or module.startswith(f"{NAME}.")


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING:``."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from _executed(other)
            continue
        yield child
        yield from _executed(child)
