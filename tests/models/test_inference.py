"""A classifier runs without a trace on it."""

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from aopc.models.inference import (
    as_images,
    batch_size_of,
    default_batch_size,
    device_of,
    evaluating,
    predict,
    taking,
    targets_or_predictions,
    to_device,
)


def test_prediction_names_the_image_with_nan() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    nn.init.constant_(model[1].weight, torch.nan)
    with pytest.raises(aopc.InputError, match=r"image b\.png"):
        predict(model, torch.ones(1, 3, 2, 2), image_ids=["b.png"])


def test_an_exported_program_is_refused_in_one_line() -> None:
    x = torch.rand(1, 3, 4, 4)
    exported = torch.export.export(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), (x,)).module()
    with pytest.raises(aopc.InputError, match="give the module that it was made of"):
        aopc.heatmaps(exported, x, "sensitivity-l2", [0])


class Noting(nn.Module):
    """The sums of each image's channels, and what it was given and how."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.sizes: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(x))
        return self.dropout(x).sum((2, 3))


def images(count: int = 5) -> torch.Tensor:
    return torch.arange(count * 12.0).reshape(count, 3, 2, 2)


def test_scores_are_the_models_in_evaluation_mode_whatever_the_batch() -> None:
    model, x = Noting().train(), images()
    expected = x.sum((2, 3)).numpy()
    for size, sizes in ((None, [5]), (2, [2, 2, 1]), (99, [5])):
        model.sizes.clear()
        found = predict(model, x, batch_size=size)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.float32
        assert model.sizes[-len(sizes) :] == sizes
    np.testing.assert_array_equal(predict(model, x.numpy()[:, ::-1]), expected[:, ::-1])
    assert model.training
    assert model.dropout.training


def test_each_modules_own_mode_comes_back() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()).eval())
    with evaluating(model) as same:
        assert same is model
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, True, False, False]
    with pytest.raises(KeyError), evaluating(model):
        raise KeyError
    assert [module.training for module in model.modules()] == [True, True, False, False]


def test_a_score_may_be_minus_infinity_but_not_the_highest() -> None:
    class Fixed(nn.Module):
        def __init__(self, *scores: float) -> None:
            super().__init__()
            self.scores = torch.tensor(scores)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.scores.expand(len(x), -1).clone()

    assert predict(Fixed(1.0, -torch.inf), images(2)).tolist() == [[1, -np.inf]] * 2
    for scores in ((1.0, torch.inf), (-torch.inf, -torch.inf), (1.0, torch.nan)):
        with pytest.raises(aopc.InputError, match="NaN or infinite for 2 of 2 images, the first of them image 0"):
            predict(Fixed(*scores), images(2))


def test_batches_are_small_for_large_images_and_no_more_than_there_are() -> None:
    model = nn.Linear(2, 2)
    assert default_batch_size(model, (3, 224, 224)) == 2**20 // (3 * 224 * 224)
    assert default_batch_size(model, (1, 8, 8)) == 128
    assert default_batch_size(model, (3, 5000, 5000)) == 1
    x = images()
    assert [batch_size_of(model, x, asked) for asked in (None, 1, 5, 6)] == [128, 1, 5, 5]
    for wrong in (0, -1, 1.5, True, "2"):
        with pytest.raises(aopc.InputError, match="batch_size"):
            batch_size_of(model, x, wrong)  # type: ignore[arg-type]


def test_devices_by_name() -> None:
    model = nn.Linear(2, 2)
    assert to_device(model, "cpu") is model
    assert device_of(model) == device_of(nn.ReLU()) == torch.device("cpu")
    for wrong in ("meta", "cpu:1", "gpu", "", "cuda:99"):
        with pytest.raises(
            aopc.InputError, match=f"cannot use the device '{wrong}': give cpu, or leave it out"
        ) as caught:
            to_device(model, wrong)
        assert "\n" not in str(caught.value)


def test_images_become_the_models_dtype() -> None:
    x = images(2)
    assert as_images(x, nn.Linear(1, 1).double()).dtype == torch.float64
    assert as_images(x.double(), nn.Linear(1, 1)).dtype == torch.float32
    assert as_images(x.double(), nn.ReLU()).dtype == torch.float64
    assert torch.equal(as_images(x.numpy()[..., ::-1], nn.ReLU()), x.flip(3))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (images(2)[0], r"of shape \(N, C, H, W\), .* got torch.float32 of shape \(3, 2, 2\)"),
        (images(2).long(), "floating-point, .* got torch.int64"),
        (images(0), r"got torch.float32 of shape \(0, 3, 2, 2\)"),
        (images(2).to_sparse(), "a plain tensor with values"),
        (images(2).to("meta"), "a plain tensor with values"),
        (images(2) * torch.nan, "NaN or infinite"),
        (images(2) / 0, "NaN or infinite"),
        ("cat.png", "a tensor or an array"),
        (np.array([["a"]]), "a tensor or an array"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(given: object, said: str) -> None:
    with pytest.raises(aopc.InputError, match=said) as caught:
        as_images(given, nn.ReLU())  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(aopc.InputError, match=r"model must be a torch\.nn\.Module"):
        as_images(images(2), lambda x: x)  # type: ignore[arg-type]


def test_images_that_the_model_cannot_take_are_said_with_torchs_reason() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(7, 2))
    with pytest.raises(
        aopc.InputError, match=r"cannot take images of shape \(3, 2, 2\): .*\(.*mat1 and mat2"
    ) as caught:
        predict(model, images(2))
    assert "\n" not in str(caught.value)
    with pytest.raises(KeyError), taking(images(2)):
        raise KeyError  # what is not torch's is the model's own
    with pytest.raises(torch.OutOfMemoryError), taking(images(2)):
        raise torch.OutOfMemoryError


def test_targets_are_those_given_or_the_predicted() -> None:
    x = images(3)
    model = Noting()
    assert targets_or_predictions(model, x, None).tolist() == [2, 2, 2]
    assert targets_or_predictions(model, -x, None).tolist() == [0, 0, 0]
    for given in (torch.tensor([2, 0, 1]), np.array([2, 0, 1], np.uint8)):
        found = targets_or_predictions(model, x, given)
        assert (found.tolist(), found.dtype) == ([2, 0, 1], torch.int64)
    for wrong, said in (
        ([0, 1], r"targets must have shape \(3,\), one class an image; got \(2,\)"),
        ([[0], [1], [2]], r"got \(3, 1\)"),
        ([0, -1, 2], "from 0; got -1"),
        ([0.0, 1.0, 2.0], "targets"),
    ):
        with pytest.raises(aopc.InputError, match=said):
            targets_or_predictions(model, x, np.array(wrong))
