"""Streams of rows with numbers for targets, for losses that are not squared."""

from __future__ import annotations

from typing import Self

from numpy.typing import ArrayLike

from offbeat.linear_model._shared.types import Features
from offbeat.linear_model._streams.batches import whole_or_not
from offbeat.linear_model._streams.glm import RunningStream
from offbeat.problem import Floats


class RegressionStream(RunningStream):
    """A regressor to which batches can be added."""

    @whole_or_not
    def partial_fit(self, X: Features, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Add rows to those seen by ``partial_fit`` before, and fit the model to all of them, as far as that goes.

        Rows are held until there are 10,000, and then let go: what is left of them is a quadratic, expanded at the
        model of that moment. The model minimises the quadratics, the loss of the rows held, and the penalty, and
        ``certificate_`` is about exactly that. So it is about all rows until the first are let go; later it says
        nothing of how well the quadratics stand for them. Measured, the difference from a fit to all rows is a small
        share of the standard errors of the coefficients, unless rows come sorted by their target: see docs/streams.md.

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

    def _keep_coef(self, coef: Floats, intercept: Floats) -> None:
        self.coef_, self.intercept_ = coef[:, 0], float(intercept[0])
