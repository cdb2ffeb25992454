"""A removal of the user's own: what it is given, what it may give, and what becomes of bad ones."""

import asyncio
import os
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import aopc
from aopc.base.random import Stream
from conftest import Recorder, images, small_network

KEPT = np.zeros((3, 13, 13), dtype=np.float32)


def one_buffer(image: np.ndarray, values: aopc.ValueRange, stream: Stream) -> np.ndarray:
    """Gives the same memory each time."""
    KEPT[:] = values.scale(stream.uniform(image.shape))
    return KEPT


def fresh(image: np.ndarray, values: aopc.ValueRange, stream: Stream) -> np.ndarray:
    return values.scale(stream.uniform(image.shape))


def in_place(image: np.ndarray, values: aopc.ValueRange, stream: Stream) -> np.ndarray:
    image[:] = values.scale(stream.uniform(image.shape))
    return image


def wider(image: np.ndarray, values: aopc.ValueRange, stream: Stream) -> np.ndarray:
    return fresh(image, values, stream).astype(np.float64)


def a_tensor(image: np.ndarray, values: aopc.ValueRange, stream: Stream) -> torch.Tensor:
    return torch.from_numpy(fresh(image, values, stream))


def curves(removal: Any, **options: Any) -> np.ndarray:
    x = images(2, 13, 13)
    common = dict(region_size=3, steps=25, repeats=3, value_range=(-1, 2), image_ids=["dog", "cat"]) | options
    return aopc.perturbation_curves(small_network(), x, x.sum(1), [0, 1], removal=removal, **common).logits


@pytest.mark.parametrize("removal", [one_buffer, in_place, wider, a_tensor])
def test_what_a_fill_does_with_memory_does_not_matter(removal: Callable[..., Any]) -> None:
    np.testing.assert_array_equal(curves(removal), curves(fresh))


class Calls:
    count = 0


def of_the_calls(image: np.ndarray, values: aopc.ValueRange, stream: Stream) -> np.ndarray:
    Calls.count += 1
    return np.full_like(image, Calls.count)


@pytest.mark.parametrize("imputer", [False, True])
@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (lambda image: image[0], r"must return an image of shape \(3, 13, 13\); it returned \(13, 13\)"),
        (lambda image: None, "it returned NoneType"),
        (lambda image: "noise", "it returned str"),
        (lambda image: [[1, 2], [3]], "must return an array; it returned list|it returned list"),
        (lambda image: image * 1j, "must return real numbers; it returned complex"),
        (lambda image: image > 0, "must return real numbers; it returned bool"),
        (lambda image: np.full_like(image, np.nan), "NaN or infinite"),
        (lambda image: np.full(image.shape, 1e300), "NaN or infinite"),
        (lambda image: image / 0 if image is None else 1 / 0, "division by zero"),
    ],
)
def test_what_is_no_image_is_refused_by_name(gives: Callable[[np.ndarray], Any], said: str, imputer: bool) -> None:
    def mine(image: np.ndarray, *more: object) -> Any:
        return gives(image)

    with pytest.raises(aopc.InputError, match=said) as caught:
        curves(aopc.Imputer(mine) if imputer else mine)
    assert "\n" not in str(caught.value)
    assert "removal 'mine'" in str(caught.value)
    assert "for image dog" in str(caught.value)


def test_a_fill_that_does_not_draw_from_its_stream_is_refused() -> None:
    for removal in (of_the_calls, lambda image, values, stream: np.random.rand(*image.shape)):  # noqa: NPY002
        with pytest.raises(aopc.InputError, match="the same stream gives another image"):
            curves(removal)


def test_a_range_of_arrays_cannot_be_changed() -> None:
    low = np.array([-1.0, -1.0, -1.0])

    def changes(image: np.ndarray, values: aopc.ValueRange, stream: Stream) -> np.ndarray:
        low[:] = -50
        return values.scale(stream.uniform(image.shape))

    values = aopc.ValueRange(low, np.array([2.0, 2.0, 2.0]))  # type: ignore[arg-type]
    np.testing.assert_array_equal(curves(changes, value_range=values), curves(fresh))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_each_step_removes_one_region_in_every_precision(dtype: torch.dtype) -> None:
    """Of 50,176 regions, more than 16 bits can count."""

    class Removed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kind, self.seen = torch.nn.Parameter(torch.zeros(1)), []

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen.append((x[:, 0] > 5).sum((1, 2)))
            return torch.zeros(len(x), 2).to(x)

    model, x = Removed().to(dtype), torch.zeros(1, 1, 224, 224)
    aopc.perturbation_curves(
        model, x, torch.rand(1, 224, 224), [0], region_size=1, steps=4, repeats=1, value_range=(0, 1),
        removal=lambda image, values, stream: image + 10,
    )  # fmt: skip
    assert torch.cat(model.seen).tolist()[-4:] == [1, 2, 3, 4]


def test_heatmaps_are_ranked_in_their_own_precision() -> None:
    """Differences that float32 does not hold still order the regions."""
    x, maps = images(1, 6, 6), torch.full((1, 6, 6), 1.0, dtype=torch.float64)
    maps[0, 2:4, 2:4] += 1e-12
    model = Recorder((6, 6))
    aopc.perturbation_curves(model, x, maps, [0], region_size=2, steps=1, repeats=1)
    changed = (model.seen[-1][0] != x[0]).any(0)
    assert changed[2:4, 2:4].all()
    assert changed.sum() == 4


def changes_settings(model: torch.nn.Module, image: np.ndarray) -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_autocast_enabled("cpu", True)
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("medium")
    torch.set_num_threads(2)
    torch.backends.mkldnn.enabled = False
    np.seterr(all="raise")
    os.chdir("/")
    os.environ["AOPC_TEST"] = "changed"
    sys.path.insert(0, "elsewhere")
    sys.stdout = None  # type: ignore[assignment]
    warnings.simplefilter("error")


def draws(model: torch.nn.Module, image: np.ndarray) -> None:
    torch.manual_seed(3), np.random.seed(3), random.seed(3)  # noqa: NPY002


def takes_a_gradient(model: torch.nn.Module, image: np.ndarray) -> None:
    model(torch.from_numpy(image)[None]).sum().backward()


HARMLESS: dict[str, Callable[[torch.nn.Module, np.ndarray], object]] = {
    "settings": changes_settings,
    "random numbers": draws,
    "gradient": takes_a_gradient,
    "training mode": lambda m, i: m.train(),
    "no gradients": lambda m, i: m.requires_grad_(False),
    "image": lambda m, i: i.fill(9),
}
REFUSED: dict[str, Callable[[torch.nn.Module, np.ndarray], object]] = {
    "weights": lambda m, i: m[0].weight.data.mul_(2),
    "hook": lambda m, i: m.register_forward_hook(lambda *_: None),
    "forward": lambda m, i: setattr(m[1], "forward", lambda x: x),
}


def _around() -> list[object]:
    return [
        torch.get_default_dtype(), torch.is_autocast_enabled("cpu"), torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(), torch.get_num_threads(), torch.backends.mkldnn.enabled, np.geterr(),
        Path.cwd(), dict(os.environ), list(sys.path), sys.stdout, list(warnings.filters), torch.get_rng_state().tolist(),
        repr(np.random.get_state()), random.getstate(),  # noqa: NPY002
    ]  # fmt: skip


def _model_with(act: Callable[[torch.nn.Module, np.ndarray], object], imputer: bool) -> tuple[torch.nn.Module, Any]:
    model = small_network()

    def mine(image: np.ndarray, *given: Any) -> np.ndarray:
        made = fresh(image, *given[-2:])
        act(model, image)
        return made

    return model, aopc.Imputer(mine) if imputer else mine


@pytest.mark.parametrize("imputer", [False, True])
@pytest.mark.parametrize("kind", HARMLESS)
def test_what_a_removal_leaves_behind_is_put_back(kind: str, imputer: bool) -> None:
    model, removal = _model_with(HARMLESS[kind], imputer)
    x, before = images(2, 13, 13), _around()
    common = dict(region_size=3, steps=5, repeats=2, value_range=(-1, 2), image_ids=["dog", "cat"])
    found = aopc.perturbation_curves(model, x, x.sum(1), [0, 1], removal=removal, **common).logits
    assert _around() == before
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not any(m.training for m in model.modules())
    np.testing.assert_allclose(found, curves(fresh, steps=5, repeats=2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("imputer", [False, True])
@pytest.mark.parametrize("kind", REFUSED)
def test_a_removal_that_changes_the_network_is_refused_and_the_network_put_back(kind: str, imputer: bool) -> None:
    model, removal = _model_with(REFUSED[kind], imputer)
    x = images(2, 13, 13)
    before = model(x)
    with pytest.raises(aopc.InputError, match="removal 'mine' changed the network and did not put it back"):
        aopc.perturbation_curves(model, x, x.sum(1), [0, 1], removal=removal, region_size=3, steps=5, repeats=2)
    assert torch.equal(model(x), before)
    assert not model._forward_hooks


def test_a_removal_that_changes_the_callers_images_does_not_change_the_curves() -> None:
    model, x = small_network(), images(2, 13, 13)

    def mine(image: np.ndarray, values: aopc.ValueRange, stream: Stream) -> np.ndarray:
        x.zero_()
        return fresh(image, values, stream)

    common = dict(region_size=3, steps=25, repeats=3, value_range=(-1, 2), image_ids=["dog", "cat"])
    found = aopc.perturbation_curves(model, x, x.sum(1), [0, 1], removal=mine, **common).logits
    np.testing.assert_array_equal(found, curves(fresh))


class Silent(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize("imputer", [False, True])
@pytest.mark.parametrize(
    "error", [SystemExit("a\nb"), GeneratorExit(), StopIteration(), asyncio.CancelledError(), BaseException(), Silent()]
)
def test_whatever_a_removal_raises_is_one_line(error: BaseException, imputer: bool) -> None:
    def mine(*_: object) -> np.ndarray:
        raise error

    with pytest.raises(aopc.InputError, match=r"removal 'mine': .* for image dog") as caught:
        curves(aopc.Imputer(mine) if imputer else mine)
    assert "\n" not in str(caught.value)


def test_masks_are_not_lost() -> None:
    with pytest.raises(aopc.InputError, match="must return an array; it returned MaskedArray"):
        curves(lambda image, *_: np.ma.masked_array(image, mask=image > 0))


def test_an_imputer_that_draws_from_numpy_gives_the_same_again() -> None:
    def mine(image: np.ndarray, *_: object) -> np.ndarray:
        return np.random.rand(*image.shape)  # noqa: NPY002

    first = curves(aopc.Imputer(mine))
    np.random.rand(3)  # noqa: NPY002
    np.testing.assert_array_equal(curves(aopc.Imputer(mine)), first)
