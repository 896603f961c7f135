"""Example spaces: files as a user writes them, which `--space` takes by name.

powerML runs each by its path, as it does a user's own. `powerml new-space --from NAME` copies one.
"""
