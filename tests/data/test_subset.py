"""Which images of a large data set are taken."""

from aopc.data.subset import Subset


def test_samples_are_uniform() -> None:
    """Each image in 1/4 of 2000 samples, within five standard deviations."""
    names = [f"{i}.jpg" for i in range(20)]
    chosen = [name for seed in range(2000) for name in Subset(5, "sample", seed).of(names)]
    for name in names:
        assert abs(chosen.count(name) - 500) < 5 * (2000 * 0.25 * 0.75) ** 0.5
