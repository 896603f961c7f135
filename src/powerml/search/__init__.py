"""Search: a running study."""
