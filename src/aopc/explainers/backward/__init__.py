"""One mechanism for all backward passes: rules by layer, and which networks they cover."""
