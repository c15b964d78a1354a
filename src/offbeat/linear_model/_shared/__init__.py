"""What estimators share.

Reading order: `types` and `parameters` (what users give), `translate` (scikit-learn's parameters to ours), `base` (from
parameters to a fit and its attributes), `regressor`, `log_link`, `sparse`, `classifier`, `labels`, `probabilistic`,
`predict`, `placed` (data on a cluster), `deviance`, `positive`.
"""
