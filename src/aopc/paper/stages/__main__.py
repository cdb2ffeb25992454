"""``python -m aopc.paper.stages STAGE [ITEM …]``: what dvc.yaml runs."""

import sys

from aopc.base.machine import prepare

if __name__ == "__main__":
    prepare()
    from aopc.paper.stages.stage import run_stage

    sys.exit(run_stage(sys.argv[1:2], sys.argv[2:]))
