"""From readings to verdicts.

A claim is *replicated* if all of its readings come out as it says, *not replicated* if one comes out the other way,
and *undecided* otherwise, each at the 5 % level after Holm's correction over all claims that could be read.
"""

from dataclasses import asdict
from typing import Any

from aopc.measures.statistics.hypotheses import SIGNIFICANCE, Reading, conjunction, holm, verdict_of
from aopc.paper.claims.evidence import PAPER_DATA, CannotReadError, Evidence, Found, with_interval
from aopc.paper.claims.rules import CLAIMS, Claim


def judge(evidence: Evidence) -> dict[str, dict[str, Any]]:
    """The content of ``claims.json``: claim → verdict, effect with its interval, n, rule and readings.

    ``effect`` is the reading on which the verdict turns: where a claim is not replicated, the one that most clearly
    comes out the other way; otherwise the one that is furthest from what is claimed.
    """
    read: dict[str, Found] = {}
    for claim in CLAIMS:
        try:
            read[claim.id] = claim.read(evidence)
        except CannotReadError as reason:
            read[claim.id] = Found(left_out=[str(reason)])
    p_values = {name: conjunction(found.readings) for name, found in read.items() if found.readings}
    # Two-sided: a claim may turn out the other way.
    adjusted = holm({name: min(1.0, 2 * min(p)) for name, p in p_values.items()})
    judged: dict[str, dict[str, Any]] = {}
    for claim in CLAIMS:
        found = read[claim.id]
        if found.readings:
            outcome = _outcome(evidence, claim, found, p_values[claim.id], adjusted[claim.id])
        else:
            nothing = dict.fromkeys(("effect", "low", "high", "effect_size", "p_holm"))
            outcome = {"verdict": "could not run", **nothing, "n": 0, "reading": _joined(found.left_out)}
        judged[claim.id] = {**outcome, **claim.about, "readings": [asdict(r) for r in found.readings]}
    return judged


def _outcome(
    evidence: Evidence, claim: Claim, found: Found, p_values: tuple[float, float], p_holm: float
) -> dict[str, Any]:
    verdict = verdict_of(*p_values, p_holm)
    against = verdict == "not replicated"
    turning = min(found.readings, key=lambda r: r.p_against) if against else max(found.readings, key=lambda r: r.p_for)
    return {
        "verdict": verdict,
        "effect": turning.estimate,
        "low": turning.low,
        "high": turning.high,
        "effect_size": turning.effect_size,
        "p_holm": p_holm,
        "n": turning.n,
        "reading": _in_words(evidence, claim, against, turning, found),
    }


def _in_words(evidence: Evidence, claim: Claim, against: bool, turning: Reading, found: Found) -> str:
    # At the level of the 95 % intervals that are shown.
    holding = sum(r.p_for < SIGNIFICANCE / 2 for r in found.readings)
    failing = sum(r.p_against < SIGNIFICANCE / 2 for r in found.readings)
    undecided = len(found.readings) - holding - failing
    counted = f"{holding} of {len(found.readings)} comparisons come out as claimed"
    counted += f", {failing} the other way" if failing else ""
    counted += f", {undecided} undecided" if undecided else ""
    kind = "most against it" if against else "furthest from the claim"
    parts = [counted, f"{kind}: {turning.what}: {with_interval(turning.estimate, turning.low, turning.high)}"]
    if found.note:
        parts.append(found.note)
    if found.left_out:
        parts.append(f"left out: {_joined(found.left_out)}")
    missing = [title for name, title in PAPER_DATA.items() if claim.on_panels and name not in evidence.panels]
    if missing:
        parts.append(f"nothing here stands for {' and '.join(missing)}")
    return "; ".join(parts)


def _joined(reasons: list[str]) -> str:
    return "; ".join(dict.fromkeys(reasons))
