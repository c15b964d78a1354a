"""Streams of rows with numbers for targets, for losses that are not squared."""

from __future__ import annotations

from typing import Self

from numpy.typing import ArrayLike

from offbeat.linear_model._shared.types import Features
from offbeat.linear_model._streams.batches import restored_on_error
from offbeat.linear_model._streams.glm import GlmStream
from offbeat.problem import Floats


class RegressionStream(GlmStream):
    """A regressor to which batches can be added."""

    @restored_on_error
    def partial_fit(self, X: Features, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Add rows to those of earlier calls, and fit the model to all of them: exactly at first, then approximately.

        Rows are held until there are 10,000. Then their loss is replaced by its quadratic expansion at the current
        model, and they are dropped. The model minimises the sum of the quadratics, the loss of the rows held, and the
        penalty; ``certificate_`` is about that sum. It is about all rows until the first are dropped. Later it does
        not tell how well the quadratics approximate the dropped rows. Measured, the difference from a fit to all rows
        is a small share of the standard errors of the coefficients, unless rows come sorted by their target: see
        docs/streams.md.

        A call of ``fit`` starts afresh, and so does the first call of ``partial_fit`` after it.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
            At most 2,000 columns, the same in every call.
        y : array-like of shape (n_rows,), or column name
        sample_weight : array-like of shape (n_rows,), or column name, optional

        Returns
        -------
        self : estimator
            With ``n_samples_seen_``, the number of rows.

        Raises
        ------
        DataError, TargetError, ProblemError
            All are ``ValueError``; the model is as it was before.
        """
        self._add(self._open_batch(X, y, sample_weight))
        return self

    def _set_stream_coef(self, coef: Floats, intercept: Floats) -> None:
        self.coef_, self.intercept_ = coef[:, 0], float(intercept[0])
