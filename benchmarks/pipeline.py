"""What the last `make repro` of the default profile spent its time on, as its MLflow runs say.

    python benchmarks/pipeline.py [MLFLOW.DB]

Writes pipeline.json: seconds by stage, and between stages (DVC, starting processes).
"""

import sys
from collections import defaultdict
from typing import Any

from results import HERE, update
from timing import machine

#: Stage → what most of it is.
KINDS = {
    "networks": "training",
    "perturbation": "forward passes",
    "controls": "forward passes",
    "checkpoints": "forward passes",
    "predict": "forward passes",
    "heatmaps": "heatmaps",
    "digits": "heatmaps",
    "datasets": "drawing and writing data",
    "complexity": "entropy and file sizes",
    "claims": "statistics",
    "figures": "figures",
}


def main() -> None:
    """Read the newest parent run and its children."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{sys.argv[1] if len(sys.argv) > 1 else HERE.parent / 'mlflow.db'}")
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=1000, order_by=["attribute.start_time DESC"])
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    whole = max(parents, key=lambda r: sum(_is_child(c, r) for c in runs))
    stages = {r.info.run_name: (r.info.end_time - r.info.start_time) / 1000 for r in runs if _is_child(r, whole)}
    kinds: dict[str, float] = defaultdict(float)
    for name, seconds in stages.items():
        kinds[KINDS.get(name.partition("@")[0], "other")] += seconds
    total = (whole.info.end_time - whole.info.start_time) / 1000
    kinds["between stages"] = total - sum(stages.values())
    found = {"seconds": total, "stages": stages, "kinds": dict(kinds)}
    update(HERE / "pipeline.json", {"default": {"cpu": found | machine("cpu")}})
    for name, seconds in sorted(kinds.items(), key=lambda pair: -pair[1]):
        print(f"{name}: {seconds:.0f} s, {seconds / total:.0%}")


def _is_child(run: Any, parent: Any) -> bool:
    return run.data.tags.get("mlflow.parentRunId") == parent.info.run_id


if __name__ == "__main__":
    main()
