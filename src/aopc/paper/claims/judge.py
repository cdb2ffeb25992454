"""From evidence to verdicts: every claim is read, all are decided together, and put in words.

A claim is *replicated* if all of its comparisons come out as it says, *not replicated* if one comes out the other way,
and *undecided* otherwise, at the 5 % level after Holm's correction over all claims that could be read. The verdict, the
counts and the sentence are all read from one :class:`Decision`.
"""

from dataclasses import asdict
from typing import Any

from aopc.measures.statistics.decisions import Comparison, Decision, decide
from aopc.paper.claims.evidence import OUTCOMES, PAPER_DATA, CannotReadError, Evidence, Found, with_interval
from aopc.paper.claims.rules import CLAIMS, Claim


def judge(evidence: Evidence) -> dict[str, dict[str, Any]]:
    """The content of ``claims.json``: claim → verdict, effect with its interval, n, rule and readings.

    ``effect`` is the reading on which the verdict turns (:attr:`Decision.turning`), of which ``turning`` is the number.
    A reading's ``p_for_corrected`` and ``p_against_corrected`` are those by which it comes out as its ``verdict`` says.
    """
    read: dict[str, Found] = {}
    for claim in CLAIMS:
        try:
            read[claim.id] = claim.read(evidence)
        except CannotReadError as reason:
            read[claim.id] = Found(left_out=[str(reason)])
    decided = decide({name: found.readings for name, found in read.items()})
    return {c.id: _judged(evidence, c, read[c.id], decided[c.id]) for c in CLAIMS}


def _judged(evidence: Evidence, claim: Claim, found: Found, decision: Decision) -> dict[str, Any]:
    if decision.comparisons:
        turning = decision.turning
        outcome = {
            **_effect(decision.comparisons[turning]),
            "p_holm": decision.p,
            "turning": turning,
            "reading": _in_words(evidence, claim, found, decision),
        }
    else:
        names = ("effect", "low", "high", "effect_size", "p_holm", "turning")
        outcome = {**dict.fromkeys(names), "n": 0, "reading": _joined(found.left_out)}
    readings = [_reading(c) for c in decision.comparisons]
    return {"verdict": decision.verdict, **outcome, **claim.about, "readings": readings}


def _effect(comparison: Comparison) -> dict[str, Any]:
    reading = comparison.reading
    names = ("low", "high", "effect_size", "n")
    return {"effect": reading.estimate, **{name: getattr(reading, name) for name in names}}


def _reading(comparison: Comparison) -> dict[str, Any]:
    return {
        **asdict(comparison.reading),
        "p_for_corrected": comparison.p_for,
        "p_against_corrected": comparison.p_against,
        "verdict": comparison.verdict,
    }


def _in_words(evidence: Evidence, claim: Claim, found: Found, decision: Decision) -> str:
    counts, turning = decision.counts, decision.comparisons[decision.turning].reading
    counted = f"{counts['replicated']} of {len(decision.comparisons)} comparisons come out {OUTCOMES['replicated']}"
    others = {verdict: how for verdict, how in OUTCOMES.items() if verdict != "replicated" and counts[verdict]}
    counted += "".join(f", {counts[verdict]} {how}" for verdict, how in others.items())
    kind = "most against it" if decision.verdict == "not replicated" else "furthest from the claim"
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
