"""Claims decided together: corrected p-values, counts and verdicts that cannot contradict each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import aopc
from aopc.measures.statistics.decisions import Decision, decide
from aopc.measures.statistics.hypotheses import SIGNIFICANCE, Reading, conjunction, holm, verdict_of

#: One-sided p-values of readings: of all sizes, and at the corrections' edges.
P = st.one_of(st.floats(0, 1), st.floats(0, 0.06), st.sampled_from([0.0, 0.025, 0.05, 0.5, 1.0]))
CLAIMS = st.dictionaries(st.sampled_from("abcdef"), st.lists(P, max_size=6), min_size=1)


def reading(p_for: float) -> Reading:
    return Reading("x", 0.0, 0.0, 0.0, 0.0, "above", 0.0, p_for, 1 - p_for, 9)


@given(CLAIMS)
def test_counts_and_verdict_are_the_rule_on_corrected_numbers(p_values: dict[str, list[float]]) -> None:
    claims = {name: [reading(p) for p in values] for name, values in p_values.items()}
    own = {name: conjunction(readings) for name, readings in claims.items() if readings}
    adjusted = holm({name: min(1.0, 2 * min(p)) for name, p in own.items()})
    for name, found in decide(claims).items():
        if not claims[name]:
            assert (found.verdict, found.comparisons) == ("could not run", ())
            continue
        # The claim as a whole, by the textbook: intersection–union, Bonferroni, two sides, Holm.
        assert found.p == pytest.approx(adjusted[name])
        assert found.verdict == verdict_of(*own[name], found.p)
        counts, total = found.counts, len(claims[name])
        assert sum(counts.values()) == total
        assert (found.verdict == "replicated") == (counts["replicated"] == total)
        assert (found.verdict == "not replicated") == (counts["not replicated"] > 0)
        turning = found.comparisons[found.turning]
        assert found.verdict in ("undecided", turning.verdict)
        for comparison in found.comparisons:
            # No correction makes a p smaller, and a p of no side is that of the other.
            assert comparison.p_for >= min(1.0, 2 * comparison.reading.p_for) - 1e-12
            assert comparison.p_against >= min(1.0, 2 * comparison.reading.p_against) - 1e-12
            assert not (comparison.p_for < SIGNIFICANCE and comparison.p_against < SIGNIFICANCE)


def test_what_is_significant_alone_counts_only_after_the_correction() -> None:
    """The kind of "1 the other way" and *undecided*: p = 0.02 against, of six comparisons."""
    (found,) = decide({"C": [reading(p) for p in (0.98, 1e-9, 1e-9, 1e-9, 0.3, 0.6)]}).values()
    assert found.verdict == "undecided"
    assert found.counts == {"replicated": 3, "undecided": 3}
    assert found.turning == 0


def test_by_hand() -> None:
    """Two claims: a's p against is 2 · 0.001 of two readings, doubled, and counts twice; b's is 0.01, doubled."""
    found = decide({"a": [reading(0.999), reading(0.5)], "b": [reading(0.01)]})
    assert found["a"].p == pytest.approx(0.008)
    assert found["b"].p == pytest.approx(0.02)
    assert [c.verdict for c in found["a"].comparisons] == ["not replicated", "undecided"]
    assert (found["a"].verdict, found["b"].verdict) == ("not replicated", "replicated")


def test_verdicts_are_wrong_no_more_often_than_said() -> None:
    """Claims of three comparisons each, of which one is at its bound: 5 % may be decided, and counts with them."""
    values = np.random.default_rng(0).standard_normal((400, 5, 3, 25)) + np.array([0.0, 2.0, 2.0])[:, None]
    p_for = stats.ttest_1samp(values, 0, axis=-1, alternative="greater").pvalue
    wrong = counted = 0
    for run in p_for.tolist():
        found = decide({str(claim): list(map(reading, ps)) for claim, ps in enumerate(run)}).values()
        wrong += any(d.verdict != "undecided" for d in found)
        counted += any(d.comparisons[0].verdict != "undecided" for d in found)
    assert wrong / 400 < 0.08  # 5 % and three standard errors
    assert counted / 400 < 0.08


def test_nothing_turns_on_nothing() -> None:
    with pytest.raises(aopc.InputError, match="has none"):
        _ = Decision(()).turning
