"""What a model is made of, and what was found out about it."""

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import nn

from aopc.models.structure import Findings, isolated, structure_of


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))


def test_a_copy_shares_the_parameters_and_nothing_else() -> None:
    model = network()
    copied = isolated(model)
    assert copied is not model
    assert all(a is b for a, b in zip(copied.parameters(), model.parameters(), strict=True))
    before = {name: b.clone() for name, b in model.named_buffers()}
    copied.train()(torch.rand(2, 3, 5, 5))
    assert all(torch.equal(b, before[name]) for name, b in model.named_buffers())
    assert not torch.equal(copied[1].running_mean, model[1].running_mean)


def test_a_model_that_cannot_be_copied_is_itself() -> None:
    class Whole(nn.Module):
        def __deepcopy__(self, memo: object) -> "Whole":
            raise RuntimeError("no copies")

    model = Whole()
    assert isolated(model) is model


CHANGES: dict[str, Callable[[nn.Sequential], object]] = {
    "a layer": lambda m: m.append(nn.ReLU()),
    "a class": lambda m: setattr(m[2], "__class__", nn.AlphaDropout),
    "a number": lambda m: setattr(m[2], "p", 0.25),
    "a flag": lambda m: m.train(False),
    "a tuple": lambda m: setattr(m[0], "stride", (2, 2)),
    "a kind of weights": lambda m: m.double(),
    "a shape of weights": lambda m: setattr(m[0], "weight", nn.Parameter(torch.zeros(4, 3, 1, 1))),
    "a parameter left out": lambda m: setattr(m[0], "bias", None),
    "a hook": lambda m: m[0].register_forward_hook(lambda *_: None),
    "a function": lambda m: setattr(m[0], "forward", lambda x: x),
    "a counter": lambda m: setattr(m, "calls", 1),
    "a name": lambda m: setattr(m, "kind", "a"),
    "another kind of list": lambda m: setattr(m, "kept", [1]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_structure_changes_with_what_a_forward_pass_may_depend_on(change: str) -> None:
    model, same = network(), network()
    assert structure_of(model) == structure_of(same)
    before = structure_of(model)
    CHANGES[change](model)
    assert structure_of(model) != before
    assert hash(structure_of(model)) is not None


def test_the_structure_does_not_change_with_the_weights_values() -> None:
    model = network()
    before = structure_of(model)
    model.load_state_dict({name: value + 1 for name, value in model.state_dict().items()})
    assert structure_of(model) == before


def test_long_lists_count_by_their_length() -> None:
    one, other, longer = network(), network(), network()
    one.kept, other.kept, longer.kept = [1] * 19 + [2], [1] * 20, [1] * 21
    assert structure_of(one) == structure_of(other) != structure_of(longer)
    one.kept, other.kept = [1] * 18 + [2], [1] * 19
    assert structure_of(one) != structure_of(other)


def test_what_is_found_is_found_once_for_a_structure_and_a_key() -> None:
    findings, model, asked = Findings[int](), network(), list[str]()

    def find(of: nn.Module, key: str) -> int:
        return findings(of, key, lambda: asked.append(key) or len(asked))  # type: ignore[func-returns-value]

    assert [find(model, "a"), find(model, "a"), find(model, "b"), find(model, "a")] == [1, 1, 2, 1]
    model[2].p = 0.25
    assert find(model, "a") == 3
    model[2].p = 0.5
    assert find(model, "a") == 1
    assert find(network(), "a") == 4


def test_what_a_finding_raises_is_raised_each_time() -> None:
    findings, model, tries = Findings[int](), network(), [1, 2]

    def fail() -> int:
        tries.pop()
        raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            findings(model, "a", fail)
    assert tries == []


def test_findings_keep_no_model_alive_and_need_no_hash() -> None:
    class Unhashable(nn.Module):
        __hash__ = None  # type: ignore[assignment]

    findings, model = Findings[int](), network()
    findings(model, "a", lambda: 1)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    odd = Unhashable()
    assert [findings(odd, "a", lambda i=i: i) for i in range(2)] == [0, 1]
