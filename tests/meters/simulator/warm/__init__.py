"""The warm simulator, without Valgrind but for one test."""
