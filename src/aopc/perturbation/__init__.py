"""The idea of region perturbation, as vocabulary: regions and their order, what replaces them, curves.

No torch is imported here; the machinery that computes the curves is :mod:`aopc.engine`.
"""
