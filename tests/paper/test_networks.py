"""Networks for one data set, as params.yaml asks for them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import aopc
from aopc.models.network import stored_network
from aopc.models.preprocessing import PREPROCESSINGS
from aopc.paper.settings import Given
from aopc.paper.stages import prepare
from aopc.paper.tracking.pending import StageRun


def run_stage(**options: str) -> None:
    settings: Any = SimpleNamespace(
        seed=0,
        networks={"photos": {"net": Given(**options)}},
        raw={"networks": {"photos": {"net": options}}},
    )
    prepare.work(StageRun("networks@photos"), settings, "photos")


def test_a_torchvision_network_from_a_file_goes_through_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torchvision computes it, with Caffe's layout and preprocessing where they are asked for."""
    from torchvision import models

    torch.manual_seed(0)
    theirs = models.squeezenet1_0(num_classes=7).eval()
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    monkeypatch.chdir(tmp_path)
    run_stage(file="weights.pt", architecture="squeezenet1_0", preprocessing="caffe")
    ours = stored_network(tmp_path / "data" / "networks" / "photos" / "net.pt")
    assert ours.preprocessing == PREPROCESSINGS["caffe"]
    theirs.classifier[1].padding = (1, 1)
    x = torch.randn(2, 3, 227, 227)
    with torch.no_grad():
        torch.testing.assert_close(ours.model(x), theirs(x))
    with pytest.raises(aopc.InputError, match="did you mean 'squeezenet1_"):
        run_stage(file="weights.pt", architecture="squeezenet9", preprocessing="caffe")
    with pytest.raises(aopc.InputError, match="no weights file"):
        run_stage(file="missing.pt", architecture="squeezenet1_0", preprocessing="caffe")
