"""Newton's method with products instead of Hessians: many columns, sparse rows.

Reading order: `newton_cg`, `conjugate_gradients`, `preconditioner`.
"""
