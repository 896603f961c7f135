"""Meters: ways of counting a workload, found by name."""
