"""Measures: what curves and heatmaps are worth, and how sure that is."""
