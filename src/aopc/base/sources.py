"""The code of a user's own part (explainer, removal, architecture …): all files that its import brings in."""

import ast
import hashlib
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType

from aopc.base.imports import NAME, PACKAGE, executed, reached

_STANDARD = tuple(Path(sysconfig.get_paths()[name]).resolve() for name in ("stdlib", "platstdlib"))
#: Folders that installers write to.
_INSTALLED = {"site-packages", "dist-packages"}
_LONGEST_NAME = 200
_MOST_MATCHES = 1000
_CHAIN = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_PATTERN = re.compile(r"[\w./-]*\*[\w./-]*\.\w+")
_ENDING = re.compile(r"\.\w{1,8}")


@dataclass(frozen=True)
class Sources:
    """What a module is made of.

    Attributes
    ----------
    files
        Those that are not installed, by the name of their module; data files by its name and their own.
    packages
        Those installed packages that these import, with their versions.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Of all contents and versions; where the files lie does not count."""
        digest = hashlib.blake2b(digest_size=16)
        for name, path in sorted(self.files.items()):
            digest.update(f"{name}\0{_content_hash(path)}\0".encode())
        for name, found in sorted(self.packages.items()):
            digest.update(f"{name}=={found}\0".encode())
        return digest.hexdigest()


def sources_of(module: str) -> Sources:
    """The files that a module and its imports are read from, its helpers' helpers included.

    Followed are imports anywhere in a file, relative ones too, but not under ``if TYPE_CHECKING:``; ``__init__.py`` of
    the packages on the way; names given as text to ``import_module`` and ``__import__``; attributes of imported
    packages that are modules; modules from which the module's own names come when it is imported, however it got them;
    imports in texts that are code; and texts that are the name, ending or pattern of a file or module beside the module
    or in a folder beside it that another text names (weights, tables, code that is executed or imported later), or of
    a file anywhere. Not seen are files under names that are put together at run time.
    """
    with suppress(Exception, SystemExit):  # whether it can be imported is asked elsewhere
        import_module(module)
    files: dict[str, Path] = {}
    packages: dict[str, str] = {}
    queue, seen = [module], set()
    while queue:
        name = queue.pop()
        if name in seen or name == "__main__":
            continue
        seen.add(name)
        spec = _spec(name)
        if spec is None:  # an attribute, or a module that is not there
            continue
        if name.partition(".")[0] == NAME:
            files |= {f"{NAME}/{file}": PACKAGE / file for file in reached(name)}
            continue
        queue += [name.rpartition(".")[0]] if "." in name else []
        path = _file_of(spec)
        if path is None or _is_standard(path):
            continue
        # What lies among the packages without being one is the user's as well.
        if _INSTALLED & set(path.parts) and (found := _package(name)):
            packages |= found
            continue
        files[name] = path
        queue += _origins(sys.modules.get(name))
        package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
        pending = [path]
        while pending:
            file = pending.pop()
            imported, beside = _references(file, package)
            queue += imported
            for text, other in beside:
                if f"{name}/{text}" not in files and other != path:
                    files[f"{name}/{text}"] = other
                    pending.append(other)
    return Sources(files, packages)


def _spec(name: str) -> ModuleSpec | None:
    """Where a module is, without importing anything."""
    loaded = getattr(sys.modules.get(name), "__spec__", None)
    if loaded is not None:
        return loaded
    parent, path = name.rpartition(".")[0], None
    if parent:
        above = _spec(parent)
        if above is None or above.submodule_search_locations is None:
            return None
        path = list(above.submodule_search_locations)
    for finder in sys.meta_path:
        with suppress(Exception):
            if (found := finder.find_spec(name, path)) is not None:
                return found
    return None


def _file_of(spec: ModuleSpec) -> Path | None:
    """The file that holds a module, which may be an archive; None for built-in ones and folders without code."""
    if spec.origin in (None, "built-in", "frozen"):
        return None
    path = Path(str(spec.origin)).resolve()
    return next((p for p in (path, *path.parents) if p.is_file()), None)


def _is_standard(path: Path) -> bool:
    return not _INSTALLED & set(path.parts) and any(folder in path.parents for folder in _STANDARD)


@lru_cache(maxsize=512)
def _package(name: str) -> dict[str, str]:
    """The distribution that a module is from, and its version."""
    top = name.partition(".")[0]
    with suppress(PackageNotFoundError):
        return {top: version(top)}
    return {found: version(found) for found in packages_distributions().get(top, [])}


def _origins(module: ModuleType | None) -> Iterator[str]:
    """The modules that the names in a loaded module come from."""
    for value in list(vars(module).values()) if module is not None else ():
        for owner in (value, type(value)):
            with suppress(Exception):  # attributes of anything may fail
                name = owner.__name__ if isinstance(owner, ModuleType) else owner.__module__
                if isinstance(name, str) and name != "builtins":
                    yield name


def _references(file: Path, package: str) -> tuple[list[str], list[tuple[str, Path]]]:
    """What a file names: modules, and files beside it with their names."""
    if file.suffix != ".py":
        return [], []
    imported, texts = _named(file.read_bytes(), package)
    texts = tuple(text for text in texts if 0 < len(text) < _LONGEST_NAME and "\0" not in text)
    folders = [file.parent, *(folder for text in texts if (folder := _folder(file, text)) is not None)]
    # What is not found by the path of imports may be in a folder that the code puts there.
    later = [name for name in imported if len(folders) > 1 and "." not in name and _spec(name) is None]
    found = {path: text for text in (*texts, *later) for path in _beside(file, text, folders)}
    inside = {path: path.is_relative_to(file.parent) for path in found}
    names = {p: p.relative_to(file.parent).as_posix() if inside[p] else text for p, text in found.items()}
    return list(imported), [(name, path) for path, name in names.items()]


@lru_cache(maxsize=2048)
def _named(code: bytes, package: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The modules that code imports, and all texts in it; none where it is no code."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return (), ()
    imported: list[str] = []
    texts: list[str] = []
    chains: list[str] = []
    for node in executed(tree):
        match node:
            case ast.Import(names=aliases):
                imported += [alias.name for alias in aliases]
            case ast.ImportFrom(module=module, names=aliases, level=level):
                origin = _absolute("." * level + (module or ""), package)
                imported += [origin, *(f"{origin}.{alias.name}" for alias in aliases)]
            case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]) if _imports(function):
                imported.append(_absolute(name, package))
            case ast.Attribute() if _CHAIN.fullmatch(chain := ast.unparse(node)):
                chains.append(chain)
            case ast.Constant(value=str(text)):
                texts.append(text)
                if "import" in text and text.encode() != code:
                    more = _named(text.encode(), package)
                    imported, texts = [*imported, *more[0]], [*texts, *more[1]]
    # A package may import its modules when they are asked for.
    known = {alias.asname or alias.name: alias.name for alias in aliases_of(tree)}
    for chain in chains:
        root, _, rest = chain.partition(".")
        imported += [f"{known[root]}.{rest}"] if root in known else []
    return tuple(dict.fromkeys(name for name in imported if name)), tuple(dict.fromkeys(texts))


def aliases_of(tree: ast.AST) -> Iterator[ast.alias]:
    """Of all statements ``import …``."""
    for node in executed(tree):
        if isinstance(node, ast.Import):
            yield from node.names


def _imports(function: ast.expr) -> bool:
    return ast.unparse(function).rpartition(".")[2] in ("import_module", "__import__")


def _absolute(name: str, package: str) -> str:
    with suppress(ImportError):
        return resolve_name(name, package) if name.startswith(".") else name
    return ""


def _folder(file: Path, text: str) -> Path | None:
    """The folder beside a file that a text names."""
    name = text.strip("/")
    if not name or name in (".", "..") or name.startswith("~"):
        return None
    with suppress(OSError, ValueError):
        path = file.parent / name
        return path if path.is_dir() else None
    return None


def _beside(file: Path, text: str, folders: Sequence[Path]) -> Iterator[Path]:
    """The files that a text may stand for: by name, as a module, by ending or pattern, or by their whole path."""
    with suppress(OSError, ValueError, NotImplementedError):
        if Path(text).is_absolute() and Path(text).is_file() and not _is_standard(Path(text)):
            yield Path(text)
            return
        # Of f"{folder}/name" the last part is a text of its own.
        name = text.lstrip("/")
        if _ENDING.fullmatch(name):
            yield from (path for path in [file.with_suffix(name)] if path.is_file() and path != file)
        if not name or "\n" in name:
            return
        for folder in folders:
            if _PATTERN.fullmatch(name):
                yield from (path for path in sorted(folder.glob(name))[:_MOST_MATCHES] if path.is_file())
                continue
            module = folder / name.replace(".", "/")
            parts = [module.with_name(f"{module.name}.py"), module / "__init__.py"] if _CHAIN.fullmatch(name) else []
            yield from (path for path in (folder / name, *parts) if path.is_file())


def _content_hash(path: Path) -> str:
    if path.suffix == ".py":
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    about = path.stat()  # data may be large: once is enough
    return _data_hash(path, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=64)
def _data_hash(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
