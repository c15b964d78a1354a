"""Births per state and day: Poisson ridge on 450 one-hot columns."""

from benchmarks.harness.problem import Spec, Strength

PROBLEMS = (
    Spec("poisson-births", "Births: Poisson ridge, alpha = 1e-3", "births", "births", "poisson", 0.0,
         Strength("alpha", 1e-3), fit_intercept=True,
         note="Dense one-hot columns of state, year, weekday and day of the year, not scaled, no level dropped; "
         "relative to the null model's objective above the saturated model's."),
)  # fmt: skip
