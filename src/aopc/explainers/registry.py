"""Explainers by name. Nothing is imported here: zennit takes a second, torch three."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aopc.base.errors import InputError
from aopc.base.names import resolve
from aopc.explainers.contract import check_callable
from aopc.perturbation.order import RANDOM


@dataclass(frozen=True)
class Backward:
    """An explainer by one backward pass; it shares the forward pass with others of its kind.

    Attributes
    ----------
    rules
        Module and function that give the rules (:class:`aopc.explainers.backward.rules.RuleSet`).
    settings
        Of the function.
    norm
        The heatmap is this norm of the signal over the colour channels, 2 or ∞; None: the sum.
    """

    rules: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    norm: float | None = None

    @property
    def signal(self) -> str:
        """Names the signal; explainers with the same one differ in the norm only."""
        return f"{self.rules} {sorted(self.settings.items())}"


_EPSILON, _ALPHA_BETA = "aopc.explainers.lrp:epsilon", "aopc.explainers.lrp:alpha_beta"
_GRADIENT = "aopc.explainers.sensitivity:gradient"
_DECONVOLUTION = "aopc.explainers.deconvolution:deconvolution"

#: Name → explainer, or where it is, in the order of the paper's legend.
EXPLAINERS: dict[str, Backward | str] = {
    "sensitivity-l2": Backward(_GRADIENT, norm=2.0),
    "sensitivity-linf": Backward(_GRADIENT, norm=float("inf")),
    "deconvolution-l2": Backward(_DECONVOLUTION, norm=2.0),
    "deconvolution-linf": Backward(_DECONVOLUTION, norm=float("inf")),
    "lrp-epsilon-0.01": Backward(_EPSILON, {"epsilon": 0.01}),
    "lrp-epsilon-100": Backward(_EPSILON, {"epsilon": 100.0}),
    "lrp-alpha2-beta1": Backward(_ALPHA_BETA, {"alpha": 2.0, "beta": 1.0}),
    RANDOM: "aopc.explainers.random:random",
}

#: Beyond the paper: baselines that do not know the network, and LRP with the other treatment of local response
#: normalisation.
FURTHER: dict[str, Backward | str] = {
    "centre-first": "aopc.explainers.baselines:centre_first",
    "image-edges": "aopc.explainers.baselines:image_edges",
    "lrp-alpha2-beta1-lrn-identity": Backward(_ALPHA_BETA, {"alpha": 2.0, "beta": 1.0, "normalisation": "identity"}),
}


def get_explainer(name: str) -> Any:
    """The :class:`Backward` or :class:`aopc.explainers.contract.Explainer` called ``name``: a key of
    :data:`EXPLAINERS` or of :data:`FURTHER`, or ``package.module:function``; InputError if there is none, or it is no
    explainer (:func:`aopc.explainers.contract.check_callable`).
    """
    found = resolve("explainer", EXPLAINERS | FURTHER, name, of=(Backward, Callable))
    if not isinstance(found, Backward):
        check_callable(name, found)
    return found


def get_explainers(names: Iterable[str]) -> dict[str, Any]:
    """Name → explainer (:func:`get_explainer`), each name once.

    Raises
    ------
    InputError
        If there is no such explainer, or two names lead to the same one, which would be counted twice.
    """
    found: dict[str, Any] = {}
    for name in dict.fromkeys(names):
        explainer = get_explainer(name)
        for other, known in found.items():
            if known is explainer or (isinstance(known, Backward) and known == explainer):
                raise InputError(f"the explainers {other} and {name} are the same one: leave one out")
        found[name] = explainer
    return found
