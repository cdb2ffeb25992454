"""A classifier runs without a trace on it."""

import pytest
import torch
from torch import nn

import aopc
from aopc.models.inference import predict


def test_prediction_names_the_image_with_nan() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    nn.init.constant_(model[1].weight, torch.nan)
    with pytest.raises(aopc.InputError, match=r"image b\.png"):
        predict(model, torch.ones(1, 3, 2, 2), image_ids=["b.png"])


def test_an_exported_program_is_refused_in_one_line() -> None:
    x = torch.rand(1, 3, 4, 4)
    exported = torch.export.export(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), (x,)).module()
    with pytest.raises(aopc.InputError, match="give the module that it was made of"):
        aopc.heatmaps(exported, x, "sensitivity-l2", [0])
