"""Lasso with many columns: sparse data at three strengths and along a path; more columns than rows, along a path."""

from benchmarks.harness.problem import LossName, Spec, Strength

NOTE = "No intercept, columns as they are: so that all can take part."
WIDE = "No intercept; 100 penalties down to a hundredth of the first."
SPARSE: tuple[tuple[str, str, str, str], ...] = (
    ("languages", "languages", "language", "Languages"),
    ("one-hot", "flights-one-hot", "late", "Flights one-hot"),
)
LOSSES: tuple[tuple[LossName, str], ...] = (("logistic", "logistic L1"), ("squared", "lasso"))
SHARES = (3, 10, 100)

PROBLEMS = (
    *(
        Spec(f"{name}-{loss}-l1-{share}", f"{title}: {words}, lambda_max / {share}", dataset, target, loss, 1.0,
             Strength("lambda_max", 1.0 / share), headline=False, note=NOTE)
        for name, dataset, target, title in SPARSE for loss, words in LOSSES for share in SHARES
    ),
    *(
        Spec(f"{name}-{loss}-l1-path", f"{title}: {words}, path of 50 to lambda_max / 100", dataset, target, loss, 1.0,
             Strength("lambda_max", 1.0, length=50, last=1e-2), headline=False, note=NOTE)
        for name, dataset, target, title in SPARSE for loss, words in LOSSES
    ),
    Spec("permeability-path", "Permeability: lasso path", "permeability", "permeability", "squared", 1.0,
         Strength("lambda_max", 1.0, length=100, last=1e-2), headline=False, note=WIDE),
    Spec("nci60-path", "NCI60: lasso path", "nci60", "class", "squared", 1.0,
         Strength("lambda_max", 1.0, length=100, last=1e-2), headline=False, note=WIDE),
)  # fmt: skip
