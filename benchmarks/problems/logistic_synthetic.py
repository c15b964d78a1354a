"""Dense logistic regression on 500,000 x 100 synthetic rows: ridge, L1, elastic net."""

from benchmarks.harness.problem import Spec, Strength

NO_INTERCEPT = "No intercept: so snapml, celer, copt and liblinear take part with the same objective."
RIDGE, LASSO, NET = Strength("C", 1.0), Strength("lambda_max", 0.01), Strength("lambda_max", 0.01)

PROBLEMS = (
    Spec("logistic-ridge", "Logistic ridge, C = 1", "correlated", "binary", "logistic", 0.0, RIDGE,
         note=NO_INTERCEPT),
    Spec("logistic-ridge-intercept", "Logistic ridge, C = 1, with intercept", "correlated", "binary",
         "logistic", 0.0, RIDGE, fit_intercept=True, headline=False,
         note="Only those whose intercept is not penalised."),
    Spec("logistic-l1", "Logistic L1, lambda_max / 100", "correlated", "binary", "logistic", 1.0, LASSO,
         note=NO_INTERCEPT),
    Spec("logistic-l1-strong", "Logistic L1, lambda_max / 10", "correlated", "binary", "logistic", 1.0,
         Strength("lambda_max", 0.1), headline=False, note=NO_INTERCEPT),
    Spec("logistic-enet", "Logistic elastic net, l1_ratio 0.5, lambda_max / 100", "correlated", "binary",
         "logistic", 0.5, NET, note=NO_INTERCEPT),
    Spec("logistic-ridge-float32", "Logistic ridge, C = 1, float32", "correlated", "binary", "logistic",
         0.0, RIDGE, dtype="float32", accuracies=(1e-3, 1e-6), note=NO_INTERCEPT),
    Spec("logistic-l1-float32", "Logistic L1, lambda_max / 100, float32", "correlated", "binary",
         "logistic", 1.0, LASSO, dtype="float32", accuracies=(1e-3, 1e-6), headline=False, note=NO_INTERCEPT),
)  # fmt: skip
