"""Region perturbation: regions and their order, what replaces them, the engine."""
