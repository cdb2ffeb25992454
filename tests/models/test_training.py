"""Training from scratch, with checkpoints."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from aopc.base.errors import InputError
from aopc.data.sources.digits import digits
from aopc.models.inference import predict
from aopc.models.network import Layout, Network, build, save_network, stored_network
from aopc.models.preprocessing import Preprocessing
from aopc.models.recipe import TrainingSettings
from aopc.models.training import _folded, _with_batch_norm, train
from aopc.models.zoo.small_caffenet import small_caffenet


def test_folding_batch_norm_keeps_the_function() -> None:
    torch.manual_seed(0)
    learner = _with_batch_norm(small_caffenet(classes=5, width=8))
    for layer in learner:
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -1, 1)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 2)
    learner.eval()
    x = torch.randn(2, 3, 64, 64)
    names = [name for name, _ in small_caffenet(classes=5, width=8).named_children()]
    plain = _folded(learner, names)
    torch.testing.assert_close(plain(x), learner(x), atol=1e-3, rtol=1e-4)
    assert [type(a) for a in plain] == [type(a) for a in small_caffenet(classes=5, width=8)]


def test_training_learns_and_is_reproducible(tmp_path: Path) -> None:
    data = digits(split="train", seed=0)
    prepare = Preprocessing("L", (0.5,), (0.3,), 1.0)
    x, labels = (
        torch.from_numpy(prepare.normalise(data.images[:300])),
        torch.from_numpy(data.labels[:300]),
    )
    how = TrainingSettings(3, 32, 0.005, 0.01, False, 0)
    first, losses = train(build("digit-lenet", 10, {}), x, labels, how)
    second, _ = train(build("digit-lenet", 10, {}), x, labels, how)
    assert losses[-1] < 0.5 * losses[0]
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    path = tmp_path / "net.pt"
    save_network(path, Network(first, prepare), Layout("digit-lenet", 10))
    loaded = stored_network(path)
    assert loaded.preprocessing == prepare
    np.testing.assert_allclose(predict(loaded.model, x[:5]), predict(first, x[:5]), atol=1e-6)


@pytest.mark.parametrize("solver", ["one-cycle", "constant"])
def test_checkpoints_are_the_network_on_its_way(solver: str) -> None:
    data = digits(split="train", seed=0)
    prepare = Preprocessing("L", (0.5,), (0.3,), 1.0)
    x, labels = (
        torch.from_numpy(prepare.normalise(data.pixels[:320])),
        torch.from_numpy(data.labels[:320]),
    )
    kept: dict[int, nn.Sequential] = {}

    def run(epochs: int, *checkpoints: int) -> nn.Sequential:
        how = TrainingSettings(epochs, 32, 0.01, 0.0, False, 0, solver, checkpoints)  # type: ignore[arg-type]
        model = build("digit-lenet", 10, {})
        return train(model, x, labels, how, keep=kept.__setitem__)[0]

    final = run(4, 1, 10, 20, 40)
    assert list(kept) == [1, 10, 20, 40]
    right = [float((predict(m, x).argmax(1) == labels.numpy()).mean()) for m in kept.values()]
    assert right[0] < right[-1]
    np.testing.assert_allclose(predict(kept[40], x), predict(final, x), atol=1e-5)
    assert list(kept[1].state_dict()) == list(build("digit-lenet", 10, {}).state_dict())
    if solver == "constant":  # a constant rate knows nothing of the end
        at_10 = kept[10]
        run(1, 10)
        np.testing.assert_allclose(predict(kept[10], x), predict(at_10, x), atol=1e-5)
    with pytest.raises(InputError, match=r"no iteration 41 .* end with iteration 40"):
        run(4, 41)
