"""Explainers by name, on the paper's own networks."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from aopc.explainers.registry import EXPLAINERS, FURTHER, Backward, get_explainer, get_explainers
from aopc.models.inference import predict
from aopc.models.network import build
from conftest import images


def test_unknown_explainer_suggests_the_nearest(network: nn.Sequential) -> None:
    with pytest.raises(aopc.InputError, match="did you mean 'lrp-epsilon-100'"):
        aopc.heatmaps(network, images(1, 13, 13), "lrp-epsilon-10")
    with pytest.raises(aopc.InputError, match="cannot import"):
        aopc.heatmaps(network, images(1, 13, 13), "no.such.module:function")


def seeded(name: str, *, bias: bool) -> nn.Module:
    """Weights of the size that keeps signals alive through the layers."""
    torch.manual_seed(0)
    model = build(name, 10, {}).eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            (nn.init.normal_ if bias else nn.init.zeros_)(module.bias)
    return model


def image(side: int) -> torch.Tensor:
    """In the range of Caffe's inputs."""
    return 60 * images(1, side, side, seed=1)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("from aopc.explainers.baselines import centre_first as mine\n", "centre-first"),
        ("from aopc.explainers.registry import EXPLAINERS\nmine = EXPLAINERS['sensitivity-l2']\n", "sensitivity-l2"),
        ("from aopc.explainers.random import random as mine\n", "random"),
    ],
)
def test_two_names_of_one_explainer_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    (tmp_path / "alias_of_one.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "alias_of_one", raising=False)
    assert list(get_explainers([name, name, "image-edges"])) == [name, "image-edges"]
    with pytest.raises(aopc.InputError, match=f"the explainers {name} and alias_of_one:mine are the same one"):
        get_explainers([name, "image-edges", "alias_of_one:mine"])


def test_all_of_ours_are_different() -> None:
    assert list(get_explainers([*EXPLAINERS, *FURTHER])) == [*EXPLAINERS, *FURTHER]


def test_names_say_the_settings() -> None:
    """The paper's names: the rule, its number, and the norm over the colour channels."""
    found = {
        name: (e.rules.rsplit(":")[-1], dict(e.settings), e.norm)
        for name, e in (EXPLAINERS | FURTHER).items()
        if isinstance(e, Backward)
    }
    alpha_beta = {"alpha": 2.0, "beta": 1.0}
    assert found == {
        "sensitivity-l2": ("gradient", {}, 2.0),
        "sensitivity-linf": ("gradient", {}, np.inf),
        "deconvolution-l2": ("deconvolution", {}, 2.0),
        "deconvolution-linf": ("deconvolution", {}, np.inf),
        "lrp-epsilon-0.01": ("epsilon", {"epsilon": 0.01}, None),
        "lrp-epsilon-100": ("epsilon", {"epsilon": 100.0}, None),
        "lrp-alpha2-beta1": ("alpha_beta", alpha_beta, None),
        "lrp-alpha2-beta1-lrn-identity": ("alpha_beta", alpha_beta | {"normalisation": "identity"}, None),
    }


def test_explainers_that_differ_in_the_norm_share_a_signal_and_others_do_not() -> None:
    backward = {name: e for name, e in (EXPLAINERS | FURTHER).items() if isinstance(e, Backward)}
    signals = {name: e.signal for name, e in backward.items()}
    assert signals["sensitivity-l2"] == signals["sensitivity-linf"]
    assert signals["deconvolution-l2"] == signals["deconvolution-linf"]
    assert len(set(signals.values())) == len(signals) - 2


def test_names_lead_to_explainers() -> None:
    for name, explainer in (EXPLAINERS | FURTHER).items():
        found = get_explainer(name)
        if isinstance(explainer, str):
            assert (found.__module__, found.__name__) == tuple(explainer.split(":"))
        else:
            assert found is explainer
    assert get_explainer("aopc.explainers.baselines:centre_first").__name__ == "centre_first"


@pytest.mark.parametrize(("name", "side"), [("caffenet", 227), ("alexnet", 227), ("googlenet", 224)])
@pytest.mark.parametrize("explainer", ["lrp-epsilon-0.01", "lrp-alpha2-beta1"])
def test_lrp_conserves_relevance_on_the_papers_networks(name: str, side: int, explainer: str) -> None:
    """Claim C10 through grouped convolutions, LRN, concatenation, dropout that is off, and the fully
    connected layers: Σ h = f to 2 %, without biases, which would take a share.
    """
    model, x = seeded(name, bias=False), image(side)
    score = predict(model, x).max()
    total = aopc.heatmaps(model, x, explainer).sum()
    assert total == pytest.approx(score, rel=0.02)


@pytest.mark.parametrize("explainer", ["sensitivity-l2", "deconvolution-linf"])
def test_other_heatmaps_of_the_papers_networks_are_not_empty(explainer: str) -> None:
    model = seeded("caffenet", bias=True)
    heatmap = aopc.heatmaps(model, image(227), explainer)[0]
    assert np.isfinite(heatmap).all()
    assert (heatmap > 0).mean() > 0.5
