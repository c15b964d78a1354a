"""Linear support vector machines on sparse data."""

from benchmarks.harness.problem import LossName, Spec, Strength

NOTE = "No intercept, columns as they are: so that all can take part. C is the weight of the sum of the losses."
SPARSE: tuple[tuple[str, str, str, str], ...] = (
    ("languages", "languages", "language", "Languages"),
    ("one-hot", "flights-one-hot", "late", "Flights one-hot"),
)
LOSSES: tuple[LossName, ...] = ("hinge", "squared-hinge")
STRENGTHS = (0.1, 1.0, 10.0)

PROBLEMS = tuple(
    Spec(f"{name}-{loss}-{C:g}", f"{title}: {loss}, C = {C:g}", dataset, target, loss, 0.0,
         Strength("C", C * (2.0 if loss == "squared-hinge" else 1.0)), headline=False, accuracies=(1e-3, 1e-6),
         note=NOTE)
    for name, dataset, target, title in SPARSE for loss in LOSSES for C in STRENGTHS
)  # fmt: skip
