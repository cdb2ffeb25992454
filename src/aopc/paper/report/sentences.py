"""What the controls say, in sentences."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from aopc.figures.style import style_of
from aopc.paper.claims.evidence import with_interval
from aopc.paper.robustness import MASS, PAPER, WORDS
from aopc.paper.wording import PAPERS_REMOVAL, replaced, taken

Table = Mapping[str, Any]
Row = dict[str, Any]

#: What the report calls a verdict on LRP's lead under a choice.
_OUTCOME = {
    "replicated": "LRP is best",
    "not replicated": "LRP is not best",
    "undecided": "undecided",
    "could not run": "could not be compared",
}


def _rows(table: Table) -> list[Row]:
    return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]


def _by_title(
    table: Table, titles: Mapping[str, str], wanted: Callable[[Row], bool]
) -> Iterator[tuple[str, list[Row]]]:
    """Each data set that has wanted rows: its title, and the rows."""
    rows = [r for r in _rows(table) if wanted(r)]
    for panel, title in titles.items():
        if found := [r for r in rows if r["data_set"] == panel]:
            yield title, found


def _of(choice: str) -> str:
    return WORDS.get(choice, f"regions are {replaced(choice)}")


def _interval(row: Row, name: str) -> str:
    return with_interval(*(row[key] for key in (name, f"{name}_low", f"{name}_high")))


def _rho(row: Row) -> str:
    return with_interval(row["rho"], row["low"], row["high"])


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def label(explainer: str) -> str:
    """The explainer's name in figures."""
    return style_of(explainer, [explainer])[0]


def on_choices(agreement: Table, titles: Mapping[str, str], removal: str = PAPERS_REMOVAL) -> list[str]:
    """Where the paper's conclusion, that LRP is above sensitivity and deconvolution, depends on a choice.

    It does where the verdict turns round, or where it differs and the lead itself does so measurably, image by
    image. A verdict that differs by a hair says nothing of the choice. ``removal`` is the main experiment's.
    """
    choice = "the paper's choice" if removal == PAPERS_REMOVAL else "this run's own choice"

    def compared(row: Row) -> bool:
        return not str(row["choice"]).endswith("all images") and row["lrp_is_best"] != "could not run"

    sentences = []
    for title, rows in _by_title(agreement, titles, compared):
        own = next((r for r in rows if r["choice"] == PAPER), None)
        if own is None:
            continue
        others = [r for r in rows if r is not own]
        depends = [r for r in others if _differs(r, own)]
        same = [r for r in others if r["lrp_is_best"] == own["lrp_is_best"]]
        first = (
            f"{title}: {taken(removal)}, {_OUTCOME[own['lrp_is_best']]} on these {own['lead_images']} images"
            f" (it turns on the lead over {label(own['closest'])}: {_interval(own, 'lead')})."
        )
        if same:
            how = "As open is it" if own["lrp_is_best"] == "undecided" else "The same comes out"
            first += f" {how} where {_joined([_of(r['choice']) for r in same])}."
        sentences.append(first)
        sentences += [f"{title}: it depends on the choice: where {_outcome_of(r, choice)}." for r in depends]
        for row in [r for r in others if r not in depends and r not in same]:
            measured = np.isfinite(row["change"])
            why = f"that lead does not differ measurably from the one under {choice}"
            sentences.append(
                f"{title}: where {_outcome_of(row, choice)}; {why if measured else 'the units are others'}."
            )
    return sentences


def _differs(row: Row, own: Row) -> bool:
    verdicts = {row["lrp_is_best"], own["lrp_is_best"]}
    changed = row["change_low"] > 0 or row["change_high"] < 0
    return verdicts == {"replicated", "not replicated"} or (len(verdicts) == 2 and bool(changed))


def _outcome_of(row: Row, choice: str) -> str:
    return (
        f"{_of(row['choice'])}, {_OUTCOME[row['lrp_is_best']]} (lead over {label(row['closest'])}"
        f" {_interval(row, 'lead')}; rank correlation with {choice} {_rho(row)})"
    )


def on_space(spatial: Table, titles: Mapping[str, str]) -> list[str]:
    """What the heatmaps' clustering is worth."""
    sentences = []
    for title, rows in _by_title(spatial, titles, lambda r: np.isfinite(r["clustering_low"])):
        lowest, highest = (f(rows, key=lambda r: r["clustering"]) for f in (min, max))
        of_all, of_places = (label(max(rows, key=lambda r: r[by])["explainer"]) for by in ("heatmap", "place"))
        but = "as" if of_places == of_all else f"and not {of_all}, which is best"
        sentences.append(
            f"{title}: at random places the heatmaps' AOPC relative to random order is between"
            f" {_interval(lowest, 'clustering')} ({label(lowest['explainer'])}) and"
            f" {_interval(highest, 'clustering')} ({label(highest['explainer'])}), where 0 would mean that clustering"
            f" does not matter. Judged against itself at random places the best is {of_places}, {but} against random"
            " order."
        )
    return sentences


def on_further(further: Table, titles: Mapping[str, str], wanted: Callable[[str], bool]) -> list[str]:
    """How further explainers compare with the panel's, image by image: "above" where the interval of the difference
    excludes zero.
    """
    sentences = []
    for title, rows in _by_title(further, titles, lambda r: np.isfinite(r["low"]) and wanted(r["further"])):
        said = []
        for name in dict.fromkeys(r["further"] for r in rows):
            mine = [r for r in rows if r["further"] == name]
            groups = {
                "above": [label(r["explainer"]) for r in mine if r["low"] > 0],
                "below": [label(r["explainer"]) for r in mine if r["high"] < 0],
                "not distinguished from": [label(r["explainer"]) for r in mine if r["low"] <= 0 <= r["high"]],
            }
            parts = [f"{how} {_joined(names)}" for how, names in groups.items() if names]
            said.append(f"{label(name)} is {', '.join(parts)} (n = {mine[0]['images']})")
        sentences.append(f"{title}: {'; '.join(said)}.")
    return sentences


def on_zero_heatmaps(metrics: Mapping[str, Any], titles: Mapping[str, str]) -> list[str]:
    """How many heatmaps are zero everywhere and rank nothing, and how many are not finite."""
    sentences = []
    for kind, meaning in (
        ("zero", "zero everywhere: they rank nothing, and their order is random"),
        ("nonfinite", "not finite: they are left out of all means"),
    ):
        found = [
            f"{titles[panel]}, {label(explainer)}: {numbers[f'{kind}_heatmaps']} of {numbers['images']}"
            for panel, by_explainer in metrics.items()
            for explainer, numbers in by_explainer.items()
            if numbers[f"{kind}_heatmaps"]
        ]
        if found:
            sentences.append(f"Heatmaps that are {meaning} ({'; '.join(found)}).")
    return sentences or ["No heatmap is zero everywhere, and all are finite."]


def on_ground_truth(truth: Table, agreement: Table, titles: Mapping[str, str]) -> list[str]:
    """How much relevance lies on the object, and whether that ranks as AOPC does."""
    sentences = []
    agrees = {r["data_set"]: r for r in _rows(agreement) if r["choice"] == f"{MASS}, all images"}
    for title, rows in _by_title(truth, titles, lambda r: r["choice"] == MASS and np.isfinite(r["mean"])):
        if len(rows) < 2:
            continue
        best = max(rows, key=lambda r: r["mean"])
        said = (
            f"{title}: {label(best['explainer'])} has most on the object, {100 * best['mean']:.0f} %"
            f" [{100 * best['low']:.0f}, {100 * best['high']:.0f}] of its positive relevance"
        )
        chance = [r["mean"] for r in rows if r["explainer"] == "random"]
        if chance:
            said += f"; the object covers {100 * chance[0]:.0f} % of the image"
        if row := agrees.get(best["data_set"]):
            said += f". Its ranking and AOPC's have ρ = {_rho(row)} over {row['explainers']} explainers"
        sentences.append(f"{said}.")
    return sentences
