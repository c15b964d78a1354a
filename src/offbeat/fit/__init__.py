"""From a problem and data to a certified solution.

Read in this order:

1. `evaluate`: loss, gradient and Hessian at one point, over all rows.
2. `inspection`: what a solver knows of the data before its first step.
3. `choice` and `costs`: which solver, engine and placement ``"auto"`` stands for.
4. `settings`: what a fit is told, and its limits of passes and time.
5. `solve`: one fit.
6. `solution`: the result of a fit.
7. `checkpoint`: the state of a fit in a file.
8. `free_columns`: fits of the columns without penalty.
9. `paths`: one fit for each strength of the penalty.
"""
