"""Workloads: the things to measure, and their data and files."""
