"""Figures and tables: one module each, named after the paper's."""
