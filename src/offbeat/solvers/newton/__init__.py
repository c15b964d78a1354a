"""Newton's method with Hessians: few columns, many rows.

Reading order: `subproblem` (the model that a step minimises), `newton` (in rounds), `quadratic` (least squares from the
Gram matrix), `symmetric` and `asynchronous` (contributions of different ages), `batch` (many problems, shared passes).
"""
