"""What the page says of controls, in sentences."""

import numpy as np

from aopc.paper.report import sentences

AGREEMENT = {
    "data_set": ["p"] * 5,
    "choice": ["paper", "abpc", "blur", "mean", "probability"],
    "rho": [1.0, -0.5, 0.9, 0.8, 1.0],
    "low": [1.0, -0.8, 0.7, 0.6, 0.9],
    "high": [1.0, 0.2, 1.0, 0.9, 1.0],
    "lrp_is_best": ["undecided", "not replicated", "replicated", "replicated", "undecided"],
    "closest": ["deconvolution-l2"] * 5,
    "lead": [0.3, -0.9, 0.31, 0.9, 0.1],
    "lead_low": [-0.1, -1.3, 0.01, 0.5, -0.1],
    "lead_high": [0.7, -0.5, 0.61, 1.3, 0.3],
    "lead_images": [40] * 5,
    "change": [np.nan, -1.2, 0.01, 0.6, np.nan],
    "change_low": [np.nan, -1.5, -0.3, 0.2, np.nan],
    "change_high": [np.nan, -0.9, 0.3, 1.0, np.nan],
}


def test_the_conclusion_depends_on_what_changes_it_measurably() -> None:
    first, *others = sentences.on_choices(AGREEMENT, {"p": "Pictures", "q": "none"})
    assert "undecided on these 40 images" in first
    assert "As open is it where f is the softmax probability" in first
    lerf, mean, blur = others
    assert "depends on the choice: where regions are removed least relevant first, too" in lerf
    assert "LRP is not best" in lerf
    assert "−0.90 [−1.30, −0.50]" in lerf
    assert "depends on the choice: where regions are replaced by the image's mean colour" in mean
    assert blur.startswith("Pictures: where regions are blurred, LRP is best")
    assert "does not differ measurably" in blur


def test_further_explainers_are_above_where_the_interval_says_so() -> None:
    table = {
        "data_set": ["p"] * 4,
        "further": ["centre-first"] * 3 + ["lrp-alpha2-beta1-lrn-identity"],
        "explainer": ["random", "lrp-epsilon-100", "sensitivity-l2", "random"],
        "difference": [1.0, -1.0, 0.1, 2.0],
        "low": [0.5, -1.5, -0.1, 1.0],
        "high": [1.5, -0.5, 0.3, 3.0],
        "images": [40] * 4,
    }
    (said,) = sentences.on_further(table, {"p": "P"}, lambda name: name == "centre-first")
    assert said == (
        "P: Centre first is above Random, below LRP ε = 100, not distinguished from Sensitivity ℓ2 (n = 40)."
    )


def test_heatmaps_of_nothing_are_counted() -> None:
    metrics = {"p": {"random": {"zero_heatmaps": 2, "nonfinite_heatmaps": 1, "images": 9}}}
    zero, broken = sentences.on_zero_heatmaps(metrics, {"p": "P"})
    assert "zero everywhere" in zero
    assert "P, Random: 2 of 9" in zero
    assert "not finite" in broken
    metrics["p"]["random"] |= {"zero_heatmaps": 0, "nonfinite_heatmaps": 0}
    assert sentences.on_zero_heatmaps(metrics, {"p": "P"}) == ["No heatmap is zero everywhere, and all are finite."]
