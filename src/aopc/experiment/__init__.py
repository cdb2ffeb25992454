"""The experiment: explainers on images under conditions, in one loop, and its results."""
