"""A gate on costs: limits and a baseline, kept by a build or a test."""
