"""What users write into params.yaml by mistake: a line each, all at once, status 2, from every stage, before any work."""

import copy
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from ruamel.yaml import YAML

from aopc.base.command import run_command
from aopc.paper import before
from aopc.paper.params import read_settings
from aopc.paper.stages import STAGES
from aopc.paper.stages.stage import run_stage
from pipeline import ROOT
from somebodys import state_of, write_files

DELETE = object()
OF_AN_ITEM = ("gather", "prepare", "explain", "perturb", "control")
NO_SECTIONS = (None, [], 5, "text", True, [{}])
NO_COUNTS = (0, -1, 1.5, "5", True, None, [], {}, float("nan"), float("inf"), 10**30)
NO_NAMES = ("", " ", "..", "../x", "a/b", "/a", ".a", "a\\b", "a\nb", "x" * 300, "a:b", "~")
LENET, CAFFENET = "networks.digits.lenet", "networks.objects.caffenet"
PANEL = {"network": "digits/lenet", "images": 5, "region_size": 2, "title": "t"}


def each(path: str, values: Any, said: str = "") -> list[tuple[str, Any, str]]:
    return [(path, value, said) for value in values]


#: (path of a setting, what is written there, what a line says); each is one mistake.
MISTAKES: list[tuple[str, Any, str]] = [
    *[(name, value, name) for name in ("datasets", "networks", "panels", "perturbation", "controls", "complexity") for value in NO_SECTIONS],
    *each("checkpoints", [None, [], 5, "text", True], "checkpoints must be a section"),
    *each("digits", [None, 5, "text", [1]], "digits must be a section"),
    *[(name, {}, "must name one at least") for name in ("datasets", "networks", "panels")],
    *[(name, DELETE, f"lacks {name}") for name in ("seed", "datasets", "networks", "panels", "explainers", "perturbation", "controls", "digits", "checkpoints", "complexity")],
    *each("seed", [None, "0", 1.5, True, [], float("nan")], "seed must be an integer"),
    *each("limit", [0, -5, "10", 1.5, True, [], 10**30], "limit"),
    *each("package", [None, 5, "", []], "package"),
    *each("panel", [{}, 5], "did you mean 'panels'"),
    *each("Seed", [0], "unknown setting 'Seed'"),
    # Data sets.
    *each("datasets.digits", NO_SECTIONS, "datasets.digits must be a section"),
    *each("datasets.digits", [{"source": "digits"}], "lacks a split"),
    *each("datasets.digits.source", [None, 5, [], "", "digit", "math:pi", "../x:y", "a:b:c"], ""),
    *each("datasets.digits.tests", [{}], "no split 'tests'"),
    *each("datasets.objects.test", [None, [], 5], "must be a section"),
    *each("datasets.objects.test.images", NO_COUNTS, "images must be an integer"),
    *each("datasets.objects.test.style", [None, "objcts", 5, ""], "style must be 'objects'"),
    *each("datasets.objects.test.image", [5], "did you mean 'images'"),
    *each("datasets.objects.test.images", [DELETE], "lacks images"),
    *[(f"datasets.{name}", {"source": "digits", "test": {}}, "cannot be the name of a file") for name in NO_NAMES if "." not in name],
    *each("datasets.Digits", [{"source": "digits", "test": {}}], "the same file"),
    *each("datasets.new", [{"source": "folder", "test": {"folder": value}} for value in ("", None, 5, [])], "folder must be a text"),
    *each("datasets.new", [{"source": "folder", "test": {"folder": "x", "size": value}} for value in (0, -1, "5", 1.5, True)], "size must be an integer"),
    *each("datasets.new", [{"source": "folder", "test": {"folder": "x", "count": value}} for value in (0, -1, "5")], "count must be an integer"),
    *each("datasets.new", [{"source": "sun397", "test": {"archive": {"name": value}}} for value in ("../../x", "/etc/passwd", "a/b", "..", "", None, 5)], "name in the archive"),
    *each("datasets.new", [{"source": "sun397", "test": {"archive": value}} for value in (5, "x", [1])], "archive"),
    *each("datasets.new", [{"source": "sun397", "test": {"archive": {"urls": value}}} for value in (5, "ftp://a", "file:///etc/passwd", [None], "javascript:x")], "http or https"),
    *each("datasets.new", [{"source": "sun397", "test": {"archive": {"urls": [value]}}} for value in ("https://me:pass@host/x", "https://token@host/x", "https://host/x?a=1&access_token=2", "https://host/x?X-Amz-Signature=3")], "would be published with dvc.lock"),
    *each("datasets.new", [{"source": "sun397", "test": {"archive": {"checksum": value}}} for value in (5, "md5:0", "crc32:00000000")], "a checksum is"),
    *each("datasets.new", [{"source": "sun397", "test": {"archive": {"size": value}}} for value in (0, -1, "5", 1.5, True)], "size must be"),
    *each("datasets.new", [{"source": "sun397", "test": {"archive": {"url": "http://a"}}}], "did you mean 'urls'"),
    # Networks.
    *each(LENET, NO_SECTIONS, "lenet"),
    *each("networks.digits", [None, [], 5, "text"], "networks.digits must be a section"),
    *each(f"{LENET}.architecture", [None, 5, "", "digit-lent", "../x:y", "a b:c", DELETE], "architecture"),
    *each(f"{LENET}.epochs", NO_COUNTS, "epochs must be an integer"),
    *each(f"{LENET}.batch_size", NO_COUNTS, "batch_size must be an integer"),
    *each(f"{LENET}.batch_size", [1], "two images a batch"),
    *each(f"{LENET}.learning_rate", [0, -1, "0.1", None, True, float("nan"), float("inf"), [], DELETE], "learning_rate"),
    *each(f"{LENET}.weight_decay", [-1, "0.1", None, True, float("nan"), float("inf")], "weight_decay must be a number"),
    *each(f"{LENET}.mirror", [None, 0, 1, "yes", "false", []], "mirror must be true or false"),
    *each(f"{LENET}.solver", [None, 5, "adam"], "solver must be"),
    *each(f"{LENET}.settings", [None, 5, [], "x"], "settings must be a section"),
    *each(f"{LENET}.epoch", [5], "did you mean 'epochs'"),
    *each(f"{CAFFENET}.checkpoints", [5, "10", [1, 2, "3"], [1.5, 2, 3], [-1, 2, 3], [True, 2, 3], {}, None], "checkpoints must be a list"),
    *each(f"{CAFFENET}.checkpoints", [[], [1, 2]], "three checkpoints or more"),
    *each("networks.digits.a/b", [{"weights": "bvlc-caffenet"}], "cannot be the name of a file"),
    *each("networks.digits.new", [{"weights": "bvlc"}, {"weights": 5}, {"weights": "bvlc-caffenet", "archive": {"name": "../x"}}, {"weights": "bvlc-caffenet", "archive": 5}], "new"),
    *each("networks.digits.new", [{"file": "", "architecture": "resnet18", "preprocessing": "imagenet"}, {"file": 5, "architecture": "resnet18", "preprocessing": "imagenet"}], "file must be a text"),
    *each("networks.digits.new", [{"file": "x", "architecture": "resnet18", "preprocessing": value} for value in ("cafe", "", 5)], "preprocessing"),
    # Panels.
    *each("panels.digits", NO_SECTIONS, "panels.digits must be a section"),
    *each("panels.digits.images", [v for v in NO_COUNTS if v is not None], "images must be an integer"),
    *each("panels.digits.region_size", NO_COUNTS, "region_size must be an integer"),
    *each("panels.digits.region_size", [33, 100], "larger than the image of 32 × 32"),
    *each("panels.digits.region_size", [8], "between 1 and the number of regions, 16"),
    *each("panels.objects.region_size", [65], "larger than the image of 64 × 64"),
    *each("panels.digits.network", [None, 5, "", "digits", "digits/none", "/", "digits/lenet/x", "none/lenet", "../x"], "network"),
    *each("panels.digits.title", [None, 5, "", [], DELETE], "title"),
    *each("panels.digits.stands_for", ["imagenet", 5, ""], "stands_for must be"),
    *each("panels.digits.stands_for", ["sun397"], "both stand for sun397"),
    *each("panels.digits.netwrok", ["digits/lenet"], "did you mean 'network'"),
    *each("panels.nowhere", [PANEL], "must be a data set"),
    *[(f"panels.{name}", PANEL, "") for name in ("Digits",)],
    # Explainers.
    *each("explainers", [None, 5, "random", {}, True, {"random": 1}], "explainers must be a list"),
    *each("explainers", [[]], ""),
    *each("explainers", [["random"]], "must name one beside random"),
    *each("explainers", [["lrp-alpha2-beta1"]], "lacks random"),
    *each("explainers", [["random", "sensitivity-l2", "sensitivity-l2"], ["random", "random", "sensitivity-l2"]], "twice"),
    *each("explainers", [["random", value] for value in ("lrp", "", "../x:y", "a:b:c", "a/b", "x:" + "y" * 300, "a b:c", "a\nb:c")], "unknown explainer"),
    *each("explainers", [["random", value] for value in (5, None, True, [], {})], "explainers must be a list"),
    # Region perturbation.
    *[(f"perturbation.{name}", value, f"{name} must be an integer") for name in ("steps", "repeats") for value in NO_COUNTS],
    *[(f"perturbation.{name}", DELETE, f"lacks {name}") for name in ("steps", "repeats", "random_orders", "removal")],
    *each("perturbation.random_orders", [0, -1, 1.5, "5", True, []], "random_orders must be an integer"),
    *each("perturbation.orders", [None, "morf", [], ["lerf"], ["morf", "random"], [5], {}], "orders"),
    *each("perturbation.removal", [None, 5, "", "blurr", "../x:y", []], "removal"),
    *each("perturbation.dtype", [None, "float16", 32, ""], "dtype must be"),
    *each("perturbation.region_size", [2], "unknown setting 'region_size'"),
    *each("perturbation.seed", [1], "unknown setting 'seed'"),
    *each("perturbation.arithmetic", ["float32"], "is called 'dtype' now"),
    # Controls, digits, checkpoints, complexity.
    *[(f"controls.{name}", value, f"{name} must be an integer") for name in ("images", "repeats", "random_orders") for value in NO_COUNTS],
    *each("controls.places", [-1, 1.5, "1", True, None], "places must be an integer"),
    *[(f"controls.{name}", value, f"{name} must be true or false") for name in ("lerf", "dropout") for value in (None, 0, "yes")],
    *each("controls.removals", [None, "mean", 5, {}, [5], [None]], "removals must be a list"),
    *each("controls.removals", [["meen"], [""], ["../x:y"]], "unknown removal"),
    *each("controls.explainers", [None, "centre-first", 5, {}, [5]], "explainers must be a list"),
    *each("controls.explainers", [["centre-frist"], [""], ["../x:y"]], "unknown explainer"),
    *each("controls.place", [1], "did you mean 'places'"),
    *each("digits.images", NO_COUNTS, "images must be an integer"),
    *each("digits.network", ["digits/none", "", "x"], "network"),
    *each("digits.data_set", ["digit", ""], "must be a data set"),
    *each("digits.data_set", [None, 5], "data_set must be a text"),
    *each("checkpoints.objects", [None, [], 5, "x"], "checkpoints.objects must be a section"),
    *each("checkpoints.objects.network", ["caffe", "", "../x"], "wants the network"),
    *each("checkpoints.objects.explainer", ["lrp", "", "../x:y"], "unknown explainer"),
    *each("checkpoints.objects.explainer", ["random"], "must be another one than random"),
    *each("checkpoints.objects.images", [v for v in NO_COUNTS if v is not None], "images must be an integer"),
    *[(f"checkpoints.objects.{name}", value, f"{name} must be an integer") for name in ("steps", "repeats", "random_orders") for value in (0, -1, 1.5, "5", True)],
    *each("checkpoints.objects.steps", [257], "between 1 and the number of regions, 256"),
    *each("checkpoints.objects.region_size", [65, 0], "region"),
    *each("complexity.rendering", [None, 5, "", "minmx", DELETE], "rendering"),
]  # fmt: skip

#: What the file holds → what the line says.
FILES: list[tuple[bytes, str]] = [
    (b"", "must hold sections"),
    (b"- seed\n", "must hold sections"),
    (b"seed", "must hold sections"),
    (b"5", "must hold sections"),
    (b"seed: [0\n", "not valid YAML"),
    (b"seed:\n\t0\n", "not valid YAML"),
    (b"seed: 0\nseed: 1\n", "not valid YAML"),
    (b"seed: !!python/object/apply:os.system ['touch hacked']\n", "not valid YAML"),
    (b"seed: !unknown 0\n", "not valid YAML"),
    (b"seed: *nowhere\n", "not valid YAML"),
    (b"seed: 2024-13-45\n", ""),
    (b"seed: !!int abc\n", "not valid YAML"),
    (b"seed: !!float abc\n", "not valid YAML"),
    (b"seed: " + b"9" * 5000 + b"\n", "not valid YAML"),
    (b"seed: \xff\xfe\n", "not valid YAML"),
    (b"\xff\xfes\x00e\x00", "not valid YAML"),
    (b"seed: \x00\n", "not valid YAML"),
    (b"seed: 0\n---\nseed: 1\n", "not valid YAML"),
    (b"a: &a [*a]\n", "values"),
    (b"a: &a {b: *a}\n", "values"),
    (b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(b"%c: &%c [%s]\n" % (c + 1, c + 1, b",".join([b"*%c" % c] * 9)) for c in range(97, 104)), "values"),
    (b"a: " + b"[" * 50 + b"]" * 50 + b"\n", "values"),
    (b"a: b\n" * 300_000, "larger than"),
    (b"{" * 100 + b"\n", "not valid YAML"),
]  # fmt: skip


@cache
def right() -> dict[str, Any]:
    return YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def changed(path: str, value: Any) -> dict[str, Any]:
    """The offline default with one setting changed."""
    whole = copy.deepcopy(right())
    section, (*above, last) = whole, path.split(".")
    for name in above:
        section = section[name]
    if value is DELETE:
        del section[last]
    else:
        section[last] = value
    return whole


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    path = write_files(tmp_path_factory.mktemp("somebodys"))
    (path / "params.yaml").write_text("")
    return SimpleNamespace(path=path)


def refused(
    stage: str, folder: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """What a stage says in a folder that is as before."""
    monkeypatch.chdir(folder.path)
    before_it = state_of(folder.path)
    assert run_stage([stage], ["digits"] if stage in OF_AN_ITEM else []) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert state_of(folder.path) == before_it
    lines = said.err.splitlines()
    assert all(line.startswith("aopc: ") and line.isprintable() and len(line) < 600 for line in lines)
    return lines


@pytest.mark.parametrize(("path", "value", "said"), MISTAKES, ids=lambda x: "deleted" if x is DELETE else ascii(x)[:50])
def test_a_mistake_is_a_line(
    path: str,
    value: Any,
    said: str,
    folder: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = changed(path, value)
    monkeypatch.setattr("aopc.paper.params.read_params", lambda path: whole)
    stage = list(STAGES)[sum(map(ord, path + ascii(value))) % len(STAGES)]
    lines = refused(stage, folder, monkeypatch, capsys)
    assert any(said in line for line in lines), lines
    assert all(line.startswith("aopc: params.yaml") for line in lines)
    # What follows from it may be said too, as of a network without which a panel has none.
    assert len(lines) <= (4 if "." in path else 8)


@pytest.mark.parametrize(("content", "said"), FILES, ids=lambda x: ascii(x)[:40])
def test_a_file_that_is_none_is_a_line(
    content: bytes,
    said: str,
    folder: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder.path / "params.yaml").write_bytes(content)
    (line,) = refused("gather", folder, monkeypatch, capsys)
    assert said in line
    # The command that `make repro` begins with says the same.
    assert run_command(lambda: before.check(read_settings())) == 2
    assert capsys.readouterr().err == f"{line}\n"


def test_several_mistakes_are_said_at_once(
    folder: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the top level, too."""
    whole = changed("seed", "x")
    whole["panels"]["digits"]["images"] = 0
    whole["controls"]["places"] = None
    del whole["complexity"]
    with (folder.path / "params.yaml").open("wb") as file:
        YAML(typ="safe").dump(whole, file)
    lines = refused("decide", folder, monkeypatch, capsys)
    assert [line.partition(" must")[0].partition(";")[0] for line in lines] == [
        "aopc: params.yaml.seed",
        "aopc: params.yaml lacks complexity",
        "aopc: params.yaml: panels.digits.images",
        "aopc: params.yaml: controls.places",
    ]
