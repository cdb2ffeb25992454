"""Sets of rules, and how they are put in place in the graph of a forward pass."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor
from torch.autograd.graph import Node
from zennit.core import Hook
from zennit.rules import Pass

from aopc.explainers.backward.coverage import SHIFTS, Graph
from aopc.explainers.backward.folding import can_fold, folded
from aopc.explainers.backward.recording import BATCH_NORM, Layer


@dataclass(frozen=True)
class RuleSet:
    """How a signal goes backward through a network.

    Attributes
    ----------
    name
        In messages.
    layers
        Kind of layer (:mod:`aopc.explainers.backward.recording`) → gives its hook; None: the gradient.
    nodes
        Name of a node of the autograd graph → the signal of its input by that of its output; None: the gradient.
    addition
        Gives the denominators of a sum of two values that the image reaches, in which each takes its share; None: the
        gradient.
    folds
        Batch normalisation is folded into the layer before it.
    divides
        Signals are divided by the network's own values, so that they can become too small for their dtype at once.
    starts_from_score
        The signal starts at the target's score with the score's value (LRP and deconvolution), not with 1 (the
        gradient).

    A set without layers and nodes is the gradient, which every network has. Networks that another set does not cover
    are refused.
    """

    name: str = "the gradient"
    layers: Mapping[str, Callable[[], Hook] | None] = field(default_factory=dict)
    nodes: Mapping[str, Callable[[Tensor], Tensor] | None] = field(default_factory=dict)
    addition: Callable[[Tensor], Tensor] | None = None
    folds: bool = False
    divides: bool = False
    starts_from_score: bool = False

    @property
    def changes_nothing(self) -> bool:
        """Whether it is the gradient."""
        return not self.layers and not self.nodes


class Plan:
    """Where in a graph the rules of a set act; InputError if they do not cover it.

    Parameters
    ----------
    graph
        Of a forward pass.
    rules
        One set.
    see
        Is given every signal that a rule made, on its way, and the inputs of layers as ``values=True``.
    """

    def __init__(self, graph: Graph, rules: RuleSet, see: Callable[..., None]) -> None:
        self._graph, self._rules, self._see = graph, rules, see
        self._register: list[Callable[[], Any]] = []
        if not rules.divides:
            # Without rules in between, products of small numbers vanish unseen.
            self._register += [partial(node.register_prehook, self._passing) for node in graph.between]
        if rules.changes_nothing:
            return
        norms: dict[Node, list[Layer]] = defaultdict(list)
        for step in graph.steps(rules.layers, rules.nodes, rules.name):
            if not isinstance(step, Layer):
                self._at_node(step)
            elif step.kind == BATCH_NORM and rules.folds:
                norms[graph.before(step)] = [step, *norms[step.exit]]
                self._require_foldable(step)
                self._at_layer(step, Pass())
            elif (rule := rules.layers[step.kind]) is not None:
                behind = norms.get(step.exit)
                self._at_layer(folded(step, behind) if behind else step, rule())

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The rules act, and no longer afterwards."""
        handles = [register() for register in self._register]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _passing(self, signals: tuple[Tensor | None, ...]) -> None:
        for signal in signals:
            if signal is not None:
                self._see(signal)

    def _require_foldable(self, norm: Layer) -> None:
        layers, before = self._graph.record.layers, self._graph.before(norm)
        layer = layers.get(before)
        while layer is not None and layer.kind == BATCH_NORM and self._graph.only_reader(layer):
            layer = layers.get(self._graph.before(layer))
        if not can_fold(layer) or not self._graph.only_reader(norm):
            why = "which does not directly follow a convolution or linear layer that nothing else reads"
            raise self._graph.refusal(self._rules.name, norm.exit, why)

    def _at_layer(self, layer: Layer, hook: Hook) -> None:
        if self._rules.divides:
            self._see(layer.input, values=True)

        def arriving(signals: tuple[Tensor, ...]) -> None:
            hook.forward(layer, (layer.input,), None)
            hook.stored_tensors["grad_output"] = signals

        def leaving(gradients: tuple[Tensor, ...], _: Any) -> tuple[Tensor, ...]:
            (signal,) = hook.backward(layer, (layer.input,), hook.stored_tensors["grad_output"])
            hook.stored_tensors.clear()
            # The network may go on in other numbers here.
            signal = signal.to(gradients[0])
            self._see(signal)
            return (signal,)

        self._register += [
            partial(layer.exit.register_prehook, arriving), partial(layer.entry.register_hook, leaving),
        ]  # fmt: skip

    def _at_node(self, node: Node) -> None:
        places, kind = self._graph.sources(node), node.name()
        if kind in SHIFTS and self._rules.addition is not None:
            operands = self._graph.record.operands.get(node)
            if len(places) == 2:
                self._at_sum(node, operands)
                return
            if operands != [] and not self._graph.is_preprocessing(node):
                why = "which adds what does not come from the image: make it the bias of the layer before"
                raise self._graph.refusal(self._rules.name, node, why)
        if (rule := self._rules.nodes[kind]) is not None:
            (place,) = places

            def leaving(gradients: tuple[Tensor, ...], signals: tuple[Tensor, ...]) -> tuple[Any, ...]:
                changed = rule(signals[0])
                if changed is not signals[0]:
                    self._see(changed)
                signal = changed.sum_to_size(gradients[place].shape)
                return (*gradients[:place], signal, *gradients[place + 1 :])

            self._register.append(partial(node.register_hook, leaving))

    def _at_sum(self, node: Node, operands: list[tuple[Tensor, int]] | None) -> None:
        if operands is None:
            raise self._graph.refusal(self._rules.name, node)
        if any(t._version != version for t, version in operands):
            raise self._graph.refusal(self._rules.name, node, "whose inputs are changed in place afterwards")
        (first, _), (second, _) = operands

        def leaving(gradients: tuple[Tensor, ...], signals: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            assert self._rules.addition is not None
            share = signals[0] / self._rules.addition(first + second)
            shares = tuple((z * share).sum_to_size(g.shape) for z, g in zip((first, second), gradients, strict=True))
            for each in shares:
                self._see(each)
            return shares

        self._register.append(partial(node.register_hook, leaving))
