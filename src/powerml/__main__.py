"""``python -m powerml``: the command line."""

from powerml.cli import main

if __name__ == "__main__":
    main()
