"""The paper: what it printed, what its program recorded, and its Figures 2 to 5 made again."""
