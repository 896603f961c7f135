"""The meters under Valgrind, and the parsers of its output."""
