"""Boards: machines whose own code is counted under emulation."""
