"""The pipeline: one module a DVC stage, named by what it does.

A stage is given the whole checked params.yaml and its items, reads its files, calls the package, writes its
outputs, and leaves a note for MLflow. What it imports is what DVC watches (`make pipeline`).
"""

#: Module → the stage's name in dvc.yaml, after what it gives.
STAGES = {
    "gather": "datasets",
    "prepare": "networks",
    "predict": "predict",
    "explain": "heatmaps",
    "perturb": "perturbation",
    "control": "controls",
    "measure": "complexity",
    "compare": "digits",
    "follow": "checkpoints",
    "decide": "claims",
    "draw": "figures",
    "publish": "publish",
}
