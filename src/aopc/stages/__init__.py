"""The pipeline: one module a DVC stage.

A stage reads its files and its section of params.yaml, calls pure functions of the package, writes
its outputs, and leaves a note for MLflow in the journal. Nothing else reads params.yaml.
"""
