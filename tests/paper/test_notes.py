"""What a stage says of a network's decisions."""

import warnings

import pytest

from aopc.base.errors import ResultWarning
from aopc.paper.notes import on_predictions
from aopc.paper.tracking.pending import StageRun


def test_an_accuracy_near_chance_is_said_with_its_panel(capsys: pytest.CaptureFixture[str]) -> None:
    run = StageRun("predict")
    with pytest.warns(ResultWarning, match="digits: only 1 of 20 images is recognised"):
        on_predictions(run, "digits", 0.05, 20, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        on_predictions(run, "objects", 0.9, 20, 10)
        on_predictions(run, "photos", None, 20, 10)
    assert run.metrics == {"digits_accuracy": 0.05, "objects_accuracy": 0.9}
    assert "photos: no labels on 20 images" in capsys.readouterr().out
