"""Explainers: one module a method, called by the paper's names."""
