"""Run a classifier without leaving a trace on it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.base.errors import InputError


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """The model in evaluation mode (dropout off); its modules' own modes come back afterwards. InputError for an
    exported program, whose mode is fixed.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
    except NotImplementedError as error:
        raise InputError("an exported program has no evaluation mode: give the module that it was made of") from error
    try:
        yield model
    finally:
        for module, training in modes:
            module.training = training


def device_of(model: nn.Module) -> torch.device:
    """The device of the model's parameters, the CPU for a model without any."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def best_device() -> torch.device:
    """The first GPU where there is one, otherwise the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def to_device(model: nn.Module, name: str | None = None) -> nn.Module:
    """The model on the named device, or on the best one; an InputError if there is no such device here."""
    try:
        return model.to(torch.device(name) if name else best_device())
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot use the device {name!r}: give cpu, or leave it out ({reason})") from error


def default_batch_size(model: nn.Module, image_shape: tuple[int, ...]) -> int:
    """Images a batch: few large ones on a CPU, whose caches they should fit, many on a GPU."""
    values, most = (2**20, 128) if device_of(model).type == "cpu" else (2**26, 2048)
    return max(1, min(most, values // int(np.prod(image_shape))))


def as_images(images: Tensor | np.ndarray, model: nn.Module) -> Tensor:
    """Images as a (N, C, H, W) floating-point tensor of the model's dtype, wherever they are; an InputError if they
    have another shape or kind of dtype, are none, or are not finite.
    """
    # torch takes no negative strides, which reversing the channels in numpy gives.
    tensor = torch.as_tensor(np.ascontiguousarray(images) if isinstance(images, np.ndarray) else images)
    if tensor.ndim != 4 or not tensor.is_floating_point() or tensor.numel() == 0:
        raise InputError(
            "images must be floating-point, of shape (N, C, H, W), in the model's input space;"
            f" got {tensor.dtype} of shape {tuple(tensor.shape)}"
        )
    if not bool(torch.isfinite(tensor).all()):
        raise InputError("images hold NaN or infinite values: check the preprocessing")
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), tensor.dtype)
    return tensor.to(dtype)


def logits_of(model: nn.Module, batch: Tensor) -> Tensor:
    """The model's class scores for a batch, (B, classes); an InputError if the output has another shape."""
    return checked_scores(model(batch), len(batch))


def checked_scores(output: Any, count: int) -> Tensor:
    """A model's output for ``count`` images, (count, classes). Errors as of :func:`logits_of`."""
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != count:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise InputError(f"the model must return class scores of shape (batch, classes); it returned {shape}")
    return output


@torch.inference_mode()
def predict(
    model: nn.Module,
    images: Tensor | np.ndarray,
    *,
    image_ids: Sequence[str] | None = None,
    batch_size: int | None = None,
) -> NDArray[np.float32]:
    """Class scores of all images, (N, classes) float32, dropout off; an InputError that names the image if one is not
    finite.
    """
    images, device = as_images(images, model), device_of(model)
    size = batch_size or default_batch_size(model, tuple(images.shape[1:]))
    with evaluating(model):
        batches = [logits_of(model, batch.to(device, copy=True)).float().cpu() for batch in images.split(size)]
    scores = torch.cat(batches).numpy()
    broken = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if len(broken):
        name = image_ids[broken[0]] if image_ids is not None else str(broken[0])
        raise InputError(
            f"the model's output is NaN or infinite for {len(broken)} of {len(images)} images, the first of them"
            f" image {name}: check the weights and the preprocessing"
        )
    return scores


def targets_or_predictions(model: nn.Module, images: Tensor, targets: Tensor | np.ndarray | None) -> Tensor:
    """The classes to explain, (N,) int64: those given, or the predicted ones (the paper's choice); an InputError if
    there is not one target an image.
    """
    if targets is None:
        return torch.from_numpy(predict(model, images).argmax(axis=1))
    chosen = torch.as_tensor(targets).to(torch.int64).cpu()
    if chosen.shape != (len(images),):
        raise InputError(f"targets must have shape ({len(images)},), one class an image; got {tuple(chosen.shape)}")
    return chosen
