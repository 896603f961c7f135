"""The meters under Valgrind, and the parsers of what it writes."""
