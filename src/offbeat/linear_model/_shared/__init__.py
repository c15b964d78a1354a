"""What estimators share.

Reading order: `base` (from parameters to a fit and its attributes), `classifier` and `regressor`, `labels`, `predict`,
`placed` (data on a cluster), `translate` (scikit-learn's parameters to ours), `positive`, `deviance`.
"""
