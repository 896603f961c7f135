"""Search: a study at work."""
