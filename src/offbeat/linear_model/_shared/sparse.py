"""Regressors with sparse coefficients."""

from __future__ import annotations

from typing import Any

from scipy import sparse

from offbeat.linear_model._shared.regressor import LinearRegressor


class SparseRegressor(LinearRegressor):
    """A regressor that also gives its coefficients as a sparse matrix."""

    @property
    def sparse_coef_(self) -> Any:
        """Coefficients as a SciPy sparse matrix of shape (1, n_features)."""
        return sparse.csr_matrix(self.coef_)
