"""The commands, a module for each group. They call only the public API."""
