"""Estimators that cross-validate on sparse data with many columns."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from offbeat.linear_model import ElasticNetCV, LogisticRegressionCV


def test_cross_validation_on_many_sparse_columns() -> None:
    rng = np.random.default_rng(0)
    X = sparse.csr_array((rng.random((120, 600)) < 0.05).astype(float))
    y = X[:, :5] @ np.ones(5) + 0.1 * rng.standard_normal(120)
    squares = ElasticNetCV(cv=3, alphas=5).fit(X, y)
    assert squares.certificate_.satisfied
    assert squares.coef_[:5].all()
    classes = LogisticRegressionCV(Cs=3, cv=3).fit(X, y > np.median(y))
    assert classes.score(X, y > np.median(y)) > 0.7
