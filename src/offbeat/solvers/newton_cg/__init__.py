"""Newton's method with Hessian-vector products: many columns, sparse rows.

Reading order: `newton_cg` (the solver), `conjugate_gradients` (the linear system of a step), `preconditioner`.
"""
