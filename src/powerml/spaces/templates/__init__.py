"""Spaces that `powerml new-space` writes, one for each framework."""
