"""Contributions, the board that sums them, and the loop that drives a solver: no input or output of their own."""
