"""Counting any command of the user's in the simulator."""
