"""What two or more families of solvers use.

`needs` (conditions on problems), `parameters` (checks of parameters), `constants`; `descent` (line searches) and
`quasi_newton`; `curvature` (bounds for step sizes); `delayed_evaluation` (sums of evaluations of different ages);
`hessian_products` and `class_products`; `continuation` (a stronger ridge first); `stalling` (when to stop without
progress); `selection` (many points, each on its own rows).
"""
