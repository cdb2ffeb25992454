"""What the package promises as a whole: its public names, and rooms that need no torch."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
from PIL import Image

import aopc

PUBLIC = [
    "Curves",
    "Grid",
    "Imputer",
    "InputError",
    "Interval",
    "LabelMap",
    "Network",
    "Protocol",
    "ValueRange",
    "abpc",
    "aopc",
    "bootstrap_mean",
    "entropy",
    "file_size",
    "heatmaps",
    "perturbation_curves",
    "read_caffemodel",
]

#: Runs first in a process of its own: torch cannot be imported there.
WITHOUT_TORCH = '''
import sys


class Refuses:
    """Finds torch and what stands on it first, and refuses."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "zennit"):
            raise ImportError(f"{name} must not be imported here")


sys.meta_path.insert(0, Refuses())
'''


def run_without_torch(script: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH + script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_public_names_are_these() -> None:
    assert aopc.__all__ == PUBLIC
    for name in PUBLIC:
        found = getattr(aopc, name)
        assert found is getattr(import_module(aopc._PUBLIC[name]), name)
    assert aopc.__version__
    assert not hasattr(aopc, "no_such_name")


def test_types_are_checked_by_the_same_names() -> None:
    """The lazy table, and the imports that type checkers and editors read in its place."""
    assert aopc.__file__
    tree = ast.parse(Path(aopc.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    said: dict[str, str] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            # Without ``as`` it would be no export to a strict type checker.
            assert alias.asname == alias.name
            said[alias.name] = str(node.module)
    assert said == aopc._PUBLIC


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    script = "import aopc\nprint(sorted({'torch', 'numpy', 'pandas', 'scipy'} & set(sys.modules)))"
    assert run_without_torch(script, tmp_path) == "[]\n"


def test_ideas_measures_and_figures_need_no_torch(tmp_path: Path) -> None:
    """Every module of these rooms; `torch` not even in part."""
    script = """
import importlib, pkgutil
for room in ("aopc.base", "aopc.measures", "aopc.perturbation", "aopc.figures"):
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        importlib.import_module(module.name)
        print(module.name)
import aopc
aopc.aopc([[[4.0, 2.0, 0.0]]]), aopc.Protocol(), aopc.Grid(8, 8, 2), aopc.Imputer
try:
    aopc.perturbation_curves
except ImportError as error:
    print(error)
"""
    printed = run_without_torch(script, tmp_path).splitlines()
    assert printed[-1] == "torch must not be imported here"
    assert {
        "aopc.measures.statistics.hypotheses",
        "aopc.perturbation.removal.fills",
        "aopc.figures.figure4",
        "aopc.base.checked",
    } <= set(printed)


def test_a_figure_is_drawn_without_torch(tmp_path: Path) -> None:
    script = """
from pathlib import Path
import numpy as np
from aopc.figures.figure4 import draw_figure4
from aopc.figures.style import save_figure
from aopc.measures.complexity import complexity_columns
from aopc.measures.summary import Summary
from aopc.perturbation.curves import Curves

rng, ids = np.random.default_rng(0), tuple("abcde")

def curves(slope):
    values = (9 - slope * np.arange(4) + rng.normal(0, 0.1, (5, 2, 4))).astype(np.float32)
    return Curves(values, values, np.zeros(5, np.int64), ids)

by_name = {"lrp-epsilon-100": {"morf": curves(2.0)}, "random": {"random": curves(0.5)}}
maps = rng.normal(size=(5, 8, 8)).astype(np.float32)
columns = [complexity_columns(name, maps, ids, "minmax") for name in by_name]
table = {k: np.array(columns[0][k] + columns[1][k]) for k in columns[0]}
summary = Summary("demo", by_name, table, seed=0)
figure = draw_figure4(summary.relative_table(), {"demo": "Demo"})
save_figure(figure, Path("figures/figure4"))
"""
    run_without_torch(script, tmp_path)
    picture = Image.open(tmp_path / "figures" / "figure4.png")
    assert min(picture.size) > 300
    assert len(np.unique(np.asarray(picture.convert("L")))) > 10
    assert (tmp_path / "figures" / "figure4.pdf").read_bytes().startswith(b"%PDF")
