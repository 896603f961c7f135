"""The paper: its printed results, its program's records, and its Figures 2 to 5 reproduced."""
