"""Mutation testing: would a test notice if a line of the code were wrong? See ``python -m mutation --help``."""
