"""Measures: what curves and heatmaps are worth, and how sure that is; arrays in, numbers out, no torch."""
