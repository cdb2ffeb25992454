"""The operators that a forward pass runs, seen below Python: what a network computes, whatever its code looks like."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

#: Methods by which values of a tensor leave torch without an operator.
ESCAPES = {
    getattr(Tensor, name)
    for name in (
        "numpy", "tolist", "item", "data_ptr", "const_data_ptr", "mutable_data_ptr", "untyped_storage", "storage",
        "__array__", "__dlpack__", "__bool__", "__int__", "__float__", "__complex__", "__index__", "__contains__",
        "__deepcopy__", "__reduce_ex__", "__repr__", "__format__",
    )
    if hasattr(Tensor, name)
}  # fmt: skip
#: Operators that take a tensor for its shape and kind alone.
_FACTORIES = {form.format(value) for value in ("full", "zeros", "ones", "empty") for form in ("new_{}", "{}_like")} | {
    "new_empty_strided"
}
_READING = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


@dataclass(frozen=True)
class Value:
    """What a tensor holds that depends on the images.

    Attributes
    ----------
    memory
        Number of the memory in which it lies, in the order of their making; 0: the images'. Values are equal without
        it: ``y += x`` gives what ``y = y + x`` gives.
    version, result
        Which operation wrote there last, and as which of its results; −1: none.
    shape, stride, offset, dtype
        Of the tensor.
    """

    memory: int = field(compare=False)
    version: int
    result: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    dtype: torch.dtype


class Constant:
    """A tensor that does not depend on the images; it equals one of the same values."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constant):
            return NotImplemented
        mine, theirs = self.tensor, other.tensor
        if mine is theirs:
            return True
        if (mine.shape, mine.dtype, mine.device) != (theirs.shape, theirs.dtype, theirs.device):
            return False
        same = mine.data_ptr() == theirs.data_ptr() and mine.stride() == theirs.stride()
        # Bit by bit, since a constant may hold NaN.
        return same or torch.equal(_bits(mine), _bits(theirs))


def _bits(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


@dataclass(frozen=True)
class Operation:
    """An operator that ran on something that depends on the images; it equals the one that does not work in place.

    Attributes
    ----------
    function
        The operator's overload.
    arguments
        By name, with those left out; each tensor as :class:`Value` or :class:`Constant`.
    results
        The tensors that it gave.
    name, overload
        The operator's, without underscores.
    """

    function: Any = field(compare=False)
    arguments: dict[str, Any]
    results: tuple[Value, ...]
    name: str = field(init=False)
    overload: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", str(self.function.overloadpacket.__name__).strip("_"))
        object.__setattr__(self, "overload", str(self.function._overloadname))

    @property
    def inputs(self) -> list[Value]:
        """The arguments that depend on the images."""
        return [leaf for leaf in tree_leaves(self.arguments) if isinstance(leaf, Value)]

    @property
    def constants(self) -> list[Tensor]:
        """The tensors among the arguments that do not."""
        return [leaf.tensor for leaf in tree_leaves(self.arguments) if isinstance(leaf, Constant)]


class Operators(TorchDispatchMode):
    """A record of what runs on some images inside the context.

    Gradients must be off and inference mode, too, in which torch does not take composite operators apart.

    Attributes
    ----------
    operations
        What ran on something that depends on the images, in order.
    reads
        By what Python looked at values that depend on the images.
    random
        What drew random numbers.
    keeps
        What changed memory that was there before, other than the images.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.reads: list[str] = []
        self.random: list[str] = []
        self.keeps: list[str] = []
        self._numbers = {_memory(images): 0}
        self._written = {_memory(images): (-1, 0)}
        self._made: set[int] = set()
        # Memory that is freed might be taken for what lies there next.
        self._alive: list[Tensor] = [images]
        self._methods = _Methods(self)
        self.busy = False

    def __enter__(self) -> "Operators":
        self._methods.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._methods.__exit__(*error)

    def value(self, tensor: Tensor) -> Value | Constant:
        """What a tensor holds now."""
        memory = _memory(tensor)
        if memory not in self._numbers:
            return Constant(tensor)
        shape, stride = tuple(tensor.shape), tuple(tensor.stride())
        return Value(
            self._numbers[memory], *self._written[memory], shape, stride, int(tensor.storage_offset()), tensor.dtype
        )

    def values(self, tree: Any) -> Any:
        """A structure with each tensor as what it holds."""
        return tree_map_only(Tensor, self.value, tree)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.busy = True
        try:
            return self._run(func, args, kwargs or {})
        finally:
            self.busy = False

    def _run(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        given = _named(func, args, kwargs)
        arguments = self.values(given)
        found = func(*args, **kwargs)
        name = str(func.overloadpacket.__name__)
        # Attention is marked as random for a dropout that it may have.
        if torch.Tag.nondeterministic_seeded in func.tags and given.get("dropout_p") != 0:
            self.random.append(name)
        written = list(_written(func, given))
        if any(_memory(t) not in self._made and self._numbers.get(_memory(t)) != 0 for t in written):
            self.keeps.append(name)
        results = [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]
        there = {_memory(leaf) for leaf in tree_leaves(given) if isinstance(leaf, Tensor)}
        self._made.update(_memory(t) for t in results if _memory(t) not in there)
        self._alive += results
        if name not in _FACTORIES and any(isinstance(leaf, Value) for leaf in tree_leaves(arguments)):
            self._note(func, arguments, written, results)
            if _looks_at_values(func, arguments):
                self.reads.append(name)
        return found

    def _note(self, func: Any, arguments: dict[str, Any], written: list[Tensor], results: list[Tensor]) -> None:
        number, changed = len(self.operations), {_memory(t) for t in written}
        for result, tensor in enumerate((*results, *written)):
            memory = _memory(tensor)
            if memory not in self._numbers:
                self._numbers[memory] = len(self._numbers)
                changed.add(memory)
            if memory in changed:
                self._written[memory] = number, result
                changed.remove(memory)
        values = [self.value(t) for t in results]
        self.operations.append(Operation(func, arguments, tuple(v for v in values if isinstance(v, Value))))


class _Methods(TorchFunctionMode):
    """What escapes the operators: methods that give a tensor's values to Python."""

    def __init__(self, operators: Operators) -> None:
        super().__init__()
        self._operators = operators

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        escapes = (
            func in ESCAPES
            and not self._operators.busy
            and any(isinstance(a, Tensor) and _depends(self._operators, a) for a in args)
        )
        if escapes:
            self._operators.reads.append(str(getattr(func, "__name__", func)))
        return func(*args, **(kwargs or {}))


def _depends(operators: Operators, tensor: Tensor) -> bool:
    return isinstance(operators.value(tensor), Value)


def recorded(forward: Callable[[Tensor], Any], images: Tensor) -> tuple[Operators, Any]:
    """A record of a pass on images (N, C, H, W), which may be changed, and the output as what it holds.

    Anything that the pass raises is raised; NotImplementedError where it runs what cannot be followed.
    """
    operators = Operators(images)
    with torch.no_grad(), operators:
        output = forward(images)
    return operators, operators.values(output)


def _memory(tensor: Tensor) -> int:
    """Which memory a tensor lies in; NotImplementedError where it has none of its own, as sparse ones."""
    return int(tensor.untyped_storage()._cdata)


def _named(func: Any, args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """An operator's arguments by name, with the defaults of those left out."""
    given = {argument.name: value for argument, value in zip(func._schema.arguments, args, strict=False)}
    defaults = {a.name: a.default_value for a in func._schema.arguments if a.has_default_value()}
    return {**defaults, **given, **kwargs}


def _written(func: Any, given: dict[str, Any]) -> list[Tensor]:
    """The tensors that an operator changes in place."""
    changed = (a for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write)
    return [leaf for a in changed for leaf in tree_leaves(given.get(a.name)) if isinstance(leaf, Tensor)]


def _looks_at_values(func: Any, arguments: dict[str, Any]) -> bool:
    """Whether what an operator gives, other than its numbers, depends on values: a Python number, or a shape."""
    name = str(func.overloadpacket.__name__)
    if name == "index":  # marked for masks, of which it takes as many values as are true
        masks = tree_leaves(arguments.get("indices"))
        return any(isinstance(m, Value) and m.dtype in (torch.bool, torch.uint8) for m in masks)
    return bool(_READING & set(func.tags)) or name == "is_nonzero"
