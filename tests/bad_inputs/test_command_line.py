"""What users mistype on the command line: one line each, status 2, before any work, and nothing of theirs is touched."""

import os
import sys
from pathlib import Path

import pytest
import torch

from pets import run, write_pets
from somebodys import odd_pictures, state_of, write_files

#: Option → a value that is right.
RIGHT = {
    "images": "{pets}",
    "classes": "{classes}",
    "model": "squeezenet1_1",
    "weights": "{weights}",
    "explainers": "sensitivity-l2",
    "steps": "3",
    "repeats": "1",
    "first": "2",
    "out": "{scratch}/out",
}
NO_NUMBERS = ("abc", "1.5", "1e8", "nan", "True", "1,2", "0x10", " ", "")
HUGE = "99999999999999999999"

#: (option, value, what the line says).
OPTIONS: list[tuple[str, str, str]] = [
    *[
        (option, value, "")
        for option in ("limit", "first", "region-size", "steps", "repeats", "random-orders", "seed", "batch-size")
        for value in NO_NUMBERS
    ],
    *[(option, value, "at least 1") for option in ("limit", "first", "region-size", "repeats", "random-orders") for value in ("0", "-1")],
    *[("steps", value, "1") for value in ("0", "-1", "626", HUGE)],
    *[("batch-size", value, "batch-size") for value in ("0", "-1")],
    *[("region-size", value, "") for value in ("225", HUGE)],
    *[("repeats", value, "") for value in ("100000000", "2147483647", HUGE)],
    *[("random-orders", value, "") for value in ("100000000", HUGE)],
    *[("tolerance", value, "") for value in ("abc", "0", "-1", "nan", "inf", "1,5", "")],
    ("images", "{pets}/cat/1.png", "no folder"),
    ("images", "none", "no folder none"),
    ("images", "", "--images is empty"),
    ("images", "{scratch}/empty", "no images"),
    ("images", "{scratch}/hidden", "no images"),
    ("images", "a\nb", "control characters"),
    ("images", "caf\udce9", "not UTF-8"),
    ("images", "{scratch}/narrow", "a.png is refused: it has 1 × 30000 pixels"),
    ("images", "{scratch}/wide", "a.png is refused: it has 40000 × 2 pixels"),
    ("images", "{scratch}/huge", "too large"),
    ("images", "{scratch}/cut-off", "cannot read the image"),
    ("images", "{scratch}/text", "cannot read the image"),
    ("images", "{scratch}/float", "no known white"),
    ("images", "{scratch}/latin", "is not UTF-8"),
    ("images", "{scratch}/newline", "has control characters"),
    ("model", "squeezenet", "did you mean 'squeezenet1_"),
    ("model", "", "--model is empty"),
    ("model", "alexnet", "do not fit the architecture alexnet"),
    ("model", "../squeezenet1_1", "unknown architecture"),
    ("weights", "none.pt", "no weights file"),
    ("weights", "{pets}", "no weights file"),
    ("weights", "", "--weights is empty"),
    ("weights", "{classes}", "cannot read the weights file"),
    ("weights", "/dev/null", "weights file"),
    ("weights", "{scratch}/tensor.pt", "holds no state dict"),
    ("weights", "none.caffemodel", ""),
    ("classes", "none.txt", "no class list"),
    ("classes", "{pets}", "cannot read the class list"),
    ("classes", "{weights}", "cannot read the class list"),
    ("classes", "{scratch}/two.txt", "has 2 classes, but the model has 4 outputs"),
    ("classes", "/dev/null", "one class a line"),
    ("classes", "", "--classes is empty"),
    ("classes", "/dev/zero", "it is something else"),
    ("preprocessing", "cafe", "did you mean 'caffe'"),
    ("preprocessing", "math:pi", "unknown preprocessing"),
    ("preprocessing", "math:sqrt", "unknown preprocessing"),
    ("preprocessing", "", "is empty"),
    ("explainers", "", "--explainers is empty"),
    ("explainers", ",", "unknown explainer ''"),
    ("explainers", "sensitivity-l2,", "unknown explainer ''"),
    ("explainers", "sensitivity-l3", "did you mean 'sensitivity-l"),
    ("explainers", "all,lrp", "unknown explainer 'all'"),
    ("explainers", "random", "must name one beside random"),
    ("explainers", "random,random", "must name one beside random"),
    ("explainers", "math:pi", "'math:pi' is no explainer, but 3.14"),
    ("explainers", "os:path", "is no explainer, but <module"),
    ("explainers", "math:sqrt", "cannot take three arguments"),
    ("explainers", "wrong:two", "cannot take three arguments"),
    ("explainers", "wrong:value", "is no explainer, but 3"),
    ("explainers", "wrong:none", "cannot import"),
    ("explainers", "quits:f", "cannot import the explainer 'quits:f'"),
    ("explainers", "fails:f", "'fails:f': a b"),
    ("explainers", "needs:f", "no_such_module"),
    ("explainers", "nowhere:f", "cannot import"),
    ("explainers", "json:", "unknown explainer"),
    ("explainers", ":f", "unknown explainer"),
    ("explainers", "a:b:c", "unknown explainer"),
    ("explainers", "../x:f", "unknown explainer"),
    ("explainers", "a b:f", "unknown explainer"),
    ("explainers", "x" * 300 + ":f", "unknown explainer"),
    ("protocol", "samek", "unknown protocol"),
    ("protocol", "", "is empty"),
    ("removal", "blurr", "did you mean 'blur'"),
    ("removal", "math:pi", "is no removal"),
    ("removal", "os:path", "is no removal"),
    ("removal", "math:sqrt", "must take (image, value range, stream)"),
    ("removal", "nowhere:f", "cannot import"),
    ("removal", "", "is empty"),
    ("conditions", "morf", "main experiment itself"),
    ("conditions", "lerf,drop", "did you mean 'dropout'"),
    ("conditions", "math:pi", "is no removal"),
    ("conditions", "", "is empty"),
    ("device", "abacus", "cannot use the device"),
    ("device", "cuda:99", "cannot use the device"),
    ("device", "meta", "cannot use the device"),
    ("device", "cpu:7", "cannot use the device"),
    ("device", "0", "cannot use the device"),
    ("device", "", "is empty"),
    ("dtype", "float16", "unknown dtype"),
    ("dtype", "float64", "unknown dtype"),
    ("dtype", "", "is empty"),
    ("name", "", "--name is empty"),
    ("name", " ", "--name is empty"),
    ("name", "\u00a0", "--name is empty"),
    ("name", "a\nb", "control characters"),
    ("name", "\x1b[31m", "control characters"),
    ("out", "", "--out is empty"),
    ("out", " ", "--out is empty"),
    ("out", "~/results", "which only a shell takes"),
    ("out", "~nobody", "which only a shell takes"),
    ("out", ".", ""),
    ("out", "..", ""),
    ("out", "/", ""),
    ("out", "notes.txt", ""),
    ("out", "notes.txt/deep/out", ""),
    ("out", ".git", ""),
    ("out", "data", ""),
    ("out", "/dev/null", ""),
    ("out", "/proc/nothing/out", "cannot write"),
    ("out", "x" * 300, "no name for a folder"),
    ("out", "x" * 250, "no name for a folder"),
    ("out", "x/" * 2500, "no name for a folder"),
    ("out", "a\nb", "control characters"),
    ("out", "caf\udce9", "not UTF-8"),
    ("precision", "1", "is called --tolerance now"),
    ("arithmetic", "x", "is called --dtype now"),
    ("nonsense", "1", "No such option"),
]  # fmt: skip

#: (arguments, what the line says).
COMMANDS: list[tuple[list[str], str]] = [
    (["evalute"], "Did you mean 'evaluate'"),
    (["nonsense"], "No such command"),
    ([""], "is empty"),
    (["--nonsense"], "No such option"),
    (["evaluate"], "Missing option"),
    (["evaluate", "--images"], "requires an argument"),
    (["evaluate", "--images="], "--images is empty"),
    (["evaluate", "photos"], ""),
    (["estimate"], "Missing option"),
    (["plan", "nowhere"], "no profile nowhere"),
    (["plan", "notes.txt"], "no profile"),
    (["plan", "data"], "no params.yaml here"),
    (["plan", "."], "no params.yaml here"),
    (["plan", "", "x"], "is empty"),
    (["plan", ".", "x"], "unexpected extra argument"),
    *[(["plan", "{root}", "--rate", value], "rate") for value in ("abc", "0", "-1", "")],
    (["track", "x"], "unexpected extra argument"),
    (["track"], "no params.yaml here"),
]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    scratch = odd_pictures(tmp_path_factory.mktemp("pictures"))
    inputs = write_pets(tmp_path_factory.mktemp("inputs"))
    torch.save(torch.zeros(3), scratch / "tensor.pt")
    (scratch / "two.txt").write_text("cat\ndog\n")
    files = {"pets": inputs / "pets", "classes": inputs / "classes.txt", "weights": inputs / "weights.pt"}
    somebodys = write_files(tmp_path_factory.mktemp("somebodys"))
    root = Path(__file__).parents[2]
    return {
        "scratch": str(scratch),
        "somebodys": str(somebodys),
        "root": str(root),
        **{k: str(v) for k, v in files.items()},
    }


def refused(
    places: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> str:
    """The one line that a command says, in a folder that is as before."""
    folder = Path(places["somebodys"])
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = {name: state_of(Path(places[name])) for name in ("somebodys", "scratch")}
    command, *rest = (a.format(**places) if "{" in a else a for a in arguments)
    assert run(monkeypatch, *rest, command=command) == 2
    caught = capsys.readouterr()
    # Beside it stand progress bars, and how many images there are.
    told = [line for line in caught.err.splitlines() if "| " not in line and line.strip()]
    lines = [line for line in told if line.startswith("aopc: ") or " images in " not in line]
    assert len(lines) == 1, caught.err
    assert lines[0].startswith("aopc: ")
    assert caught.out == ""
    assert {name: state_of(Path(places[name])) for name in before} == before
    return lines[0]


def _id(value: object) -> str:
    return ascii(value)[:40]


@pytest.mark.parametrize(("option", "value", "said"), OPTIONS, ids=_id)
def test_a_wrong_value_is_one_line(
    places: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    value: str,
    said: str,
) -> None:
    given = {**RIGHT, option: value}
    if option == "limit":
        del given["first"]
    if option == "images":
        given |= {"first": "50"}
    arguments = [part for name, v in given.items() for part in (f"--{name}", v)]
    assert said in refused(places, monkeypatch, capsys, ["evaluate", *arguments])


@pytest.mark.parametrize(("arguments", "said"), COMMANDS, ids=_id)
def test_a_wrong_command_is_one_line(
    places: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    assert said in refused(places, monkeypatch, capsys, arguments)


@pytest.mark.parametrize("command", ["evaluate", "plan", "track", "adopt", "ui", "nonsense"])
def test_a_current_folder_that_is_gone_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone").mkdir()
    os.chdir("gone")
    (tmp_path / "gone").rmdir()
    assert run(monkeypatch, command=command) == 2
    assert capsys.readouterr() == ("", "aopc: the current folder was removed: change to another one\n")
