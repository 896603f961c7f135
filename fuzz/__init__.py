"""A campaign of bad inputs from a fixed seed: ``make fuzz``, or ``python -m fuzz --help``."""
