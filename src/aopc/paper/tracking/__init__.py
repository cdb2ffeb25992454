"""Tracking: stages leave notes of their runs, one step brings them to MLflow.

So tracking costs the stages nothing, never changes a result, and survives a broken store: the notes
stay until they could be logged.
"""
