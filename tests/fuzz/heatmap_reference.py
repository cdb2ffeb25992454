"""Heatmaps from the equations, in float64, on a description of a network.

Each linear step becomes a dense matrix, each rule the paper's sum over i and j. No autograd, no module, nothing of ours:
the reference knows the description alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

Array = np.ndarray


@dataclass
class Step:
    """One step: what it is, its settings, the way it is written, and the steps of its branches."""

    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    form: str = "module"
    branches: list[list["Step"]] = field(default_factory=list)


ACTIVATIONS = {
    "leaky": (lambda x: np.where(x > 0, x, 0.2 * x), lambda x: np.where(x > 0, 1, 0.2)),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "softplus": (lambda x: np.log1p(np.exp(x)), lambda x: 1 / (1 + np.exp(-x))),
    "relu6": (lambda x: np.clip(x, 0, 6), lambda x: (x > 0) * (x < 6.0)),
    "silu": (lambda x: x / (1 + np.exp(-x)), lambda x: (1 + np.exp(-x) * (1 + x)) / (1 + np.exp(-x)) ** 2),
}


def parameters(step: Step) -> dict[str, np.ndarray]:
    """Of a linear step, in torch's layout, and of its batch normalisation."""
    s, generator = step.settings, np.random.default_rng(step.settings["seed"])
    if step.kind == "lone batch norm":
        return _norm(s["channels"], generator)
    if step.kind == "linear":
        shape: tuple[int, ...] = (s["out"], s["in"])
    elif s["transposed"]:
        shape = (s["in"], s["out"] // s["groups"], s["size"], s["size"])
    else:
        shape = (s["out"], s["in"] // s["groups"], s["size"], s["size"])
    found = {"weight": generator.normal(size=shape) / np.sqrt(np.prod(shape[1:]))}
    if s["bias"]:
        found["bias"] = generator.normal(size=s["out"]) / 4
    return found | (_norm(s["out"], generator) if s.get("norm") else {})


def _norm(channels: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "mean": generator.normal(size=channels) / 4, "var": generator.uniform(0.01, 2, channels),
        "gamma": generator.uniform(-2, 2, channels), "beta": generator.normal(size=channels) / 4,
    }  # fmt: skip


class Reference:
    """A description's forward pass on one image, and signals back through it.

    Parameters
    ----------
    steps
        The description.
    """

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps

    def forward(self, x: Array) -> Array:
        """(C, H, W) → the last step's values."""
        return self._run(self.steps, x, Gradient())[0]

    def signal(self, x: Array, target: int, method: "Method") -> Array:
        """At the image, (C, H, W)."""
        scores, back = self._run(self.steps, x, method)
        start = np.zeros_like(scores)
        start[target] = 1 if type(method) is Gradient else scores[target]
        return back(start)

    def _run(self, steps: list[Step], x: Array, method: "Method") -> tuple[Array, Callable[[Array], Array]]:
        backs = []
        for step in steps:
            x, back = getattr(self, f"_{step.kind.replace(' ', '_')}")(step, x, method)
            backs.append(back)

        def all_back(signal: Array) -> Array:
            for back in reversed(backs):
                signal = back(signal)
            return signal

        return x, all_back

    def _conv(self, step: Step, x: Array, method: "Method") -> Any:
        s, values = step.settings, parameters(step)
        weight = torch.from_numpy(values["weight"])

        def function(batch: torch.Tensor) -> torch.Tensor:
            if step.kind == "linear":
                return batch @ weight.T
            if s["transposed"]:
                return F.conv_transpose2d(batch, weight, None, s["stride"], s["padding"], groups=s["groups"])
            return F.conv2d(
                batch, weight, None, s["stride"], s["padding"] if s["mode"] == "zeros" else 0, 1, s["groups"]
            )

        inner = x
        if step.kind == "conv" and s["mode"] != "zeros":  # copies of pixels, which are inputs of their own
            pad = ((0, 0), (s["padding"],) * 2, (s["padding"],) * 2)
            places = np.pad(
                np.arange(x.size).reshape(x.shape), pad, mode="wrap" if s["mode"] == "circular" else "reflect"
            )
            inner = x.ravel()[places]
        matrix, shape = _matrix(function, inner.shape)
        bias = np.broadcast_to(_channels(values.get("bias", np.zeros(shape[0])), shape), shape)
        if s.get("norm"):
            scale = 1 / np.sqrt(values["var"] + s["norm"])
            gamma, beta = (values["gamma"], values["beta"]) if s["affine"] else (1.0, np.zeros(shape[0]))
            factor = np.broadcast_to(_channels(scale * gamma, shape), shape)
            bias = (bias - _channels(values["mean"], shape)) * factor + _channels(beta, shape)
            matrix = matrix * factor.ravel()[:, None]
        y = (matrix @ inner.ravel()).reshape(shape) + bias

        def back(r: Array) -> Array:
            signal = method.linear(matrix, inner.ravel(), bias.ravel(), y.ravel(), r.ravel()).reshape(inner.shape)
            return signal if inner is x else _add_at(places, signal, x.shape)

        return y, back

    _linear = _conv

    def _lone_batch_norm(self, step: Step, x: Array, method: "Method") -> Any:
        v = parameters(step)
        factor = _channels(v["gamma"] / np.sqrt(v["var"] + 1e-3), x.shape)
        return (x - _channels(v["mean"], x.shape)) * factor + _channels(v["beta"], x.shape), lambda r: r * factor

    def _relu(self, step: Step, x: Array, method: "Method") -> Any:
        return np.maximum(x, 0), lambda r: method.relu(x, r)

    def _activation(self, step: Step, x: Array, method: "Method") -> Any:
        function, derivative = ACTIVATIONS[step.settings["name"]]
        return function(x), lambda r: method.element(derivative(x), r)

    def _scale(self, step: Step, x: Array, method: "Method") -> Any:
        return x * step.settings["factor"], lambda r: method.element(np.full(x.shape, step.settings["factor"]), r)

    def _pool(self, step: Step, x: Array, method: "Method") -> Any:
        s = step.settings
        windows = [_windows(n, s["size"], s["stride"], 0, s["ceil"]) for n in x.shape[1:]]
        y = np.empty((len(x), len(windows[0]), len(windows[1])))
        winners = np.empty(y.shape, dtype=int)
        for c, r, q in np.ndindex(y.shape):
            cells = [(c, i, j) for i in windows[0][r][0] for j in windows[1][q][0]]
            best = max(cells, key=lambda cell: x[cell])
            y[c, r, q], winners[c, r, q] = x[best], np.ravel_multi_index(best, x.shape)
        return y, lambda signal: _add_at(winners, signal, x.shape)

    def _average(self, step: Step, x: Array, method: "Method") -> Any:
        s, sides = step.settings, x.shape[1:]
        if "adaptive" in s:
            n = s["adaptive"]
            axes = [[(range(i * m // n, -(-(i + 1) * m // n)), 0) for i in range(n)] for m in sides]
            axes = [[(cells, len(cells)) for cells, _ in axis] for axis in axes]
        else:
            axes = [_windows(m, s["size"], s["stride"], s["padding"], s["ceil"]) for m in sides]
            if not s["count_include_pad"]:
                axes = [[(cells, len(cells)) for cells, _ in axis] for axis in axes]
        shape = (len(x), len(axes[0]), len(axes[1]))
        matrix = np.zeros((*shape, *x.shape))
        for c, r, q in np.ndindex(shape):
            (rows, high), (columns, wide) = axes[0][r], axes[1][q]
            for i in rows:
                for j in columns:
                    matrix[c, r, q, c, i, j] = 1 / (high * wide)
        matrix = matrix.reshape(int(np.prod(shape)), -1)
        y = matrix @ x.ravel()
        return y.reshape(shape), lambda r: method.shared(matrix, x.ravel(), y, r.ravel()).reshape(x.shape)

    def _norm(self, step: Step, x: Array, method: "Method") -> Any:
        size, alpha, beta, k = step.settings.values()
        scale, channels = alpha / size, len(x)
        inside = np.array(
            [[-(size // 2) <= i - j <= (size - 1) // 2 for i in range(channels)] for j in range(channels)]
        )
        s = k + scale * np.einsum("ji,ihw->jhw", inside, x**2)
        return x * s**-beta, lambda r: method.norm(x, s, inside, scale, beta, k, r)

    def _move(self, step: Step, x: Array, method: "Method") -> Any:
        places = np.arange(x.size).reshape(x.shape)
        forms: dict[str, Callable[[Array], Array]] = {
            "flip": lambda p: p[:, :, ::-1], "roll": lambda p: np.roll(p, 1, 1),
            "pad": lambda p: np.pad(p, ((0, 0), (0, 1), (1, 0)), constant_values=-1),
            "slice": lambda p: p[:, 1:] if p.shape[1] > 1 else p, "permute": lambda p: p.transpose(0, 2, 1),
            "repeat": lambda p: np.concatenate([p, p]),
        }  # fmt: skip
        taken = forms.get(step.form, lambda p: p)(places)
        y = np.where(taken < 0, 0, x.ravel()[taken])
        return y, lambda r: _add_at(taken[taken >= 0], r[taken >= 0], x.shape)

    def _flatten(self, step: Step, x: Array, method: "Method") -> Any:
        return x.ravel(), lambda r: r.reshape(x.shape)

    def _residual(self, step: Step, x: Array, method: "Method") -> Any:
        y, back = self._run(step.branches[0], x, method)

        def both(r: Array) -> Array:
            first, second = method.sum(y, x, r)
            return back(first) + second

        return y + x, both

    def _twice(self, step: Step, x: Array, method: "Method") -> Any:
        (inner,) = step.branches[0]
        return self._run([inner, Step("relu"), inner], x, method)

    def _concat(self, step: Step, x: Array, method: "Method") -> Any:
        (a, back_a), (b, back_b) = (self._run(branch, x, method) for branch in step.branches)
        return np.concatenate([a, b]), lambda r: back_a(r[: len(a)]) + back_b(r[len(a) :])

    def _strange(self, step: Step, x: Array, method: "Method") -> Any:
        return x, lambda r: r  # of the same shape; such networks are refused


class Gradient:
    """∂f/∂x."""

    def linear(self, matrix: Array, x: Array, bias: Array, z: Array, r: Array) -> Array:
        return matrix.T @ r

    def shared(self, matrix: Array, x: Array, z: Array, r: Array) -> Array:
        return matrix.T @ r

    def relu(self, x: Array, r: Array) -> Array:
        return r * (x > 0)

    def element(self, derivative: Array, r: Array) -> Array:
        return r * derivative

    def sum(self, a: Array, b: Array, r: Array) -> tuple[Array, Array]:
        return r, r

    def norm(self, x: Array, s: Array, inside: Array, scale: float, beta: float, k: float, r: Array) -> Array:
        # ∂y_j/∂x_i = δ_ij s_j^−β − 2 (α/n) β x_i x_j s_j^(−β−1) for i in j's window
        return r * s**-beta - 2 * scale * beta * x * np.einsum("ji,jhw->ihw", inside, r * x * s ** (-beta - 1))


class Deconvolution(Gradient):
    """Only positive signal passes a ReLU; normalisation passes all."""

    def relu(self, x: Array, r: Array) -> Array:
        return np.maximum(r, 0)

    def norm(self, x: Array, s: Array, inside: Array, scale: float, beta: float, k: float, r: Array) -> Array:
        return r


class Lrp(Gradient):
    """What both rules share: elements pass relevance whole, normalisation by its Taylor expansion."""

    def denominator(self, z: Array) -> Array:
        raise NotImplementedError

    def shared(self, matrix: Array, x: Array, z: Array, r: Array) -> Array:
        return x * (matrix.T @ (r / self.denominator(z)))

    def relu(self, x: Array, r: Array) -> Array:
        return r

    def element(self, derivative: Array, r: Array) -> Array:
        return r

    def sum(self, a: Array, b: Array, r: Array) -> tuple[Array, Array]:
        total = self.denominator(a + b)
        return a / total * r, b / total * r

    def norm(self, x: Array, s: Array, inside: Array, scale: float, beta: float, k: float, r: Array) -> Array:
        result = np.zeros_like(x)
        for j in range(len(x)):
            z = {
                i: -2 * scale * beta * x[i] ** 2 * x[j] * s[j] ** (-beta - 1)
                for i in np.flatnonzero(inside[j])
                if i != j
            }
            z[j] = x[j] * (k + scale * x[j] ** 2) ** -beta
            total = sum(z.values())
            for i, part in z.items():
                result[i] += np.divide(part, total, out=np.zeros_like(total), where=total != 0) * r[j]
        return result


@dataclass
class Epsilon(Lrp):
    """R_i = Σ_j z_ij / (z_j + ε sign(z_j)) R_j."""

    epsilon: float

    def denominator(self, z: Array) -> Array:
        return z + np.where(z >= 0, self.epsilon, -self.epsilon)

    def linear(self, matrix: Array, x: Array, bias: Array, z: Array, r: Array) -> Array:
        return ((matrix * x) / self.denominator(z)[:, None] * r[:, None]).sum(0)


class AlphaBeta(Lrp):
    """R_i = Σ_j (2 z⁺_ij / z⁺_j − z⁻_ij / z⁻_j) R_j."""

    def denominator(self, z: Array) -> Array:
        return np.where(np.abs(z) < 1e-30, np.inf, z)

    def linear(self, matrix: Array, x: Array, bias: Array, z: Array, r: Array) -> Array:
        contributions, result = matrix * x, np.zeros(x.size)
        for factor, part, share in (
            (2, np.maximum(contributions, 0), np.maximum(bias, 0)), (-1, np.minimum(contributions, 0), np.minimum(bias, 0)),
        ):  # fmt: skip
            result += (factor * part / self.denominator(part.sum(1) + share)[:, None] * r[:, None]).sum(0)
        return result


Method = Gradient


def _matrix(function: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """The matrix of a linear function, (outputs, inputs), and the shape of its output."""
    size = int(np.prod(shape))
    images = function(torch.eye(size, dtype=torch.float64).reshape(size, *shape))
    return images.reshape(size, -1).T.numpy(), tuple(images.shape[1:])


def _channels(values: Array, shape: tuple[int, ...]) -> Array:
    return np.asarray(values).reshape(-1, *[1] * (len(shape) - 1))


def _windows(n: int, size: int, stride: int, padding: int, ceil: bool) -> list[tuple[range, int]]:
    """Each window's cells along an axis, and by how many an average divides: padding counts, what is beyond does not."""
    whole = n + 2 * padding - size
    count = (-(-whole // stride) if ceil else whole // stride) + 1
    if ceil and (count - 1) * stride >= n + padding:
        count -= 1
    starts = [i * stride - padding for i in range(count)]
    return [(range(max(a, 0), min(a + size, n)), min(a + size, n + padding) - a) for a in starts]


def _add_at(places: Array, values: Array, shape: tuple[int, ...]) -> Array:
    result = np.zeros(int(np.prod(shape)))
    np.add.at(result, places.ravel(), values.ravel())
    return result.reshape(shape)
