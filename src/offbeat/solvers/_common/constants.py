"""Constants that several families of solvers share."""

SUFFICIENT_DECREASE = 1e-4
"""Share of the predicted decrease that an accepted step must reach (Armijo; Nocedal & Wright 2006, eq. 3.4)."""

ROWS_PER_RUN = 8
"""Rows that stochastic methods visit in sequence at a random place. Single random rows take twice the time to read."""
