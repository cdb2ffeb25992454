"""``python -m aopc.paper.stages STAGE [ITEM …]``: what dvc.yaml runs."""

import sys

from aopc.paper.stages.warm import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:]))
