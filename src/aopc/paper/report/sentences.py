"""What the controls say, in sentences."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from aopc.figures.style import style_of
from aopc.paper.robustness import PAPER, WORDS

Table = Mapping[str, Any]

#: What the report calls a verdict on LRP's lead under a choice.
_OUTCOME = {
    "replicated": "LRP is best",
    "not replicated": "LRP is not best",
    "undecided": "undecided",
    "could not run": "could not be compared",
}


def _rows(table: Table, **wanted: str) -> list[dict[str, Any]]:
    columns = {k: list(v) for k, v in table.items()}
    if not columns or not next(iter(columns.values())):
        return []
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    return [r for r in rows if all(r[k] == v for k, v in wanted.items())]


def _of(choice: str) -> str:
    return WORDS.get(choice, f"regions are replaced by {choice}")


def _interval(row: Mapping[str, Any], name: str) -> str:
    numbers = (row[key] for key in (name, f"{name}_low", f"{name}_high"))
    return "{:.2f} [{:.2f}, {:.2f}]".format(*numbers).replace("-", "−")


def label(explainer: str) -> str:
    """The explainer's name in figures."""
    return style_of(explainer, [explainer])[0]


def on_choices(agreement: Table, titles: Mapping[str, str]) -> list[str]:
    """Where the paper's conclusion, that LRP is above sensitivity and deconvolution, depends on a choice.

    It does where the verdict turns round, or where it differs and the lead itself does so measurably,
    image by image. A verdict that differs by a hair says nothing of the choice.
    """
    sentences = []
    for panel, title in titles.items():
        rows = [
            r
            for r in _rows(agreement, data_set=panel)
            if not str(r["choice"]).endswith("all images") and r["lrp_is_best"] != "could not run"
        ]
        own = next((r for r in rows if r["choice"] == PAPER), None)
        if own is None:
            continue
        parts = [
            f"{title}: as the paper takes it, {_OUTCOME[own['lrp_is_best']]} on these"
            f" {own['lead_images']} images (lead over the closest, {label(own['closest'])}:"
            f" {_interval(own, 'lead')})."
        ]
        others = [r for r in rows if r["choice"] != PAPER]
        depends = [r for r in others if _differs(r, own)]
        rest = [r for r in others if r not in depends]
        same = [r for r in rest if r["lrp_is_best"] == own["lrp_is_best"]]
        if same and own["lrp_is_best"] == "undecided":
            parts.append(f"As open is it where {_joined([_of(r['choice']) for r in same])}.")
        elif same:
            parts.append(f"The same comes out where {_joined([_of(r['choice']) for r in same])}.")
        sentences.append(" ".join(parts))
        sentences += [
            f"{title}: it depends on the choice: where {_of(r['choice'])}, {_outcome_of(r)}."
            for r in depends
        ]
        sentences += [
            f"{title}: where {_of(r['choice'])}, {_outcome_of(r)}; that lead does not differ measurably"
            " from the one under the paper's choice."
            if np.isfinite(r["change"])
            else f"{title}: where {_of(r['choice'])}, {_outcome_of(r)}; the units are others."
            for r in rest
            if r not in same
        ]
    return sentences


def _differs(row: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    verdicts = {row["lrp_is_best"], own["lrp_is_best"]}
    if len(verdicts) == 1:
        return False
    changed = row["change_low"] > 0 or row["change_high"] < 0
    return verdicts == {"replicated", "not replicated"} or bool(changed)


def _outcome_of(row: Mapping[str, Any]) -> str:
    return (
        f"{_OUTCOME[row['lrp_is_best']]} (lead over {label(row['closest'])}"
        f" {_interval(row, 'lead')}; rank correlation with the paper's choice"
        f" {_rho(row)})"
    )


def _rho(row: Mapping[str, Any]) -> str:
    return f"{row['rho']:.2f} [{row['low']:.2f}, {row['high']:.2f}]".replace("-", "−")


def on_space(spatial: Table, titles: Mapping[str, str]) -> list[str]:
    """What the heatmaps' clustering is worth."""
    sentences = []
    for panel, title in titles.items():
        rows = [r for r in _rows(spatial, data_set=panel) if np.isfinite(r["clustering_low"])]
        if not rows:
            continue
        lowest, highest = (f(rows, key=lambda r: r["clustering"]) for f in (min, max))
        ranked = {
            name: sorted(rows, key=lambda r: -r[name])[0]["explainer"]
            for name in ("heatmap", "place")
        }
        first = (
            f"{title}: at random places the heatmaps' AOPC relative to random order is between"
            f" {_interval(lowest, 'clustering')} ({label(lowest['explainer'])}) and"
            f" {_interval(highest, 'clustering')} ({label(highest['explainer'])}), where 0 would mean that"
            " clustering does not matter."
        )
        second = (
            f"Judged against itself at random places the best is {label(ranked['place'])},"
            f" {'as' if ranked['place'] == ranked['heatmap'] else 'and not ' + label(ranked['heatmap']) + ', which is best'}"
            " against random order."
        )
        sentences.append(f"{first} {second}")
    return sentences


def on_further(
    further: Table, titles: Mapping[str, str], wanted: Callable[[str], bool]
) -> list[str]:
    """How further explainers compare with the panel's, image by image: "above" where the interval of the
    difference excludes zero.
    """
    sentences = []
    for panel, title in titles.items():
        rows = [r for r in _rows(further, data_set=panel) if np.isfinite(r["low"])]
        said = []
        for name in dict.fromkeys(r["further"] for r in rows if wanted(r["further"])):
            mine = [r for r in rows if r["further"] == name]
            groups = {
                "above": [label(r["explainer"]) for r in mine if r["low"] > 0],
                "below": [label(r["explainer"]) for r in mine if r["high"] < 0],
                "not distinguished from": [
                    label(r["explainer"]) for r in mine if r["low"] <= 0 <= r["high"]
                ],
            }
            parts = [f"{how} {_joined(names)}" for how, names in groups.items() if names]
            said.append(f"{label(name)} is {', '.join(parts)} (n = {mine[0]['images']})")
        if said:
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
    choice = "relevance on the object"
    for panel, title in titles.items():
        rows = _rows(truth, data_set=panel, choice=choice)
        rows = [r for r in rows if np.isfinite(r["mean"])]
        if len(rows) < 2:
            continue
        chance = next((r["mean"] for r in rows if r["explainer"] == "random"), None)
        best = max(rows, key=lambda r: r["mean"])
        said = (
            f"{title}: {label(best['explainer'])} has most on the object, {100 * best['mean']:.0f} %"
            f" [{100 * best['low']:.0f}, {100 * best['high']:.0f}] of its positive relevance"
        )
        if chance is not None:
            said += f"; the object covers {100 * chance:.0f} % of the image"
        agrees = _rows(agreement, data_set=panel, choice=f"{choice}, all images")
        if agrees:
            row = agrees[0]
            said += (
                f". Its ranking and AOPC's have ρ = {_rho(row)} over {row['explainers']} explainers"
            )
        sentences.append(f"{said}.")
    return sentences


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
