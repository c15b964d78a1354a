"""Whole paths of 100 penalties, squared loss, 500,000 x 100."""

from benchmarks.harness.problem import Spec, Strength

NOTE = (
    "No intercept (scikit-learn's and celer's path functions have none). Suboptimality is the worst over the path. "
    "A fit includes whatever copy of X a library makes."
)

PROBLEMS = (
    Spec("lasso-path", "Lasso path, 100 penalties from lambda_max to lambda_max / 1000", "correlated",
         "real", "squared", 1.0, Strength("lambda_max", 1.0, length=100), note=NOTE),
    Spec("enet-path", "Elastic-net path, l1_ratio 0.5, 100 penalties", "correlated", "real", "squared",
         0.5, Strength("lambda_max", 1.0, length=100), headline=False, note=NOTE),
    Spec("ridge-path", "Ridge path, 100 penalties from 1 to 1e-5 per sample", "correlated", "real",
         "squared", 0.0, Strength("alpha", 1.0, length=100, last=1e-5), note=NOTE),
)  # fmt: skip
