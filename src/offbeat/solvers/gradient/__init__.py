"""Methods that use gradients only.

Reading order: `lbfgs` (L-BFGS, smooth penalties), `proximal_gradient` (FISTA, any penalty), `delayed_proximal_gradient`
(gradients of any age, any penalty).
"""
