"""The replication: the pipeline's stages, the paper's claims, the report and its tracking."""
