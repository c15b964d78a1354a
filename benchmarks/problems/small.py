"""Small data, where overhead decides."""

from benchmarks.harness.problem import Spec, Strength

PROBLEMS = (
    Spec("small-ridge", "Logistic ridge, C = 1", "small", "binary", "logistic", 0.0, Strength("C", 1.0),
         fit_intercept=True, note="Each run is the median of fits repeated for 0.3 s."),
)  # fmt: skip
