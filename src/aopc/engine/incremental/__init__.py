"""Incremental inference: per step, only what the removed region can change is computed."""
