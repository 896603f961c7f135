"""Calibration: what a power meter reads for each cycle of cost, Figure 1 of the paper."""
