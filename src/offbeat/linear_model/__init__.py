"""Estimators with scikit-learn's names, parameters and behaviour, and a certificate."""

from offbeat.linear_model.logistic import LogisticRegression

__all__ = ["LogisticRegression"]
