"""Streams of rows with class labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offbeat.data.dataset import Dataset
from offbeat.data.load import target_values
from offbeat.errors import ProblemError, TargetError
from offbeat.linear_model._shared.labels import class_weights, encode_known, encode_labels
from offbeat.linear_model._shared.types import ClassWeight, Features
from offbeat.linear_model._streams.batches import check_here, restored_on_error
from offbeat.linear_model._streams.glm import GlmStream
from offbeat.problem import Floats


class ClassStream(GlmStream):
    """A classifier to which batches can be added."""

    class_weight: ClassWeight
    classes_: NDArray[Any]

    @restored_on_error
    def partial_fit(
        self,
        X: Features,
        y: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
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
            At most 2,000 columns (times classes, from three on), the same in every call.
        y : array-like of shape (n_rows,), or column name
            Class labels.
        classes : array-like, shape (n_classes,), optional
            All labels, which must all occur in the first call; needed then, unless ``fit`` was called before.
        sample_weight : array-like of shape (n_rows,), or column name, optional

        Returns
        -------
        self : LogisticRegression
            With ``n_samples_seen_``, the number of rows.

        Raises
        ------
        DataError, TargetError, ProblemError
            All are ``ValueError``; the model is as it was before.
        """
        check_here(X=X, y=y)
        known = self._known_classes(classes)
        opened = self._open(X, y, self._prediction_read_options(y) if hasattr(self, "stream_") else None)
        codes = encode_known(target_values(opened, y), known)
        target, n_outputs = y if isinstance(y, str) else None, len(known) if len(known) > 2 else 1
        dataset = self._open_batch(X, codes, sample_weight, target, n_outputs)
        if self.class_weight is not None:
            factors = class_weights(self.class_weight, known, np.ones(len(known)))[codes.astype(np.intp)]
            dataset = replace(dataset, weight=factors * dataset.weight if dataset.weight.size else factors)
        if not hasattr(self, "stream_"):
            _check_present(known, dataset)
        self.classes_ = known
        self._add(dataset, n_outputs)
        self.n_iter_ = np.array([self.n_iter_], dtype=np.int32)
        return self

    def _set_stream_coef(self, coef: Floats, intercept: Floats) -> None:
        self.coef_ = np.ascontiguousarray(coef.T)
        self.intercept_ = intercept if len(intercept) == 1 else intercept - np.mean(intercept)

    def _known_classes(self, classes: Any) -> NDArray[Any]:
        """Return the classes of the stream, as given or as they were given first."""
        if isinstance(self.class_weight, str):
            raise ProblemError(
                f"class_weight={self.class_weight!r} needs all rows: give a dict of weights by label to partial_fit"
            )
        if classes is None:
            if not hasattr(self, "classes_"):
                raise ProblemError("classes must be passed on the first call to partial_fit: all labels")
            return self.classes_
        given = encode_labels(classes)[0]
        if hasattr(self, "stream_") and not np.array_equal(given, self.classes_):
            raise ProblemError(
                f"classes is {given.tolist()}, and was {self.classes_.tolist()} in the first call: make a new estimator"
            )
        if len(given) < 2:
            raise ProblemError(f"classes is {given.tolist()}: a classifier needs two")
        return given


def _check_present(classes: NDArray[Any], dataset: Dataset) -> None:
    """Raise `TargetError` unless all classes occur: without rows, a class has no curvature to expand."""
    counts = np.bincount(dataset.y.astype(np.intp), dataset.weight if dataset.weight.size else None, len(classes))
    if not counts.all():
        raise TargetError(
            f"y has no row (with weight) of class {classes[counts == 0].tolist()[0]!r}: the first call of partial_fit "
            "needs rows of every class; give it more rows, or shuffle them"
        )
