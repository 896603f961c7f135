"""The simulator's host: launch, the warm server, staging, sampling and composition."""
