"""Newton's method with Hessians: few columns, many rows.

Reading order: `subproblem` (the quadratic model plus the penalty, minimised in each step), `newton` (with a barrier),
`quadratic` (least squares from the Gram matrix), `symmetric` and `asynchronous` (without a barrier), `batch` (many
models in shared passes).
"""
