"""Networks that the rules do not cover are refused, and left as they were."""

import pytest
import torch
from torch import nn

import aopc
from conftest import images


def test_lrp_refuses_layers_without_a_rule() -> None:
    model = nn.Sequential(nn.Flatten(), nn.LayerNorm(3 * 13 * 13), nn.Linear(3 * 13 * 13, 2))
    with pytest.raises(aopc.InputError, match="no rule for the layer '1' of type LayerNorm"):
        aopc.heatmaps(model, images(1, 13, 13), "lrp-epsilon-100")


class Steps(nn.Module):
    """Networks that the rules do not cover, by what is special in them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv, self.again = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        if kind == "misfit":  # a linear layer is defined right before the batch normalisation
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(3 * 13 * 13, 2))
        if kind in ("order", "misfit"):
            self.second, self.first = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
            for norm in (self.first, self.second):
                nn.init.uniform_(norm.running_mean, -3, 3)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(3 * 13 * 13, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "residual":
            return self.head(x + self.conv(x))
        if self.kind == "twice":
            return self.head(self.conv(torch.relu(self.conv(x))))
        if self.kind == "mean":
            return self.head(self.conv(x)).mean(1, keepdim=True)
        if self.kind in ("order", "misfit"):
            return self.head(self.second(self.again(torch.relu(self.first(self.conv(x))))))
        raise NotImplementedError


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("residual", "no rule for the step 'add'"),
        ("twice", "'conv' runs 2 times"),
        ("mean", "no rule for the step 'mean'"),
        ("order", "in the order in which they run"),
        ("misfit", "in the order in which they run"),
    ],
)
def test_lrp_refuses_what_its_rules_do_not_see(kind: str, message: str) -> None:
    torch.manual_seed(0)
    model = Steps(kind).eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(aopc.InputError, match=message):
        aopc.heatmaps(model, images(1, 13, 13), "lrp-epsilon-0.01")
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("name", ["mobilenet_v2", "densenet121"])
def test_lrp_refuses_networks_with_other_steps(name: str) -> None:
    from torchvision.models import get_model

    with pytest.raises(aopc.InputError, match="LRP"):
        aopc.heatmaps(get_model(name, num_classes=3), images(1, 64, 64), "lrp-epsilon-100", [1])


def test_a_batch_norm_that_cannot_be_merged_is_refused_and_nothing_changes() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3),
        nn.BatchNorm2d(4, affine=False), nn.Flatten(), nn.Linear(4 * 81, 2),
    )  # fmt: skip
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(aopc.InputError, match="cannot merge the batch normalisation '4'"):
        aopc.heatmaps(model, images(1, 13, 13), "lrp-epsilon-0.01")
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_deconvolution_refuses_other_activations() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU6(), nn.Flatten(), nn.Linear(4 * 121, 2))
    with pytest.raises(aopc.InputError, match="the layer '1' is of type ReLU6"):
        aopc.heatmaps(model, images(1, 13, 13), "deconvolution-l2")


def test_deconvolution_refuses_functional_relu() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3 * 13 * 13, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.layer(x.flatten(1)))

    with pytest.raises(aopc.InputError, match="1 ReLUs are function calls"):
        aopc.heatmaps(Functional(), images(1, 13, 13), "deconvolution-l2")
