"""What users give to the Python functions by mistake: one InputError in one line, and nothing is touched."""

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from aopc.measures.localisation import pointing_game, relevance_mass
from aopc.measures.specificity import similarity_to_others, with_their_spread
from aopc.measures.statistics.bootstrap import bootstrap_mean
from aopc.measures.statistics.correlation import permutation_p, rank_correlation
from aopc.measures.statistics.hypotheses import difference_reading, mean_reading, share_reading
from aopc.measures.statistics.stopping import StoppingRule, variance_components
from aopc.models.inference import predict
from aopc.models.preprocessing import PREPROCESSINGS
from aopc.perturbation.order import Ranking
from somebodys import state_of, write_files

NETWORK = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 5)).eval()
IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
MAPS = IMAGES.sum(1)
CURVE = np.array([[[4.0, 2.0, 0.0]]])
VALUES = np.array([1.0, 2.0, 4.0])
MASKS = np.zeros((2, 8, 8), dtype=bool)
RAGGED = [[1.0, 2.0], [3.0]]
NOTHING = np.zeros((0, 8, 8))

Call = Callable[..., Any]


def curves(**changes: Any) -> Any:
    given = {"model": NETWORK, "images": IMAGES, "heatmaps": MAPS, "region_size": 2, "steps": 3, "repeats": 1}
    return aopc.perturbation_curves(**{**given, **changes})


def maps(**changes: Any) -> Any:
    return aopc.heatmaps(**{"model": NETWORK, "images": IMAGES, "explainer": "sensitivity-l2", **changes})


def protocol(**changes: Any) -> Any:
    return aopc.Protocol(**changes)


def scores(**changes: Any) -> Any:
    return predict(**{"model": NETWORK, "images": IMAGES, **changes})


def one(function: Call, name: str) -> Call:
    """A function of one argument, by name."""

    def call(**changes: Any) -> Any:
        return function(changes[name])

    call.__name__ = getattr(function, "__name__", "call")
    return call


def network(**changes: Any) -> Any:
    return aopc.Network(**{"model": NETWORK, "preprocessing": PREPROCESSINGS["imagenet"], **changes})


def stored_curves(**changes: Any) -> Any:
    given = {"logits": CURVE, "probabilities": CURVE, "targets": np.array([1]), "image_ids": ("a",)}
    return aopc.Curves(**{**given, **changes})


def mass(**changes: Any) -> Any:
    return relevance_mass(**{"heatmaps": np.ones((2, 8, 8)), "masks": MASKS, **changes})


def pointing(**changes: Any) -> Any:
    return pointing_game(**{"heatmaps": np.ones((2, 8, 8)), "masks": MASKS, **changes})


def similarity(**changes: Any) -> Any:
    return similarity_to_others(**{"heatmaps": np.ones((2, 8, 8)), "classes": np.array([1, 1]), **changes})


def interval(**changes: Any) -> Any:
    return bootstrap_mean(**{"values": VALUES, **changes})


IMAGE_MISTAKES = [
    None, "images", 5, IMAGES[0], IMAGES[None], IMAGES.long(), IMAGES.bool(), (IMAGES * 255).byte(), IMAGES.numpy().astype(object),
    IMAGES.numpy().astype(complex), IMAGES.tolist()[0], RAGGED, IMAGES[:0], IMAGES[:, :, :0], IMAGES * torch.nan, IMAGES / 0,
    IMAGES[:, :2], IMAGES[:, :, :7], IMAGES.to_sparse(), IMAGES.to("meta"), [None, None], {"a": 1}, Path("x.png"),
]  # fmt: skip
MODEL_MISTAKES = [None, "resnet50", nn.Conv2d, lambda x: x, 5, torch.rand(3)]
TARGET_MISTAKES = [
    "ab", 1, [1], [1, 2, 3], [[1, 2]], [1.0, 2.0], np.array([0.5, 1.5]), [True, False], [-1, 0], [0, 5], [0, 10**6], [0, 2**70],
    [None, 1], np.array(["a", "b"]), torch.tensor([torch.nan, 1.0]), RAGGED,
]  # fmt: skip
COUNT_MISTAKES = [0, -1, 1.5, "3", None, True, np.nan, [3], 2**80]
NAME_MISTAKES = ["abc", b"ab", ["a"], ["a", "a"], ["a", "b", "c"], 5, [[], []]]
ARRAY_MISTAKES = [None, "abc", ["a", "b"], RAGGED, [None, 1.0], [1 + 2j, 3.0], object(), {"a": 1}]
CURVE_MISTAKES = [
    *ARRAY_MISTAKES,
    5.0,
    [1.0],
    [[1.0]],
    np.zeros((0, 1, 3)),
    np.zeros((1, 0, 3)),
    np.zeros((1, 1, 0)),
    [[[["a"]]]],
]
MAP_MISTAKES = [
    *ARRAY_MISTAKES,
    5.0,
    [1.0, 2.0],
    np.zeros((2, 2, 2)),
    np.zeros((0, 4)),
    [[np.nan, 1.0]],
    [[np.inf, 1.0]],
]


def each(call: Call, name: str, values: list[Any], **more: Any) -> list[tuple[Call, dict[str, Any]]]:
    return [(call, {name: value, **more}) for value in values]


CASES: list[tuple[Call, dict[str, Any]]] = [
    *each(curves, "images", IMAGE_MISTAKES),
    *each(maps, "images", IMAGE_MISTAKES),
    *each(scores, "images", IMAGE_MISTAKES),
    *each(curves, "model", MODEL_MISTAKES),
    *each(maps, "model", MODEL_MISTAKES),
    *each(curves, "targets", TARGET_MISTAKES),
    *each(maps, "targets", TARGET_MISTAKES),
    *each(maps, "targets", [[0, 5]], explainer=lambda model, images, targets: images[:, 0]),
    *each(curves, "heatmaps", [None, "abc", 5, MAPS[0], MAPS[:1], MAPS[:, :7], IMAGES, ["a", "b"], RAGGED, MAPS.numpy().astype(complex), {}, {"a": MAPS}, {"a": None}]),
    *[(curves, {name: value}) for name in ("region_size", "steps", "repeats") for value in COUNT_MISTAKES],
    *each(curves, "region_size", [9, 2**31 - 1]),
    *each(curves, "steps", [17, 2**31 - 1]),
    *each(curves, "repeats", [10**8, 2**31 - 1]),
    *each(curves, "orders_per_image", [0, -1, 1.5, "3", True, 10**8], order="random"),
    *each(curves, "seed", [None, 1.5, "0", True, [0]]),
    *each(curves, "removal", [None, 5, "", "blurr", "math:pi", "nowhere:f", [], lambda: 0, nn.Identity]),
    *each(curves, "dtype", [None, 5, "float16", torch.float32, []]),
    *each(curves, "order", ["most", 5, [], b"morf"]),
    *each(curves, "protocol", ["samek2016", {}, 5, aopc.Protocol]),
    *each(curves, "partition", ["grid", 5, np.zeros((8, 8)), aopc.Grid(7, 7, 2), aopc.Grid]),
    *each(curves, "value_range", [(1, 0), (0, 1, 2), 5, "0,1", aopc.ValueRange((0.0,) * 2, (1.0,) * 2)]),
    *each(curves, "image_ids", NAME_MISTAKES),
    *each(maps, "image_ids", NAME_MISTAKES),
    *[(call, {"batch_size": value}) for call in (curves, maps, scores) for value in (0, -1, 1.5, "3", True)],
    *[(call, {"dropout_seed": value}) for call in (curves, maps) for value in (1.5, "a", True, 0)],
    *each(curves, "incremental", [None, "False", 1, []]),
    *each(curves, "progress", [5, "bar"]),
    *each(curves, "arithmetic", ["float32"]),
    *each(curves, "region_sise", [3]),
    *each(maps, "explainer", [None, 5, "", "lrp", "math:pi", "os:path", "math:sqrt", "nowhere:f", torch, [], b"lrp", "a\nb", ["sensitivity-l2"]]),
    *each(maps, "allow_nonfinite", [None, "yes", 1]),
    *[(protocol, {name: value}) for name in ("region_size", "steps", "repeats") for value in COUNT_MISTAKES],
    *each(protocol, "random_orders", [0, -1, 1.5, "3", True]),
    *each(protocol, "places", [-1, 1.5, "3", None, True]),
    *each(protocol, "seed", [None, "0", 1.5, True]),
    *each(protocol, "orders", [None, (), "morf", ("morf", "random"), (5,), {"morf"}, 5]),
    *each(protocol, "removal", [None, 5, "", "blurr"]),
    *each(protocol, "dtype", [None, 5, "float16", []]),
    *each(protocol, "dropout", [None, 1, "yes"]),
    *each(one(aopc.aopc, "curves"), "curves", CURVE_MISTAKES),
    *[(lambda **x: aopc.aopc(CURVE, **x), {"output": value}) for value in ("logits", "softmax", None, 5, [])],
    *each(lambda **x: aopc.abpc(x["lerf"], CURVE), "lerf", CURVE_MISTAKES),
    *each(lambda **x: aopc.abpc(CURVE, x["morf"]), "morf", [np.zeros((2, 1, 3)), np.zeros((1, 1, 4))]),
    (lambda **x: aopc.abpc(*x["both"]), {"both": (stored_curves(), stored_curves(image_ids=("b",)))}),
    *each(one(aopc.entropy, "heatmap"), "heatmap", MAP_MISTAKES),
    *each(lambda **x: aopc.entropy(np.eye(3), x["rendering"]), "rendering", [None, 5, "", "min-max", []]),
    *each(lambda **x: aopc.file_size(np.eye(3), x["format"]), "format", [None, 5, "", "gif", "../x", []]),
    *each(lambda **x: aopc.file_size(x["heatmap"], "png"), "heatmap", MAP_MISTAKES),
    *each(interval, "values", [*ARRAY_MISTAKES, 5.0]),
    *each(interval, "seed", [None, 1.5, "0"]),
    *each(interval, "resamples", [0, -1, 1.5, "3", None, 10**12]),
    *each(one(aopc.read_caffemodel, "path"), "path", [None, 5, "", "none.caffemodel", ".", "notes.txt", [], "a\nb"]),
    *each(network, "model", [None, "resnet50", 5]),
    *each(network, "preprocessing", [None, "imagenet", 5]),
    *each(lambda **x: network().on(x["device"]), "device", ["abacus", "meta", "cuda:99", 5.5, ""]),
    *each(lambda **x: network().inputs(x["frames"]), "frames", [None, "abc", IMAGES.numpy(), np.zeros((2, 8, 8, 4), np.uint8), np.zeros(3, np.uint8), RAGGED]),
    *each(stored_curves, "logits", [None, "abc", CURVE[0], np.zeros((2, 1, 3)), np.zeros((1, 1, 4))]),
    *each(stored_curves, "targets", [None, [1, 2], "a", [0.5]]),
    *each(stored_curves, "image_ids", [None, "ab", ("a", "b"), 5]),
    *[(lambda **x: aopc.Grid(**{"height": 8, "width": 8, "size": 2, **x}), {name: value}) for name in ("height", "width", "size") for value in COUNT_MISTAKES],
    *each(one(aopc.LabelMap, "labels"), "labels", [None, "abc", RAGGED, [[0, 2]], [[-1, 0]], [[0.0, 1.0]], [0, 1], [[]], [[True]], [["a"]]]),
    *each(lambda **x: aopc.ValueRange(*x["bounds"]), "bounds", [(None, None), (5, 6), ("a", "b"), ((), ()), ((0.0,), (0.0,)), ((0.0,), (np.nan,)), ((0.0, 1.0), (1.0,)), (((0.0,),), ((1.0,),)), (RAGGED, RAGGED)]),
    *each(one(aopc.Imputer, "impute"), "impute", [None, 5, "mean", torch]),
    *each(mass, "heatmaps", [None, "abc", np.ones((2, 8)), np.ones((3, 8, 8)), np.ones((2, 7, 8)), RAGGED, NOTHING]),
    *each(mass, "masks", [None, "abc", np.ones((2, 8, 8)), MASKS[:1], MASKS[:, :7], MASKS[0]]),
    *each(pointing, "masks", [None, np.ones((2, 8, 8)), MASKS[:1], MASKS[:, :7]]),
    *each(similarity, "classes", [None, "ab", [1], [1, 2, 3], [0.5, 1.0], [[1, 2]]]),
    *each(similarity, "heatmaps", [None, np.ones(2), np.ones((3, 8, 8)), NOTHING, np.full((2, 8, 8), np.nan)]),
    *each(lambda **x: with_their_spread(VALUES, x["classes"]), "classes", [None, [1], "abc", [0.5, 1, 2]]),
    *each(one(variance_components, "values"), "values", [*ARRAY_MISTAKES, 5.0, VALUES, [[1.0, np.nan], [1.0, 2.0]], [[1.0, 2.0]]]),
    *each(one(StoppingRule, "tolerance"), "tolerance", [0, -1, np.nan, np.inf, "1", None, True, []]),
    *each(lambda **x: rank_correlation(x["first"], np.ones((2, 3))), "first", [*ARRAY_MISTAKES, VALUES, np.ones((2, 2)), np.ones((2, 4)), 5.0]),
    *each(lambda **x: permutation_p(x["first"], VALUES), "first", [*ARRAY_MISTAKES, 5.0, [1.0, 2.0], np.ones((3, 1))]),
    *each(lambda **x: mean_reading("a", x["values"], seed=0), "values", [None, "abc", RAGGED, 5.0, np.ones((2, 2))]),
    *each(lambda **x: mean_reading("a", VALUES, seed=0, side=x["side"]), "side", ["over", None]),
    *each(lambda **x: difference_reading("a", x["first"], VALUES, seed=0), "first", [None, "abc", RAGGED, 5.0]),
    *each(lambda **x: share_reading("a", x["flags"], bound=0.5), "flags", [None, [], "abc", 5, [0.5, 1.0]]),
    *each(lambda **x: share_reading("a", [True], bound=x["bound"]), "bound", [None, -0.1, 1.1, np.nan, "a"]),
    *each(lambda **x: Ranking(**{"orders": np.zeros((2, 1, 16), int), "usable": np.ones(2, bool), **x}), "orders", [None, "abc", np.zeros((2, 16), int), np.zeros((2, 1, 16)), np.full((2, 1, 16), 16), np.full((2, 1, 16), -1)]),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    path = write_files(tmp_path_factory.mktemp("somebodys"))
    return SimpleNamespace(path=path, state=state_of(path))


@pytest.mark.parametrize(("call", "changes"), CASES, ids=[f"{n}-{'-'.join(c[1])}" for n, c in enumerate(CASES)])
def test_a_mistake_is_an_input_error(
    call: Call,
    changes: dict[str, Any],
    folder: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder.path)
    weights, images = [p.clone() for p in NETWORK.parameters()], IMAGES.clone()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(aopc.InputError) as caught:
            call(**changes)
    assert len(caught.value.mistakes) == 1
    assert str(caught.value).isprintable()
    assert 10 < len(str(caught.value)) < 600
    assert isinstance(caught.value, ValueError)
    assert capsys.readouterr() == ("", "")
    assert torch.equal(images, IMAGES)
    assert all(torch.equal(a, b) for a, b in zip(weights, NETWORK.parameters(), strict=True))
    assert state_of(folder.path) == folder.state


def test_what_is_right_is_taken() -> None:
    """The same calls without a mistake."""
    assert curves().logits.shape == (2, 1, 4)
    assert maps().shape == (2, 8, 8)
    assert np.isfinite(aopc.aopc(curves(targets=torch.tensor([0, 4]), image_ids=["a", "b"], batch_size=10**9)))
    for call in (scores, protocol, network, stored_curves, mass, pointing, similarity, interval):
        call()
