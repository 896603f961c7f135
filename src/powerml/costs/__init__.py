"""Costs: counts, and what they come to on a machine."""
