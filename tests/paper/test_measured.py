"""What is read of a profile's results."""

from pathlib import Path

import numpy as np
import pytest

from aopc.base.errors import DamagedError
from aopc.base.files import digest_of, write_array, write_table
from aopc.experiment.store import curve_columns
from aopc.paper.measured import _controls
from aopc.paper.panel import Panel
from made_up import curves


def test_controls_must_be_of_the_heatmaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of explainers that have none in the pipeline, and of random orders, are of no heatmaps."""
    monkeypatch.chdir(tmp_path)
    panel, explainers = Panel("x"), ["sensitivity-l2", "random"]
    maps, control = panel.heatmaps_file("sensitivity-l2"), panel.control_file("blur", "sensitivity-l2")
    for path in (maps, control):
        path.parent.mkdir(parents=True)
    write_array(maps, [1.0, 2.0])
    columns = curve_columns({"morf": curves(np.ones(3))})
    for name in ("sensitivity-l2", "random", "centre-first"):
        origin = {"heatmaps": digest_of(maps)} if name == "sensitivity-l2" else {}
        write_table(control.with_stem(name), columns, origin)
    assert set(_controls(panel, explainers)["blur"]) == {"sensitivity-l2", "random", "centre-first"}
    write_array(maps, [2.0, 1.0])
    with pytest.raises(DamagedError, match=r"blur/sensitivity-l2.parquet is not of the heatmaps in data/heatmaps/x/"):
        _controls(panel, explainers)
