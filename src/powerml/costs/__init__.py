"""Costs: counts, and their prices on a machine."""
