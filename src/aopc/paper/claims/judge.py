"""From readings to verdicts.

A claim is *replicated* if all of its readings come out as it says, *not replicated* if one comes out the
other way, and *undecided* otherwise, each at the 5 % level after Holm's correction over all claims that
could be read.
"""

from dataclasses import asdict
from typing import Any

from aopc.measures.statistics.hypotheses import (
    SIGNIFICANCE,
    Reading,
    conjunction,
    holm,
    verdict_of,
)
from aopc.paper.claims.evidence import PAPER_DATA, CannotReadError, Evidence, Found
from aopc.paper.claims.rules import CLAIMS, Claim


def judge(evidence: Evidence) -> dict[str, dict[str, Any]]:
    """The content of ``claims.json``: claim → verdict, effect with its interval, n, rule and readings.

    ``effect`` is the reading on which the verdict turns: where a claim is not replicated, the one that
    most clearly comes out the other way; otherwise the one that is furthest from what is claimed.
    """
    read: dict[str, Found] = {}
    why: dict[str, str] = {}
    for claim in CLAIMS:
        try:
            read[claim.id] = claim.read(evidence)
        except CannotReadError as reason:
            why[claim.id] = str(reason)
            continue
        if not read[claim.id].readings:
            why[claim.id] = _joined(read.pop(claim.id).left_out)
    p_values = {name: conjunction(f.readings) for name, f in read.items()}
    # Two-sided: a claim may turn out the other way.
    adjusted = holm({name: min(1.0, 2 * min(p)) for name, p in p_values.items()})
    found: dict[str, dict[str, Any]] = {}
    for claim in CLAIMS:
        about = {
            "claim": claim.says,
            "estimand": claim.estimand,
            "test": claim.test,
            "rule": claim.rule,
            "shown_in": claim.shown_in,
        }
        if claim.id in why:
            nothing = dict.fromkeys(("effect", "low", "high", "effect_size", "p_holm"))
            found[claim.id] = {
                "verdict": "could not run",
                **nothing,
                "n": 0,
                "reading": why[claim.id],
                **about,
                "readings": [],
            }
            continue
        readings = read[claim.id].readings
        p_for, p_against = p_values[claim.id]
        verdict = verdict_of(p_for, p_against, adjusted[claim.id])
        turning = (
            min(readings, key=lambda r: r.p_against)
            if verdict == "not replicated"
            else max(readings, key=lambda r: r.p_for)
        )
        found[claim.id] = {
            "verdict": verdict,
            "effect": turning.estimate,
            "low": turning.low,
            "high": turning.high,
            "effect_size": turning.effect_size,
            "p_holm": adjusted[claim.id],
            "n": turning.n,
            "reading": _in_words(evidence, claim, verdict, turning, read[claim.id]),
            **about,
            "readings": [asdict(r) for r in readings],
        }
    return found


def _in_words(
    evidence: Evidence, claim: Claim, verdict: str, turning: Reading, found: Found
) -> str:
    # At the level of the 95 % intervals that are shown.
    holding = sum(r.p_for < SIGNIFICANCE / 2 for r in found.readings)
    against = sum(r.p_against < SIGNIFICANCE / 2 for r in found.readings)
    open_ = len(found.readings) - holding - against
    number = f"{turning.estimate:.2f} [{turning.low:.2f}, {turning.high:.2f}]".replace("-", "−")
    kind = "most against it" if verdict == "not replicated" else "furthest from the claim"
    counted = [f"{holding} of {len(found.readings)} comparisons come out as claimed"]
    if against:
        counted.append(f"{against} the other way")
    if open_:
        counted.append(f"{open_} undecided")
    parts = [", ".join(counted), f"{kind}: {turning.what}: {number}"]
    if found.note:
        parts.append(found.note)
    if found.left_out:
        parts.append(f"left out: {_joined(found.left_out)}")
    needs = PAPER_DATA if claim.on_panels else {}
    missing = [title for name, title in needs.items() if name not in evidence.panels]
    if missing:
        parts.append(f"nothing here stands for {' and '.join(missing)}")
    return "; ".join(parts)


def _joined(reasons: list[str]) -> str:
    return "; ".join(dict.fromkeys(reasons))
