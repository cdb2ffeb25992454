"""Networks of params.yaml."""

from pathlib import Path

import pytest
import torch

import aopc
from aopc.models.preprocessing import PREPROCESSINGS


def test_a_torchvision_network_from_a_file_goes_through_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torchvision computes it, with Caffe's layout and preprocessing where they are asked for."""
    from torchvision import models

    torch.manual_seed(0)
    theirs = models.squeezenet1_0(num_classes=7).eval()
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    monkeypatch.chdir(tmp_path)
    options = {"file": "weights.pt", "architecture": "squeezenet1_0", "preprocessing": "caffe"}
    params = {"seed": 0, "networks": {"photos": {"net": options}}}
    work(StageRun("networks@photos"), params, "photos")
    ours, preprocessing = load_network(tmp_path / "data" / "networks" / "photos" / "net.pt")
    assert preprocessing == PREPROCESSINGS["caffe"]
    theirs.classifier[1].padding = (1, 1)
    x = torch.randn(2, 3, 227, 227)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))
    options["architecture"] = "squeezenet9"
    with pytest.raises(aopc.InputError, match="did you mean 'squeezenet1_"):
        work(StageRun("networks@photos"), params, "photos")
    options |= {"architecture": "squeezenet1_0", "file": "missing.pt"}
    with pytest.raises(aopc.InputError, match="no weights file"):
        work(StageRun("networks@photos"), params, "photos")
