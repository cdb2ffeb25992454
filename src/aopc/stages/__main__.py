"""``python -m aopc.stages STAGE [ITEM …]``: what dvc.yaml runs."""

import sys

from aopc.stages.warm import run

#: Stage → whether it needs torch, whose import takes longer than most stages.
STAGES = {
    "datasets": False,
    "networks": True,
    "predict": True,
    "heatmaps": True,
    "perturbation": True,
    "controls": True,
    "complexity": False,
    "digits": True,
    "checkpoints": True,
    "claims": True,
    "figures": True,
    "publish": True,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in STAGES:
        sys.exit(f"usage: python -m aopc.stages {{{','.join(STAGES)}}} [item …]")
    sys.exit(run(sys.argv[1], sys.argv[2:], warm=STAGES[sys.argv[1]]))
