"""Logistic regression and support vector machines with a ridge, on sparse data."""

from benchmarks.datasets.languages import RING
from benchmarks.harness.problem import LossName, Spec, Strength

NOTE = "No intercept, columns as they are: so that all can take part. C is the weight of the sum of the losses."
SPARSE: tuple[tuple[str, str, str, str], ...] = (
    ("languages", "languages", "language", "Languages"),
    ("one-hot", "flights-one-hot", "late", "Flights one-hot"),
    ("movielens", "movielens", "liked", "Movielens"),
)
LOSSES: tuple[tuple[LossName, str], ...] = (
    ("logistic", "logistic-ridge"), ("hinge", "hinge"), ("squared-hinge", "squared-hinge")
)  # fmt: skip
STRENGTHS = (0.1, 1.0, 10.0, 100.0)

PAIRS = tuple(
    Spec(f"words-{a}-{b}-logistic-ridge-1", f"Words, {a} or {b}: logistic ridge, C = 1", f"words-{a}-{b}", "language",
         "logistic", 0.0, Strength("C", 1.0), headline=False, note=NOTE)
    for a, b in RING
)  # fmt: skip
PROBLEMS = PAIRS + tuple(
    Spec(f"{name}-{label}-{C:g}", f"{title}: {label.replace('-', ' ')}, C = {C:g}", dataset, target, loss, 0.0,
         Strength("C", C * (2.0 if loss == "squared-hinge" else 1.0)), headline=False, note=NOTE)
    for name, dataset, target, title in SPARSE for loss, label in LOSSES for C in STRENGTHS
)  # fmt: skip
