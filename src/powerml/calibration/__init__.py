"""Calibration: a power meter's reading per cycle of cost, Figure 1 of the paper."""
