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
