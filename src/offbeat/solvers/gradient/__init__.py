"""Methods that need gradients only.

Reading order: `lbfgs`, `proximal_gradient`, `delayed_proximal_gradient` (gradients of any age).
"""
