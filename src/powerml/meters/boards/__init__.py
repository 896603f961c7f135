"""Meters of boards, whose code runs under emulation."""
