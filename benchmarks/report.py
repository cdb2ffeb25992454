"""Write what the benchmarks found into README.md, and draw speed.png.

python benchmarks/report.py
"""

from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from networks import NETWORKS
from results import HERE, RESULTS, read

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
DEVICES = {"cpu": "CPU", "cuda": "GPU"}


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """In Markdown."""
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


def ratio(found: dict[str, Any], name: str, digits: int = 2) -> str:
    """Median and range over rounds."""
    low, high = found["spread"][name]
    return f"**{found[name]:.{digits}f}** [{low:.{digits}f}, {high:.{digits}f}]"


def speed() -> list[str]:
    """The main table."""
    rows = []
    for name, by_device in _in_order(read(RESULTS)):
        for device, found in by_device.items():
            rows.append(
                [
                    name,
                    DEVICES[device],
                    f"{found['raw_forwards_per_s']:.0f} ({found['raw_at']})",
                    ratio(found, "engine_over_raw"),
                    ratio(found, "incremental_over_raw"),
                    f"{1 / found['steps_macs_over_full']:.1f}",
                    ratio(found, "engine_over_quantus", 1),
                    ratio(found, "bfloat16_over_raw", 1),
                    f"{found['peak_mb']:.0f}",
                ]
            )
    head = ["network", "device", "raw forwards/s", "full passes ÷ raw", "engine ÷ raw", "at most, by multiply–adds", "engine ÷ Quantus", "engine in bfloat16 ÷ raw float32", "peak MB"]  # fmt: skip
    return ["### Speed", "", *table(head, rows), "![Speed](speed.png)", ""]


def figure4() -> list[str]:
    """The paper's whole figure, extrapolated."""
    lines = []
    for device, f in read(HERE / "figure4.json").get("caffenet", {}).items():
        lines.append(
            f"**The paper's Figure 4 on ILSVRC2012** (CaffeNet, 5040 images, 8 orders, 10 repeats, 100 steps:"
            f" {f['forwards'] / 1e6:.1f} million perturbed images), on this {DEVICES[device]}: {f['hours']:.1f}"
            f" hours, extrapolated from {f['ran_seconds']:.0f} s at {f['forwards_per_s']:.0f} a second, heatmaps"
            f" included. Two of the eight orders: {f['hours_for_two_orders']:.1f} hours; the paper reports about"
            f" {f['hours_of_the_paper_for_two_orders']:.0f} on 20 Xeon cores."
        )
    return [*lines, ""]


def heatmaps() -> list[str]:
    """Heatmaps in passes."""
    lines = ["### Heatmaps, in forward and backward passes of the same images", ""]
    found = read(HERE / "heatmaps.json")
    columns = [(n, d) for n, by in _in_order(found) for d in by]
    labels = list(dict.fromkeys(k for n, d in columns for k in found[n][d]["passes"]))
    rows = []
    for label in sorted(labels, key=lambda x: (x != "all together", x)):
        cells = []
        for name, device in columns:
            got = found[name][device]["passes"].get(label)
            cells.append(f"{got['median']:.2f} [{got['low']:.2f}, {got['high']:.2f}]" if got else "–")
        rows.append([label, *cells])
    return [*lines, *table(["explainer", *(f"{n}, {DEVICES[d]}" for n, d in columns)], rows)]


def costs() -> list[str]:
    """Linearity and memory."""
    found = read(HERE / "costs.json")
    if not found:
        return []
    factors = found["small"]["cpu"]["factors"]
    rows = []
    for name in ("images", "steps", "repeats", "explainers"):
        f = factors[name]
        rows.append(
            [
                name,
                ", ".join(map(str, f["levels"])),
                ", ".join(f"{s:.1f}" for s in f["seconds"]),
                f"{f['constant']:.2f} + {f['slope']:.4f} × {name}",
                f"{f['largest_deviation']:.1%}",
                ", ".join(f"{m:.0f}" for m in f["peak_mb"]),
            ]
        )
    estimate = factors["estimate"]
    head = ["factor", "levels", "seconds", "line", "largest deviation", "peak MB"]
    return [
        "### Time and memory of a job (`aopc evaluate`, the small network)",
        "",
        *table(head, rows),
        f"`aopc estimate` said {estimate['estimated']:.0f} s for the largest of the first row, which took"
        f" {estimate['took']:.0f} s.",
        "",
    ]


def tolerance() -> list[str]:
    """Variance components and coverage."""
    found = read(HERE / "tolerance.json")
    if not found:
        return []
    rows = [
        [
            name,
            f"{c['mean']:.2f}",
            f"{c['variance_images']:.2f}",
            f"{c['variance_noise']:.2f}",
            *(f"{c['half_width'][str(r)]:.3f}" for r in (1, 2, 5, 10)),
            f"{c['half_width_twice_the_images']:.3f}",
        ]
        for name, c in found["components"].items()
    ]
    images = next(iter(found["components"].values()))["images"]
    head = ["explainer", "AOPC relative to random", "variance between images", "of the noise", "± with 1 repeat", "2", "5", "10", "1 repeat, twice the images"]  # fmt: skip
    covered = [
        [
            name,
            *(f"{by[k]['coverage']:.3f} ({by[k]['images_used']:.0f})" for k in ("40", "100", "300")),
        ]
        for name, by in found["coverage"].items()
    ]
    return [
        f"### Repeats or images (SqueezeNet, {images} photographs, 100 steps)",
        "",
        *table(head, rows),
        "Coverage of mean ± tolerance when `--tolerance` stops, 2000 simulated runs (images used on"
        " average), by how many images a fixed number would have to be:",
        "",
        *table(["differences", "40", "100", "300"], covered),
    ]


def dtype() -> list[str]:
    """Reduced precision."""
    lines: list[str] = []
    for by_device in read(HERE / "dtype.json").values():
        for device, found in by_device.items():
            rows = [
                [
                    name,
                    f"{e['aopc']:.2g}",
                    f"{e['relative_to_random']:.2g}",
                    f"{e['largest_of_an_image']:.2g}",
                    f"{e['half_width_over_error']:.0f} ×",
                ]
                for name, e in found["errors"].items()
            ]
            head = ["dtype", "error of AOPC", "relative to random", "largest of one image", "half width of the interval ÷ error"]  # fmt: skip
            lines += [
                f"### Arithmetic (SqueezeNet, {found['images']} photographs, {DEVICES[device]}; against float64)",
                "",
                f"AOPC {found['aopc']:.3f}, relative to random {found['relative_to_random']:.3f}"
                f" ± {found['half_width']:.3f}.",
                "",
                *table(head, rows),
            ]
    return lines


def pipeline() -> list[str]:
    """The profile of make repro."""
    found = read(HERE / "pipeline.json")
    if not found:
        return []
    run = found["default"]["cpu"]
    rows = [
        [kind, f"{seconds:.0f}", f"{seconds / run['seconds']:.0%}"]
        for kind, seconds in sorted(run["kinds"].items(), key=lambda pair: -pair[1])
    ]
    return [
        f"### Where `make repro` spends its {run['seconds']:.0f} seconds",
        "",
        *table(["what", "seconds", "share"], rows),
    ]


def machines() -> list[str]:
    """Hardware and versions."""
    seen = {
        (f["hardware"], ", ".join(f"{k} {v}" for k, v in f["versions"].items()))
        for by in read(RESULTS).values()
        for f in by.values()
    }
    return [
        "### Machines",
        "",
        *(f"* {hardware}; {versions}" for hardware, versions in sorted(seen)),
        "",
    ]


def draw() -> None:
    """Rates as multiples of the raw forward pass."""
    found = [(n, d, f) for n, by in _in_order(read(RESULTS)) for d, f in by.items()]
    bars = {
        "quantus_over_raw": ("Quantus", "#b0b0b0"),
        "engine_over_raw": ("full passes", "#7aa6c2"),
        "incremental_over_raw": ("incremental (default)", "#1f5f8b"),
    }
    figure, axes = plt.subplots(figsize=(7.5, 0.75 * len(found) + 1.4))
    for place, (name, (label, colour)) in enumerate(bars.items()):
        at = [i + 0.26 * (1 - place) for i in range(len(found))]
        values = [f[name] for *_, f in found]
        spread = [[v - f["spread"][name][0] for v, (*_, f) in zip(values, found, strict=True)],
                  [f["spread"][name][1] - v for v, (*_, f) in zip(values, found, strict=True)]]  # fmt: skip
        axes.barh(at, values, 0.24, label=label, color=colour, xerr=spread, error_kw={"lw": 0.8})
    axes.axvline(1, color="black", lw=0.8, ls="--")
    axes.set_yticks(range(len(found)), [f"{n} ({DEVICES[d]})" for n, d, _ in found])
    axes.invert_yaxis()
    axes.set_xlabel("perturbed images a second ÷ the network's own best forward passes a second")
    axes.legend(loc="lower right", frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(HERE / "speed.png", dpi=160)


def _in_order(found: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, found[name]) for name in NETWORKS if name in found]


def main() -> None:
    """Between the markers of README.md, and speed.png."""
    readme = HERE / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    parts = [
        *speed(),
        *figure4(),
        *heatmaps(),
        *costs(),
        *tolerance(),
        *dtype(),
        *pipeline(),
        *machines(),
    ]
    readme.write_text(f"{before}{BEGIN}\n" + "\n".join(parts) + f"{END}{after}", encoding="utf-8")
    draw()


if __name__ == "__main__":
    main()
