"""Late arrivals of real flights: ridge, L1, elastic net."""

from benchmarks.harness.problem import Spec, Strength

NOTE = (
    "Columns standardised beforehand (mean 0, variance 1), for everybody and outside the clock; "
    "unpenalised intercept, so only those that have one."
)
OPEN = "Columns standardised beforehand, for everybody and outside the clock; no intercept, so that all can take part."

PROBLEMS = (
    Spec("flights-ridge", "Flights: logistic ridge, C = 1", "flights", "late", "logistic", 0.0, Strength("C", 1.0),
         fit_intercept=True, note=NOTE),
    Spec("flights-ridge-open", "Flights: logistic ridge, C = 1, no intercept", "flights", "late", "logistic", 0.0,
         Strength("C", 1.0), note=OPEN),
    Spec("flights-l1", "Flights: logistic L1, lambda_max / 100", "flights", "late", "logistic", 1.0,
         Strength("lambda_max", 0.01), fit_intercept=True, note=NOTE),
    Spec("flights-l1-open", "Flights: logistic L1, lambda_max / 100, no intercept", "flights", "late", "logistic", 1.0,
         Strength("lambda_max", 0.01), note=OPEN),
    Spec("flights-enet", "Flights: logistic elastic net, l1_ratio 0.5, lambda_max / 100", "flights", "late", "logistic",
         0.5, Strength("lambda_max", 0.01), fit_intercept=True, note=NOTE),
)  # fmt: skip
