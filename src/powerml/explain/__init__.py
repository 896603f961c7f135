"""Explanations: why a study's best is the best."""
