"""Run a classifier without leaving a trace on it."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.base.arguments import as_array, as_integer, require_instance
from aopc.base.errors import InputError
from aopc.base.machine import is_out_of_memory
from aopc.base.text import shown
from aopc.models.batch_dependence import Alone, can_share_a_batch, unchanging
from aopc.models.memory_format import memory_format_of
from aopc.models.outputs import checked_scores as checked_scores
from aopc.models.outputs import warn_of


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """The model in evaluation mode (dropout off); its modules' own modes come back afterwards. InputError for an
    exported program, whose mode is fixed.
    """
    # A frozen script has no modes.
    modes = [(module, module.training) for module in model.modules() if hasattr(module, "training")]
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
        device = torch.device(name) if name is not None else best_device()
        if device.type == "meta" or (device.type == "cpu" and device.index):
            raise RuntimeError("nothing can be computed on it")
        return model.to(device)
    except (RuntimeError, AssertionError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot use the device {name!r}: give cpu, or leave it out ({reason})") from error


def default_batch_size(model: nn.Module, image_shape: tuple[int, ...]) -> int:
    """Images a batch: few large ones on a CPU, whose caches they should fit, many on a GPU."""
    values, most = (2**20, 128) if device_of(model).type == "cpu" else (2**26, 2048)
    return max(1, min(most, values // int(np.prod(image_shape))))


def batch_size_of(model: nn.Module, images: Tensor, asked: int | None) -> int:
    """Images a batch: as many as are asked for and there are, or by default; InputError if that is no number of images."""
    if asked is None:
        return default_batch_size(model, tuple(images.shape[1:]))
    return min(as_integer("batch_size", asked, 1, 2**63 - 1), len(images))


@contextmanager
def taking(images: Tensor) -> Iterator[None]:
    """What torch says of images that the model cannot take, as an InputError; not that memory ran out."""
    try:
        yield
    except (RuntimeError, IndexError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"the model cannot take images of shape {tuple(images.shape[1:])}: check their size, channels and"
            f" preprocessing ({reason})"
        ) from error


def as_images(images: Tensor | np.ndarray, model: nn.Module) -> Tensor:
    """Images as a (N, C, H, W) floating-point tensor of the model's dtype, wherever they are; an InputError if they
    have another shape or kind of dtype, are none, or are not finite.
    """
    require_instance("model", model, nn.Module, "a torch.nn.Module")
    try:
        # torch takes no negative strides, which reversing the channels in numpy gives.
        tensor = torch.as_tensor(np.ascontiguousarray(images) if isinstance(images, np.ndarray) else images)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(f"images must be a tensor or an array (N, C, H, W); got {shown(images)}") from error
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        raise InputError(f"images must be a plain tensor with values; got {shown(images)}, {tensor.layout}")
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
    """The model's class scores for a batch, (B, classes); errors as of :func:`checked_scores`."""
    return checked_scores(model(batch), len(batch))


def images_share_a_batch(model: nn.Module, image: Tensor) -> bool:
    """Whether images can go through a model in batches, or must one at a time: see :func:`can_share_a_batch`."""
    return can_share_a_batch(model, image, logits_of)


def memory_format_for(model: nn.Module, image: Tensor) -> torch.memory_format:
    """In which memory format a model gets its images: see :func:`memory_format_of`."""
    return memory_format_of(model, image, logits_of)


def alone(model: nn.Module, image: Tensor) -> Alone:
    """Compares scores of batches with those of images like (1, C, H, W) alone."""
    return Alone(model, image, logits_of)


def as_at_first(model: nn.Module, image: Tensor) -> AbstractContextManager[None]:
    """InputError if an image's scores are others afterwards than before."""
    return unchanging(model, image, logits_of)


# Not in inference mode: a forward pass of the user's own may want gradients, or ask for the mode.
@torch.no_grad()
def predict(
    model: nn.Module,
    images: Tensor | np.ndarray,
    *,
    image_ids: Sequence[str] | None = None,
    batch_size: int | None = None,
) -> NDArray[np.float32]:
    """Class scores of all images, (N, classes) float32, dropout off.

    A score may be −∞, but not the highest of an image.

    Raises
    ------
    InputError
        If an image's scores are NaN or infinite; the message names it.

    Warns
    -----
    ResultWarning
        If the outputs look like probabilities (:func:`aopc.models.outputs.doubt`).
    """
    images, device = as_images(images, model), device_of(model)
    size = batch_size_of(model, images, batch_size)
    with evaluating(model), taking(images):
        size = size if images_share_a_batch(model, images[:1].to(device)) else 1
        batches = [logits_of(model, batch.to(device, copy=True)).float().cpu() for batch in images.split(size)]
    scores = torch.cat(batches).numpy()
    broken = np.flatnonzero(~np.isfinite(scores.max(axis=1)))
    if len(broken):
        name = image_ids[broken[0]] if image_ids is not None else str(broken[0])
        raise InputError(
            f"the model's output is NaN or infinite for {len(broken)} of {len(images)} images, the first of them"
            f" image {name}: check the weights and the preprocessing"
        )
    warn_of(model, scores)
    return scores


def targets_or_predictions(model: nn.Module, images: Tensor, targets: Tensor | np.ndarray | None) -> Tensor:
    """The classes to explain, (N,) int64: those given, or the predicted ones (the paper's choice), which is the output
    itself where there is one only; an InputError if there is not one target an image.
    """
    if targets is None:
        return torch.from_numpy(predict(model, images).argmax(axis=1))
    chosen = as_array("targets", targets, kinds="iu")
    if chosen.shape != (len(images),):
        raise InputError(f"targets must have shape ({len(images)},), one class an image; got {tuple(chosen.shape)}")
    if chosen.min() < 0:
        raise InputError(f"targets must be classes, from 0; got {chosen.min()}")
    return torch.from_numpy(chosen.astype(np.int64))
