"""The machinery of region perturbation: from a network, images and orders to curves, fast and exact."""
