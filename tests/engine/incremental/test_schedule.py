"""In which order steps of trajectories are computed."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aopc.engine.incremental.schedule import Schedule


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 6),
    regions=st.integers(1, 9),
    variants=st.integers(1, 4),
    seed=st.integers(0, 1000),
    data=st.data(),
)
def test_every_step_is_done_once_in_its_turn_with_its_kind(
    count: int, regions: int, variants: int, seed: int, data: st.DataObject
) -> None:
    steps = data.draw(st.integers(1, regions))
    random = np.random.default_rng(seed)
    order = np.stack([random.permutation(regions)[:steps] for _ in range(count)])
    variant = random.integers(0, variants, regions)
    schedule = Schedule(order, variant)
    done = np.zeros(count, dtype=int)
    covered = 0
    for first, last, which in schedule.batches:
        assert first == covered < last
        covered = last
        part = slice(first, last)
        chosen = schedule.trajectory[part]
        assert len(set(chosen.tolist())) == len(chosen)  # a step needs the one before
        np.testing.assert_array_equal(schedule.step[part], done[chosen])
        np.testing.assert_array_equal(schedule.region[part], order[chosen, done[chosen]])
        assert (variant[schedule.region[part]] == which).all()
        done[chosen] += 1
    assert covered == count * steps
    assert (done == steps).all()
    if variants == 1:
        assert len(schedule.batches) == steps
