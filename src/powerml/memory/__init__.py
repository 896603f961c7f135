"""Memory: what of a deployed network must fit, by its graph and in its runtime."""
