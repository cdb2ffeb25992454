"""The notebooks run from top to bottom, and what they show is what they say."""

import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from pipeline import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def executed(path: Path, monkeypatch: pytest.MonkeyPatch) -> nbformat.NotebookNode:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = nbformat.read(path, 4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    return notebook


def printed(notebook: nbformat.NotebookNode) -> str:
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    return "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs)


def pictures(notebook: nbformat.NotebookNode) -> int:
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    return sum("image/png" in o.get("data", {}) for o in outputs)


def test_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = executed(ROOT / "notebooks" / "01-one-image.ipynb", monkeypatch)
    assert len(notebook.cells) == 10
    text = printed(notebook)
    accuracy = re.search(r"test accuracy ([\d.]+)%", text)
    assert accuracy is not None
    assert float(accuracy[1]) > 95
    assert "the network sees a 3" in text
    assert "(1, 10, 41)" in text
    assert pictures(notebook) == 2


def test_your_own_explainer(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = executed(ROOT / "notebooks" / "02-your-own-explainer.ipynb", monkeypatch)
    found = dict(re.findall(r"smoothgrad − (\S+): ([+-][\d.]+) \[", printed(notebook)))
    assert set(found) == {"sensitivity-l2", "lrp-alpha2-beta1", "random"}
    assert float(found["random"]) > 0
    assert pictures(notebook) == 1


def test_the_notebooks_are_committed_as_they_ran() -> None:
    """With their output, so that they can be read where they are not run; without a machine's paths."""
    assert [n.name for n in NOTEBOOKS] == ["01-one-image.ipynb", "02-your-own-explainer.ipynb"]
    for path in NOTEBOOKS:
        code = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
        assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
        assert not [o for c in code for o in c.outputs if o.output_type == "error"]
        text = path.read_text(encoding="utf-8")
        assert not [p for p in (str(ROOT), str(Path.home()), sys.prefix) if f"{p}/" in text]
