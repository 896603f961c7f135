"""Sensors: meters that read the energy of a workload that runs natively, in joules."""
