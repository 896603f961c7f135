"""Everything Valgrind: launch, output parsers, the warm server and the worker inside it."""
