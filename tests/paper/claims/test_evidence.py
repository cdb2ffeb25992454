"""What the claims are read from: the right explainer, measure and image, with the right sign."""

from typing import Any

import numpy as np
import pytest

from aopc.measures.statistics.bootstrap import bootstrap_mean
from aopc.measures.summary import Summary
from aopc.paper.claims.evidence import (
    FORMATS,
    OUTCOMES,
    PAPER_DATA,
    CannotReadError,
    Evidence,
    Found,
    OnPanel,
    with_interval,
)
from aopc.perturbation.curves import Curves

SPEEDS = {"lrp": [6.0, 3.0, 9.0], "gradient": [3.0, 3.0, 0.0], "random": [0.0, 0.0, 3.0]}


def summary(name: str) -> Summary:
    """Curves that fall by an image's speed at the first step and stay there; each column of the table is its own."""

    def curves(speed: list[float]) -> Curves:
        values = 10 - np.array(speed, dtype=np.float32)[:, None, None] * [0, 1, 1]
        return Curves(values, values / 100, np.zeros(3, int), ("a", "b", "c"))

    base = np.arange(9)
    table = {
        "explainer": np.repeat(list(SPEEDS), 3),
        "image": np.tile(["a", "b", "c"], 3),
        "entropy": base + 1,
        "png_kb": base * 10.0,
        "jpeg_kb": 90.0 - base,
        "zero": np.array([0, 0, 0, 0, 1, 0, 0, 0, 0], dtype=bool),
        "nonfinite": np.zeros(9, dtype=bool),
    }
    order = {"random": "random"}
    by_name: Any = {e: {order.get(e, "morf"): curves(s)} for e, s in SPEEDS.items()}
    return Summary(name, by_name, table, seed=0)


def evidence(*panels: str, seed: int = 0) -> Evidence:
    titles = {"sun397": "Scenes", "ilsvrc2012": "Objects", "places205": "Places"}
    return Evidence({p: summary(p) for p in panels}, {p: titles[p] for p in panels}, {}, {}, {}, None, seed)


def test_panels_come_in_the_papers_order_or_by_name() -> None:
    found = evidence("places205", "ilsvrc2012", "sun397")
    assert [p.data_set for p in found.some_panels()] == ["sun397", "ilsvrc2012", "places205"]
    assert [p.data_set for p in found.some_panels("places205", "sun397")] == ["sun397", "places205"]
    assert [p.data_set for p in evidence("sun397").some_panels("places205", "sun397")] == ["sun397"]
    panel = found.some_panels("ilsvrc2012")[0]
    assert (panel.title, panel.summary) == ("Objects", found.panels["ilsvrc2012"])
    assert panel.evidence is found
    with pytest.raises(CannotReadError, match=r"stands for MIT Places or ILSVRC2012$"):
        evidence("sun397").some_panels("places205", "ilsvrc2012")
    with pytest.raises(CannotReadError, match=r"stands for SUN397 or ILSVRC2012 or MIT Places$"):
        evidence().some_panels()


def test_how_far_one_is_ahead_of_another_by_hand() -> None:
    """(lrp − gradient) is 3, 0, 9; AOPC after 0, 1, 2 steps is 0, 1/2 and 2/3 of it."""
    panel = OnPanel(evidence("sun397", seed=5), "sun397")
    expected = np.array([[3.0], [0.0], [9.0]]) * [0, 1 / 2, 2 / 3]
    np.testing.assert_allclose(panel.ahead("lrp", "gradient"), expected, atol=1e-6)
    np.testing.assert_allclose(panel.ahead("gradient", "lrp"), -expected, atol=1e-6)
    np.testing.assert_allclose(panel.ahead("random", "gradient")[:, -1], [-2, -2, 2], atol=1e-6)
    found = panel.lead("lrp", "gradient")
    assert (found.what, found.bound, found.side, found.n) == ("lrp minus gradient, Scenes", 0.0, "above", 3)
    assert (found.estimate, found.low, found.high) == pytest.approx(
        bootstrap_mean(expected[:, -1], seed=5).numbers, abs=1e-6
    )
    with pytest.raises(CannotReadError, match=r"no heatmaps of occlusion$"):
        panel.ahead("lrp", "occlusion")
    with pytest.raises(CannotReadError, match=r"no heatmaps of rise and occlusion$"):
        panel.require("rise", "lrp", "occlusion")


def test_a_reading_has_its_panels_title_and_seed_and_its_bound() -> None:
    values = np.random.default_rng(0).normal(size=30)
    for seed in (0, 4):
        panel = OnPanel(evidence("places205", seed=seed), "places205")
        found = panel.reading("this", values, bound=0.5, side="below")
        assert (found.what, found.bound, found.side) == ("this, Places", 0.5, "below")
        assert (found.estimate, found.low, found.high) == bootstrap_mean(values, seed=seed).numbers
        assert found.p_for < 0.5 < found.p_against
        plain = panel.reading("this", values + 1)
        assert (plain.bound, plain.side) == (0.0, "above")


@pytest.mark.parametrize(
    ("measure", "lrp", "gradient", "random"),
    [
        ("entropy", [1, 3], [4, 6], [7, 9]),
        ("png_kb", [0, 20], [30, 50], [60, 80]),
        ("jpeg_kb", [90, 88], [87, 85], [84, 82]),
    ],
)
def test_each_measure_is_its_own_column(measure: str, lrp: list, gradient: list, random: list) -> None:
    """Image by image; image b is left out of all, since gradient's heatmap of it is zero everywhere."""
    panel = OnPanel(evidence("sun397"), "sun397")
    found = panel.complexity(measure, "lrp", "gradient")
    assert [values.tolist() for values in found] == [lrp, gradient]
    assert [values.tolist() for values in panel.complexity(measure, "random", "gradient")] == [random, gradient]
    assert len(panel.complexity(measure, "lrp", "random")[0]) == 3


def test_images_without_a_value_are_left_out_of_a_measure() -> None:
    found = evidence("sun397")
    table = found.panels["sun397"].complexity
    table["png_kb"][0] = np.nan
    panel = OnPanel(found, "sun397")
    assert [v.tolist() for v in panel.complexity("png_kb", "lrp", "gradient")] == [[20], [50]]
    table["zero"][:3] = True
    with pytest.raises(CannotReadError, match="on every image of Scenes"):
        panel.complexity("png_kb", "lrp", "random")
    with pytest.raises(CannotReadError, match="no heatmaps of rise"):
        panel.complexity("png_kb", "rise")


def test_what_cannot_be_read_is_kept_beside_what_can() -> None:
    def refuse(why: str) -> list:
        raise CannotReadError(why)

    found, panel = Found(), OnPanel(evidence("sun397"), "sun397")
    one, other = panel.lead("lrp", "random"), panel.lead("gradient", "random")
    found.add(lambda reading: [reading], one)
    found.add(refuse, "too few")
    found.add(lambda *readings: list(readings), other, one)
    assert found.readings == [one, other, one]
    assert found.left_out == ["too few"]
    assert found.note == ""


def test_numbers_are_written_with_their_interval() -> None:
    assert with_interval(-0.126, -1.0, 2.344) == "−0.13 [−1.00, 2.34]"


def test_data_sets_and_formats_are_called_as_the_paper_does() -> None:
    assert list(PAPER_DATA.items()) == [("sun397", "SUN397"), ("ilsvrc2012", "ILSVRC2012"), ("places205", "MIT Places")]
    assert list(FORMATS.items()) == [("png_kb", "PNG"), ("jpeg_kb", "JPEG")]


def test_comparisons_come_out_in_words() -> None:
    assert OUTCOMES == {"replicated": "as claimed", "not replicated": "the other way", "undecided": "undecided"}


def test_what_is_missing_is_named_in_the_order_that_it_was_asked_for() -> None:
    panel = OnPanel(evidence("sun397"), "sun397")
    with pytest.raises(CannotReadError, match=r"^this profile has no heatmaps of rise and occlusion$"):
        panel.ahead("rise", "occlusion")
    with pytest.raises(CannotReadError, match=r"^this profile has no heatmaps of occlusion and rise$"):
        panel.lead("occlusion", "rise")
    with pytest.raises(CannotReadError, match=r"^this profile has no heatmaps of rise and occlusion$"):
        panel.complexity("entropy", "rise", "lrp", "occlusion")
