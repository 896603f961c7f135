"""The reproduction of the paper as a page, figures, tables, and progress."""
