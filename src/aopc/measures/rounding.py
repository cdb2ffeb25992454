"""What counts as rounding."""

#: Curves and heatmaps are float32: a spread below this part of the values' size is rounding, and no denominator.
RESOLUTION = 1e-6
