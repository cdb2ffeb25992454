"""What a model returns, and what that means: class scores, or probabilities already."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.base.errors import InputError, warned
from aopc.base.names import nearest

#: What a model's outputs are: scores before the softmax, or probabilities.
Output = Literal["logits", "probabilities"]

#: How far a sum of probabilities may be from 1.
_ROUNDING = 1e-2
#: So many values at least must lie between 0 and 1 before that is taken for more than chance.
_ENOUGH = 20
_ONE = (
    "the model has one output, among which there is no class to choose, and whose softmax is always 1: for a yes-or-no"
    " score z return two, torch.cat([torch.zeros_like(z), z], dim=1), whose softmax is z's sigmoid"
)
_MEANINGS = {
    "one": _ONE,
    "probabilities": (
        "the model's outputs are probabilities (none is negative, and those of an image sum to 1), but they are taken"
        " for the scores before the softmax, so a softmax is taken twice: leave out the model's own softmax, or say"
        " --output probabilities (in Python output='probabilities')"
    ),
    "log-probabilities": (
        "the model's outputs are log-probabilities (it ends with a log-softmax): probabilities are right, but what is"
        " recorded and explained as score is not the one before the softmax: leave out the model's log-softmax"
    ),
    "shares": (
        "the model's outputs are never negative and have the same sum for all images, as probabilities in other units:"
        " they are no scores before a softmax, and their softmax is no probability"
    ),
    "sigmoids": (
        "all of the model's outputs lie between 0 and 1 (a sigmoid at its end?): they are no scores before a softmax,"
        " and their softmax is no probability: leave out the model's sigmoid"
    ),
}


def checked_scores(output: Any, count: int) -> Tensor:
    """The class scores in what a model returned for ``count`` images, (count, classes), floating point.

    A tensor is taken as it is; of a mapping the entry ``logits`` or ``out``, or its only tensor; of another object
    its attribute ``logits``, as of torchvision's GoogLeNet and Inception or of a transformer; of a tuple or list the
    first matrix of ``count`` rows, where all others have as many columns (auxiliary classifiers).

    Raises
    ------
    InputError
        If there is none, or more than one could be meant.
    """
    scores = _scores_in(output, count)
    if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != count or not scores.is_floating_point():
        raise InputError(f"the model must return class scores of shape (batch, classes); it returned {_said(scores)}")
    return scores


def _scores_in(output: Any, count: int) -> Any:
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        tensors = [name for name, value in output.items() if isinstance(value, Tensor)]
        names = [name for name in ("logits", "out") if name in tensors] or tensors
        if len(names) != 1:
            raise _unclear(f"a mapping with the tensors {', '.join(map(repr, tensors)) or 'none'}")
        return output[names[0]]
    if hasattr(output, "logits"):
        return output.logits
    if isinstance(output, tuple | list):
        matrices = [v for v in output if isinstance(v, Tensor) and v.ndim == 2 and len(v) == count]
        if len({m.shape[1] for m in matrices}) != 1:
            raise _unclear(f"a {type(output).__name__} of {', '.join(map(_said, output)) or 'nothing'}")
        return matrices[0]
    return output


def _unclear(what: str) -> InputError:
    return InputError(
        f"the model returned {what}, of which it is not clear what the class scores are: wrap it in a module that"
        " returns these alone, (batch, classes)"
    )


def _said(value: object) -> str:
    return f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def require_classes(scores: Tensor | NDArray[np.floating]) -> None:
    """Two outputs at least.

    Raises
    ------
    InputError
        If there is one only, whose softmax is always 1.
    """
    if scores.shape[1] < 2:
        raise InputError(_ONE)


def doubt(scores: NDArray[np.floating]) -> str | None:
    """What to tell the user if outputs (N, classes) look like anything but scores of classes before a softmax.

    A single output's score is explained and recorded as any other, but its probability means nothing.
    Probabilities are none negative with sums of 1, to rounding, in every row; log-probabilities what has such
    exponentials; "shares" sum to something else in at least three different rows; sigmoids lie between 0 and 1, 20
    values or more in at least two rows.
    """
    kind = _kind(np.asarray(scores, dtype=np.float64))
    return _MEANINGS[kind] if kind else None


def _kind(scores: NDArray[np.float64]) -> str | None:
    count, classes = scores.shape
    if classes == 1:
        return "one"
    if count == 0 or np.isnan(scores).any():
        return None
    if scores.min() >= 0:
        sums = scores.sum(axis=1)
        if np.abs(sums - 1).max() < _ROUNDING:
            return "probabilities"
        if np.allclose(scores, scores[0], rtol=1e-3):
            return None
        if scores.max() <= 1 and scores.size >= _ENOUGH:
            return "sigmoids"
        if count > 2 and np.ptp(sums) < 1e-4 * sums.max():
            return "shares"
    elif scores.max() <= _ROUNDING and np.abs(np.exp(scores).sum(axis=1) - 1).max() < _ROUNDING:
        return "log-probabilities"
    return None


def warn_of(model: nn.Module, scores: NDArray[np.floating]) -> str | None:
    """A :class:`ResultWarning` of what :func:`doubt` says of a model's outputs, unless they were said to be
    probabilities; returns it.
    """
    return None if isinstance(model, LogProbabilities) else warned(doubt(scores))


class LogProbabilities(nn.Module):
    """A model whose outputs are probabilities, with their logarithms for class scores.

    These are what is explained and recorded as logits; their softmax is the probabilities themselves. The score of a
    probability that is zero is −∞, which the engine refuses where it is recorded.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        found = checked_scores(self.model(images), len(images))
        sums = found.detach().float().sum(dim=1)
        if bool((found < 0).any()) or bool(((sums - 1).abs() > _ROUNDING).any()):
            raise InputError(
                "the model's outputs are no probabilities (some are negative, or do not sum to 1): leave out --output"
                " probabilities"
            )
        zero = found == 0
        return found.masked_fill(zero, 1).log().masked_fill(zero, -torch.inf)


def with_output(model: nn.Module, output: Output) -> nn.Module:
    """The model with class scores for outputs, where its own are what ``output`` says.

    Raises
    ------
    InputError
        If there is no such kind of output.
    """
    if output not in get_args(Output):
        raise InputError(f"unknown output {output!r}: {nearest(str(output), get_args(Output))}")
    if output == "logits" or isinstance(model, LogProbabilities):
        return model
    return LogProbabilities(model)
