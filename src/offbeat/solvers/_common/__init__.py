"""What two families of solvers use.

`descent` (line searches), `curvature` (bounds for step sizes), `delayed_evaluation` (evaluations of different ages),
`hessian_products` and `class_products`, `continuation` (a stronger ridge first), `stalling` (when to give up),
`selection` (many points, each on its own rows).
"""
