"""Layer-wise relevance propagation with the ε rule and the αβ rule.

Bach et al.: On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation
(2015); Samek et al., section II.C. The rules for linear layers and average pooling are zennit's; added here is local
response normalisation.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from zennit.core import BasicHook, Hook, Stabilizer
from zennit.rules import AlphaBeta, ClampMod, Epsilon, Norm, Pass

from aopc.explainers.backward.coverage import ACTIVATIONS, MOVES, SCALINGS, SHIFTS
from aopc.explainers.backward.recording import AVERAGE, BATCH_NORM, LINEAR, PADDING, RESPONSE_NORM
from aopc.explainers.backward.rules import RuleSet

Normalisation = Literal["taylor", "identity"]


class NormalisationTaylor(Hook):
    """Local response normalisation: first-order Taylor expansion, normalised to conserve relevance.

    Binder et al.: Layer-wise Relevance Propagation for Neural Networks with Local Renormalization Layers (2016),
    equation 12, for y_j = x_j s_j^(−β) with s_j = k + α/n Σ_i x_i² over j's window: the expansion around the point
    where only x_j is not zero gives the contributions

        z_jj = x_j (k + α/n x_j²)^(−β),    z_ij = −2 (α/n) β x_i² x_j s_j^(−β−1)  for i ≠ j.

    As published, R_i = Σ_j z_ij, which does not conserve relevance. Here R_i = Σ_j z_ij / z_j R_j with
    z_j = Σ_i z_ij. The denominator cannot vanish for x_j ≠ 0: z_j / x_j ≥ (1 − 2/e) (k + α/n x_j²)^(−β).
    """

    def forward(self, module: nn.Module, input: tuple[Tensor, ...], output: Tensor) -> None:
        self.stored_tensors["input"] = input[0].detach()

    def backward(self, module: Any, grad_input: Any, grad_output: Any) -> tuple[Tensor]:
        x, relevance = self.stored_tensors["input"], grad_output[0]
        alpha, beta, k, size = (module.arguments[name] for name in ("alpha", "beta", "k", "size"))
        scale = alpha / size
        squares = x.square()
        s = k + scale * _window_sum(squares, size)
        # Of a zero there is nothing to share, and without k no power.
        own = torch.where(x == 0, 0, (k + scale * squares).pow(-beta))
        others = -2 * scale * beta * s.pow(-beta - 1)
        # Every contribution to output j holds the factor x_j, which cancels in z_ij / z_j.
        total = own + others * (_window_sum(squares, size) - squares)
        share = torch.where(x == 0, 0, relevance / total)
        spread = _window_sum(others * share, size, adjoint=True) - others * share
        return (own * share + squares * spread,)


def _window_sum(values: Tensor, size: int, adjoint: bool = False) -> Tensor:
    """Sums over the channels j − size//2 … j + (size−1)//2 of each channel j, as torch's LRN does; ``adjoint``: over
    those channels j in whose window a channel is.
    """
    before, after = size // 2, (size - 1) // 2
    if adjoint:
        before, after = after, before
    padded = nn.functional.pad(values, (0, 0) * (values.ndim - 2) + (before, after))
    return padded.unfold(1, size, 1).sum(-1)


def _nonzero(denominators: Tensor) -> Tensor:
    """Zero denominators made infinite, so that they pass nothing on; the others as they are.

    Zero is what is below the dtype's normal range. A quotient that overflows is seen as such, and computed in float64.
    """
    return torch.where(denominators.abs() < torch.finfo(denominators.dtype).tiny, torch.inf, denominators)


class AlphaBetaRule(AlphaBeta):
    """zennit's αβ rule, without the half of it that belongs to negative inputs where there are none.

    Behind a ReLU that is everywhere: the terms left out are products with zero.
    """

    def __init__(self, alpha: float, beta: float) -> None:
        super().__init__(alpha=alpha, beta=beta, stabilizer=_nonzero)
        self._settings = alpha, beta
        self._positive = BasicHook(
            # Copies: the gradients of the two are needed one by one.
            input_modifiers=[lambda inputs: inputs.detach().clone()] * 2,
            param_modifiers=[ClampMod(min=0.0), ClampMod(max=0.0)],
            gradient_mapper=lambda relevance, outputs: [relevance / _nonzero(z) for z in outputs],
            reducer=lambda inputs, gradients: alpha * inputs[0] * gradients[0] - beta * inputs[1] * gradients[1],
        )

    def backward(self, module: Any, grad_input: Any, grad_output: Any) -> Any:
        if bool((self.stored_tensors["input"][0] >= 0).all()):
            self._positive.stored_tensors = self.stored_tensors
            return self._positive.backward(module, grad_input, grad_output)
        return super().backward(module, grad_input, grad_output)

    def copy(self) -> "AlphaBetaRule":
        return type(self)(*self._settings)


def _whole(relevance: Tensor) -> Tensor:
    """An element's only input takes all of its relevance."""
    return relevance


def _rules(linear: Callable[[], Hook], stabiliser: Callable[[Tensor], Tensor], normalisation: Normalisation) -> RuleSet:
    return RuleSet(
        "LRP",
        layers={
            LINEAR: linear,
            AVERAGE: lambda: Norm(stabilizer=stabiliser),
            RESPONSE_NORM: NormalisationTaylor if normalisation == "taylor" else Pass,
            BATCH_NORM: None,
            PADDING: None,
        },
        # Steps that scale each value by itself pass relevance on unscaled. So does active dropout
        # (:mod:`aopc.models.dropout`), and what it dropped has none to pass on.
        nodes=dict.fromkeys(MOVES) | dict.fromkeys(ACTIVATIONS | SCALINGS | SHIFTS, _whole),
        addition=stabiliser,
        folds=True,
        divides=True,
        starts_from_score=True,
    )


def epsilon(*, epsilon: float, normalisation: Normalisation = "taylor") -> RuleSet:
    """LRP with the ε rule, R_i = Σ_j z_ij / (z_j + ε sign(z_j)) R_j, sign(0) = 1.

    z_j is the layer's output, bias included, so the bias' share of the relevance is lost, as is that of ε. Heatmaps
    are sums over the colour channels; values have a sign: positive relevance speaks for the target class.

    Average pooling and sums of two branches share relevance in the same way. Activations, and steps that multiply each
    value by a number, pass it whole. Batch normalisation is folded into the layer before it. An affine step on the
    image itself, such as a normalisation inside the model, is taken for preprocessing: the pixel has the relevance of
    its normalised value. Networks with other steps are refused.
    """
    return _rules(lambda: Epsilon(epsilon=epsilon), Stabilizer(epsilon), normalisation)


def alpha_beta(*, alpha: float = 2.0, beta: float = 1.0, normalisation: Normalisation = "taylor") -> RuleSet:
    """LRP with the αβ rule, R_i = Σ_j (α z⁺_ij / z⁺_j − β z⁻_ij / z⁻_j) R_j, α − β = 1.

    The signs are those of the products z_ij, and the bias is split by its sign into the two denominators. Average
    pooling and sums of two branches, whose contributions after a ReLU are all positive, share relevance in proportion
    to them, since α z⁺ alone would multiply it by α. The paper writes β as a negative number: its α = 2, β = −1 is ``alpha=2, beta=1``
    here. Heatmaps and models as in :func:`epsilon`.
    """
    return _rules(lambda: AlphaBetaRule(alpha, beta), _nonzero, normalisation)
