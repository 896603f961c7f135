"""Workloads: what is to be measured, and the data and files that it is made from."""
