"""``python -m powerml``: the command line."""

from powerml.cli.main import main

if __name__ == "__main__":
    main()
