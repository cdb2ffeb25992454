"""Claims made of several comparisons, corrected together, each decided in one place.

A claim is *replicated* if all of its comparisons come out as it says, *not replicated* if one comes out the other way,
and *undecided* otherwise. What comes out is read from corrected p-values alone, and the verdict from what comes out
alone, so a count of comparisons cannot contradict the verdict.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aopc.base.errors import InputError
from aopc.measures.statistics.hypotheses import Reading, Verdict, conjunction, hochberg, holm, verdict_of


@dataclass(frozen=True)
class Comparison:
    """A reading, with its two p-values corrected for the claim's other readings, the two sides and the other claims
    (:func:`decide`), from which alone follows what comes out.
    """

    reading: Reading
    p_for: float
    p_against: float

    @property
    def verdict(self) -> Verdict:
        """How it comes out: replicated is as claimed, and not replicated the other way."""
        return verdict_of(self.p_for, self.p_against, min(self.p_for, self.p_against))


@dataclass(frozen=True)
class Decision:
    """What becomes of a claim: its comparisons, and all that follows from them."""

    comparisons: tuple[Comparison, ...]

    @property
    def counts(self) -> Counter[Verdict]:
        """How many comparisons come out how."""
        return Counter(c.verdict for c in self.comparisons)

    @property
    def verdict(self) -> Verdict:
        counts = self.counts
        if not counts:
            return "could not run"
        if counts["not replicated"]:
            return "not replicated"
        return "undecided" if counts["undecided"] else "replicated"

    @property
    def p(self) -> float:
        """Two-sided and corrected: below the level where the claim is decided."""
        return min(max(c.p_for for c in self.comparisons), min(c.p_against for c in self.comparisons))

    @property
    def turning(self) -> int:
        """Which comparison the verdict turns on: where the claim is not replicated, the one that most clearly comes out
        the other way; otherwise the one that is furthest from what is claimed. Where p-values are too small to tell
        them apart, by the distance from the bound in standard errors.

        Raises
        ------
        InputError
            If there is none.
        """
        if not self.comparisons:
            raise InputError("a verdict turns on a comparison, and this claim has none")
        readings = [c.reading for c in self.comparisons]
        if self.verdict == "not replicated":
            return min(range(len(readings)), key=lambda i: (readings[i].p_against, _lead(readings[i])))
        return max(range(len(readings)), key=lambda i: (readings[i].p_for, -_lead(readings[i])))


def _lead(reading: Reading) -> float:
    """How far an estimate lies on the claim's side, in standard errors where they are known."""
    if math.isfinite(reading.effect_size):
        return reading.effect_size * math.sqrt(reading.n)
    lead = reading.estimate - reading.bound
    return 0.0 if math.isnan(lead) else lead if reading.side == "above" else -lead


def decide(claims: Mapping[str, Sequence[Reading]]) -> dict[str, Decision]:
    """Decide the claims of a family together; the chance of any wrong verdict stays below the level.

    Within a claim, p-values *for* it are corrected by Hochberg's rule, which leaves the largest as it is: all must hold.
    Those *against* it by Holm's, under which the smallest counts as often as there are readings: one that fails
    suffices. So the claim's own are those of :func:`conjunction`. They are doubled for the two sides, and the smaller
    one is corrected by Holm's rule across claims; a single comparison, as if it were its claim's own.
    """
    own = {name: min(1.0, 2 * min(conjunction(readings))) for name, readings in claims.items() if readings}

    def corrected(
        name: str, p_values: Sequence[float], within: Callable[[Mapping[str, float]], dict[str, float]]
    ) -> list[float]:
        found = within({str(i): p for i, p in enumerate(p_values)})
        return [holm({**own, name: min(1.0, 2 * found[str(i)])})[name] for i in range(len(p_values))]

    decided = {}
    for name, readings in claims.items():
        p_for = corrected(name, [r.p_for for r in readings], hochberg)
        p_against = corrected(name, [r.p_against for r in readings], holm)
        decided[name] = Decision(tuple(map(Comparison, readings, p_for, p_against)))
    return decided
