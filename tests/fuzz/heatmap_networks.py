"""Networks at random: :func:`networks` draws descriptions, :class:`Described` runs one, each step as it is written."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

from aopc.models.zoo.normalisation import ChannelNorm
from fuzz.heatmap_reference import ACTIVATIONS, Reference, Step, parameters

LINEAR_FORMS = (
    "module", "function", "subclass", "weight norm", "old weight norm", "pruned", "hooked", "compiled", "functional call", "keywords",
)  # fmt: skip
#: Steps that neither LRP nor deconvolution may let pass.
STRANGE = (
    "square", "absolute", "gate", "detached gate", "mask", "detached join", "constant join", "own function", "number",
    "part in place", "layer norm", "tensor hook",
)  # fmt: skip
# --- drawing -------------------------------------------------------------------------------------------------------


@st.composite
def networks(draw: Any) -> list[Step]:
    """A network for (3, 6, 6) images with three classes."""
    steps, shape = draw(_steps((3, 6, 6), most=5, strange=draw(st.integers(0, 3)) == 0))
    size = int(np.prod(shape))
    steps.append(Step("flatten", form=draw(st.sampled_from(["module", "view", "reshape"]))))
    if draw(st.booleans()):
        steps += [_linear(draw, size, 5), _relu(draw)]
        size = 5
    steps.append(_linear(draw, size, 3))
    if draw(st.integers(0, 3)) == 0:
        steps.append(Step("scale", {"factor": 0.5}, draw(st.sampled_from(["product", "quotient", "in place"]))))
    return steps


def _linear(draw: Any, size: int, out: int) -> Step:
    settings = {"in": size, "out": out, "bias": draw(st.booleans()), "seed": draw(st.integers(0, 99))}
    return Step("linear", settings, draw(st.sampled_from(LINEAR_FORMS)))


def _relu(draw: Any) -> Step:
    forms = ["module", "in place", "shared", "torch.relu", "F.relu", "method", "method in place", "compiled"]
    return Step("relu", form=draw(st.sampled_from(forms)))


@st.composite
def _steps(draw: Any, shape: tuple[int, int, int], most: int, strange: bool) -> tuple[list[Step], tuple[int, int, int]]:
    steps: list[Step] = []
    count = draw(st.integers(1, most))
    at = draw(st.integers(0, count - 1)) if strange else -1
    for number in range(count):
        if number == at:
            steps.append(Step("strange", {"channels": shape[0]}, draw(st.sampled_from(STRANGE))))
        step, shape = draw(_step(shape, nested=most <= 2))
        if step.kind == "lone batch norm":
            steps.append(_relu(draw))  # behind a convolution it would be folded into that
        steps.append(step)
        if draw(st.booleans()):
            steps.append(_relu(draw))
    return steps, shape


@st.composite
def _step(draw: Any, shape: tuple[int, int, int], nested: bool) -> tuple[Step, tuple[int, int, int]]:
    kinds = ["conv", "conv", "conv", "pool", "average", "norm", "move", "activation", "scale", "batch norm"]
    kind = draw(st.sampled_from(kinds if nested else [*kinds, "residual", "residual", "concat", "twice"]))
    channels, height, width = shape
    if kind == "conv":
        return _convolution(draw, shape)
    if kind == "pool":
        size, ceil = draw(st.integers(1, min(2, height, width))), draw(st.booleans())
        step = Step(kind, {"size": size, "stride": 2, "ceil": ceil}, draw(st.sampled_from(["module", "function"])))
        return step, _shape(step, shape)
    if kind == "average":
        adaptive = draw(st.booleans())
        settings: dict[str, Any] = {"adaptive": draw(st.integers(1, 2))} if adaptive else {
            "size": draw(st.integers(1, min(2, height, width))), "stride": 2, "ceil": draw(st.booleans()), "padding": 0,
            "count_include_pad": draw(st.booleans()),
        }  # fmt: skip
        if not adaptive and settings["size"] == 2:
            settings["padding"] = draw(st.integers(0, 1))
        forms = ["module", "function"] + (["mean"] if settings.get("adaptive") == 1 else [])
        step = Step(kind, settings, draw(st.sampled_from(forms)))
        return step, _shape(step, shape)
    if kind == "norm":
        settings = {"size": draw(st.integers(1, 4)), "alpha": 0.5, "beta": 0.75, "k": 1.0}
        return Step(kind, settings, draw(st.sampled_from(["module", "function", "ours"]))), shape
    if kind == "move":
        forms = ["flip", "roll", "pad", "slice", "permute", "repeat", "dropout", "identity", "cast", "chunks"]
        step = Step(kind, form=draw(st.sampled_from(forms)))
        return step, _shape(step, shape)
    if kind == "activation":
        return Step(
            kind, {"name": draw(st.sampled_from(list(ACTIVATIONS)))}, draw(st.sampled_from(["module", "function"]))
        ), shape
    if kind == "scale":
        return Step(
            kind, {"factor": draw(st.sampled_from([0.5, 2.0, -1.5]))}, draw(st.sampled_from(["product", "quotient"]))
        ), shape
    if kind == "batch norm":  # by itself, not behind a linear layer
        return Step("lone batch norm", {"channels": channels, "seed": draw(st.integers(0, 99))}), shape
    if kind == "twice":
        step, _ = _convolution(draw, shape, same=True)
        return Step("twice", form=draw(st.sampled_from(["module", "function"])), branches=[[step]]), shape
    if kind == "residual":
        inner, _ = _convolution(draw, shape, same=True)
        branch = [inner, _relu(draw)] if draw(st.booleans()) else [inner]
        form = draw(st.sampled_from(["plus", "in place", "torch.add", "add_", "sum"]))
        return Step(kind, form=form, branches=[branch]), shape
    first, a = draw(_steps(shape, most=1, strange=False))
    second, b = draw(_steps(shape, most=1, strange=False))
    if a[1:] != b[1:]:
        second, b = [], shape
        if a[1:] != shape[1:]:
            first, a = [], shape
    return Step("concat", form=draw(st.sampled_from(["cat", "stack"])) if a == b else "cat", branches=[first, second]), (
        a[0] + b[0], *a[1:],
    )  # fmt: skip


def _convolution(draw: Any, shape: tuple[int, int, int], same: bool = False) -> tuple[Step, tuple[int, int, int]]:
    channels, height, width = shape
    transposed = not same and draw(st.integers(0, 4)) == 0
    size = 3 if same else draw(st.integers(1, min(3, height, width)))
    groups = channels if draw(st.integers(0, 3)) == 0 else 1
    settings = {
        "in": channels, "out": channels if same else groups * draw(st.integers(1, 2)) if groups > 1 else draw(st.integers(2, 4)),
        "size": size, "stride": 1 if same else draw(st.integers(1, 2)), "padding": 1 if same else draw(st.integers(0, size // 2)),
        "groups": groups, "bias": draw(st.booleans()), "seed": draw(st.integers(0, 99)), "transposed": transposed,
        "mode": "zeros" if transposed or min(height, width) < 3 else draw(st.sampled_from(["zeros", "zeros", "circular", "reflect"])),
        "norm": draw(st.sampled_from([None, None, 1e-5, 1e-3, 1e-2])), "affine": draw(st.booleans()),
    }  # fmt: skip
    step = Step("conv", settings, draw(st.sampled_from(LINEAR_FORMS)))
    return step, _shape(step, shape)


def _shape(step: Step, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    return tuple(Reference([step]).forward(np.zeros(shape)).shape)  # type: ignore[return-value]


def kinds(steps: list[Step]) -> set[str]:
    """All kinds in a description; those of strange steps and of activations by their name."""
    found = {s.kind for s in steps}
    return found.union(*(kinds(b) for s in steps for b in s.branches))


# --- running it ----------------------------------------------------------------------------------------------------


class OwnIdentity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class Own(nn.Conv2d):
    """A subclass with a forward pass of its own."""

    def forward(self, input: Tensor) -> Tensor:
        if self.padding_mode != "zeros":
            return super().forward(input)
        padded = F.pad(input, [p for p in reversed(self.padding) for _ in range(2)])
        return F.conv2d(
            padded, self.weight, None if self.bias is None else self.bias * 1, self.stride, 0, 1, self.groups
        )


def _built(step: Step) -> nn.Module:
    s = step.settings
    if step.kind == "linear":
        layer: nn.Module = nn.Linear(s["in"], s["out"], bias=s["bias"])
    elif s["transposed"]:
        layer = nn.ConvTranspose2d(s["in"], s["out"], s["size"], s["stride"], s["padding"], 0, s["groups"], s["bias"])
    else:
        make = Own if step.form == "subclass" else nn.Conv2d
        layer = make(s["in"], s["out"], s["size"], s["stride"], s["padding"], 1, s["groups"], s["bias"], s["mode"])
    layer.double()
    for name, values in parameters(step).items():
        if name in ("weight", "bias"):
            getattr(layer, name).data = torch.from_numpy(values)
    if step.form == "weight norm":
        parametrizations.weight_norm(layer)
    elif step.form == "old weight norm":
        nn.utils.weight_norm(layer)
    elif step.form == "pruned":
        prune.identity(layer, "weight")
    elif step.form == "hooked":
        layer.register_forward_pre_hook(lambda _, inputs: (inputs[0] * 2 / 2,))
        layer.register_forward_hook(lambda _, __, output: output if step.settings.get("norm") else output.clone())
    elif step.form == "compiled":
        layer.compile(backend="eager")
    return layer


def _norm_layer(step: Step) -> nn.Module:
    values = {k: torch.from_numpy(v) for k, v in parameters(step).items()}
    affine = step.settings.get("affine", True)
    layer = nn.BatchNorm2d(len(values["mean"]), step.settings.get("norm", 1e-3), affine=affine).double()
    layer.running_mean, layer.running_var = values["mean"], values["var"]
    if affine:
        layer.weight.data, layer.bias.data = values["gamma"], values["beta"]
    return layer


class Described(nn.Module):
    """A description as a module; float64, in evaluation mode."""

    def __init__(self, steps: list[Step]) -> None:
        super().__init__()
        self.steps = steps
        self.layers = nn.ModuleDict()
        self.shared, self.shared_in_place = nn.ReLU(), nn.ReLU(inplace=True)
        self._prepare(steps, "")
        self.double().eval()

    def _prepare(self, steps: list[Step], place: str) -> None:
        for number, step in enumerate(steps):
            name = f"{place}{number}"
            if step.kind in ("conv", "linear"):
                self.layers[name] = _built(step)
                if step.settings.get("norm"):
                    self.layers[f"{name}norm"] = _norm_layer(step)
            elif step.kind == "lone batch norm":
                self.layers[name] = _norm_layer(step)
            elif step.kind == "relu" and step.form == "compiled":
                self.layers[name] = torch.compile(nn.ReLU(), backend="eager")  # type: ignore[assignment]
            for which, branch in enumerate(step.branches):
                self._prepare(branch, f"{name}_{which}_")

    def forward(self, x: Tensor) -> Tensor:
        return self._run(self.steps, "", x)

    def _run(self, steps: list[Step], place: str, x: Tensor) -> Tensor:
        for number, step in enumerate(steps):
            x = getattr(self, f"_{step.kind.replace(' ', '_')}")(step, f"{place}{number}", x)
        return x

    def _conv(self, step: Step, name: str, x: Tensor) -> Tensor:
        layer, s = self.layers[name], step.settings
        if step.form in ("function", "keywords") and s.get("mode", "zeros") == "zeros":
            function: Any = F.linear
            named: dict[str, Any] = {}
            if step.kind == "conv":
                function = F.conv_transpose2d if s["transposed"] else F.conv2d
                named = {"stride": s["stride"], "padding": s["padding"], "groups": s["groups"]}
            if step.form == "keywords":
                y = function(input=x, weight=layer.weight, bias=layer.bias, **named)
            else:
                y = function(x, layer.weight, layer.bias, **named)
        elif step.form == "functional call":
            y = torch.func.functional_call(layer, {"weight": layer.weight * 1}, (x,))
        else:
            y = layer(x)
        return self.layers[f"{name}norm"](y) if s.get("norm") else y

    _linear = _conv

    def _lone_batch_norm(self, step: Step, name: str, x: Tensor) -> Tensor:
        return self.layers[name](x)

    def _relu(self, step: Step, name: str, x: Tensor) -> Tensor:
        forms: dict[str, Any] = {
            "module": nn.ReLU(), "in place": self.shared_in_place, "shared": self.shared, "torch.relu": torch.relu,
            "F.relu": F.relu, "method": Tensor.relu, "method in place": Tensor.relu_,
        }  # fmt: skip
        return (self.layers[name] if step.form == "compiled" else forms[step.form])(x)

    def _activation(self, step: Step, name: str, x: Tensor) -> Tensor:
        modules = {
            "leaky": nn.LeakyReLU(0.2), "tanh": nn.Tanh(), "softplus": nn.Softplus(), "relu6": nn.ReLU6(), "silu": nn.SiLU(),
        }  # fmt: skip
        functions = {
            "leaky": lambda y: F.leaky_relu(y, 0.2), "tanh": torch.tanh, "softplus": F.softplus, "relu6": F.relu6,
            "silu": F.silu,
        }  # fmt: skip
        return (modules if step.form == "module" else functions)[step.settings["name"]](x)  # type: ignore[operator]

    def _pool(self, step: Step, name: str, x: Tensor) -> Tensor:
        size, stride, ceil = (step.settings[k] for k in ("size", "stride", "ceil"))
        if step.form == "module":
            return nn.MaxPool2d(size, stride, ceil_mode=ceil)(x)
        return F.max_pool2d(x, size, stride, ceil_mode=ceil, return_indices=True)[0]

    def _average(self, step: Step, name: str, x: Tensor) -> Tensor:
        s = step.settings
        if "adaptive" in s:
            if step.form == "mean":
                return x.mean((2, 3), keepdim=True)
            return (
                nn.AdaptiveAvgPool2d(s["adaptive"])(x)
                if step.form == "module"
                else F.adaptive_avg_pool2d(x, s["adaptive"])
            )
        given = (s["size"], s["stride"], s["padding"], s["ceil"], s["count_include_pad"])
        return nn.AvgPool2d(*given)(x) if step.form == "module" else F.avg_pool2d(x, *given)

    def _norm(self, step: Step, name: str, x: Tensor) -> Tensor:
        given = tuple(step.settings.values())
        if step.form == "function":
            return F.local_response_norm(x, *given)
        return (nn.LocalResponseNorm if step.form == "module" else ChannelNorm)(*given)(x)

    def _move(self, step: Step, name: str, x: Tensor) -> Tensor:
        forms: dict[str, Any] = {
            "flip": lambda: x.flip(3), "roll": lambda: x.roll(1, 2), "pad": lambda: F.pad(x, (1, 0, 0, 1)),
            "slice": lambda: x[:, :, 1:] if x.shape[2] > 1 else x, "permute": lambda: x.permute(0, 1, 3, 2),
            "repeat": lambda: torch.cat([x, x], 1), "dropout": lambda: F.dropout(x, 0.5, self.training),
            "identity": lambda: nn.Identity()(x), "cast": lambda: x.to(torch.float64, copy=True),
            "chunks": lambda: torch.stack(list(x.unbind(1)), 1),
        }  # fmt: skip
        return forms[step.form]()

    def _scale(self, step: Step, name: str, x: Tensor) -> Tensor:
        factor = step.settings["factor"]
        if step.form == "in place":
            return x.mul_(factor)
        return factor * x if step.form == "product" else x / (1 / factor)

    def _flatten(self, step: Step, name: str, x: Tensor) -> Tensor:
        if step.form == "module":
            return nn.Flatten()(x)
        return x.reshape(len(x), -1) if step.form == "reshape" else x.contiguous().view(x.shape[0], -1)

    def _residual(self, step: Step, name: str, x: Tensor) -> Tensor:
        y = self._run(step.branches[0], f"{name}_0_", x)
        if step.form == "in place":
            y = y * 1
            y += x
            return y
        forms: dict[str, Any] = {
            "plus": lambda: y + x, "torch.add": lambda: torch.add(y, x), "add_": lambda: y.mul(1).add_(x),
            "sum": lambda: sum([y, x]),
        }  # fmt: skip
        return forms[step.form]()

    def _twice(self, step: Step, name: str, x: Tensor) -> Tensor:
        y = torch.relu(self._run(step.branches[0], f"{name}_0_", x))
        return self._run(step.branches[0], f"{name}_0_", y)

    def _concat(self, step: Step, name: str, x: Tensor) -> Tensor:
        parts = [
            self._run(branch, f"{name}_{i}_", x if not branch else x.clone()) for i, branch in enumerate(step.branches)
        ]
        return torch.cat(parts, 1) if step.form == "cat" else torch.stack(parts, 1).flatten(1, 2)

    def _strange(self, step: Step, name: str, x: Tensor) -> Tensor:
        def in_part() -> Tensor:
            y = x.clone()
            y[:, :1].relu_()
            return y

        def with_hook() -> Tensor:
            y = x * 1
            y.register_hook(lambda gradient: 3 * gradient)
            return y

        forms: dict[str, Any] = {
            "square": lambda: x * x, "absolute": lambda: x.abs(), "gate": lambda: x * x.mean((2, 3), keepdim=True).sigmoid(),
            "detached gate": lambda: x * x.detach().sigmoid(), "mask": lambda: x * (x > 0.1),
            "detached join": lambda: torch.cat([x.detach()[:, :1], x[:, 1:]], 1) if x.shape[1] > 1 else x + x.detach(),
            "constant join": lambda: torch.cat([x, torch.ones_like(x[:, :1])], 1)[:, 1:] + 0,
            "own function": lambda: OwnIdentity.apply(x), "number": lambda: x / (1 + float(x.detach().abs().max())),
            "part in place": in_part, "layer norm": lambda: F.layer_norm(x, x.shape[1:]), "tensor hook": with_hook,
        }  # fmt: skip
        return forms[step.form]()
