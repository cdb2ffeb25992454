"""Random values depend on their key and on nothing else."""

import numpy as np
import pytest

from aopc.base.random import Stream


def test_streams_depend_on_their_key_alone() -> None:
    a = Stream(0, "noise", "cat", 1).uniform((3, 5))
    np.testing.assert_array_equal(a, Stream(0, "noise", "cat", 1).uniform((3, 5)))
    for other in (
        Stream(1, "noise", "cat", 1),
        Stream(0, "noise", "cat", 2),
        Stream(0, "noise", "ca", 11),
    ):
        assert (a != other.uniform((3, 5))).any()
    values = Stream(0, "many").uniform((100_000,))
    assert values.min() >= 0
    assert values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=5 * np.sqrt(1 / 12 / 1e5))
    assert sorted(Stream(0, "p").permutation(50)) == list(range(50))
