"""Measuring: prepare, count, price, score."""
