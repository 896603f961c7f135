"""Guest: everything that is executed inside the simulator."""
