"""Batches of a stream: the same columns as before, and few enough of them to keep a matrix about all rows seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from sklearn.utils.validation import validate_data

from offbeat.data.dataset import Dataset
from offbeat.data.load import as_dataset
from offbeat.diagnostics.trace import Trace
from offbeat.engines.placing import lies_elsewhere
from offbeat.errors import ConvergenceWarning, DataError, ProblemError
from offbeat.linear_model._shared.base import LinearModel
from offbeat.problem import Certificate

F = TypeVar("F", bound=Callable[..., Any])
MAX_STREAM_COLUMNS = 2000
"""Most columns of a stream, times the number of classes: a square matrix of that size takes 32 MB."""


def check_here(**given: Any) -> None:
    """Raise `ProblemError` for a part of a batch that lies on a cluster."""
    for name, values in given.items():
        if lies_elsewhere(values):
            raise ProblemError(
                f"partial_fit takes data of this process, and {name} is a collection of a cluster: give its parts one "
                f"after another, each computed, or use fit"
            )


def restored_on_error(method: F) -> F:
    """Make a method restore the model's attributes when it raises.

    Parameters
    ----------
    method : callable
        Sets attributes, and changes none in place.
    """

    @wraps(method)
    def guarded(self: Any, *args: Any, **keywords: Any) -> Any:
        before = dict(self.__dict__)
        try:
            return method(self, *args, **keywords)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    return guarded  # type: ignore[return-value]


class StreamModel(LinearModel):
    """What estimators with ``partial_fit`` share: opening a batch, and attributes after it."""

    stream_: Any
    n_samples_seen_: int

    def _open_batch(self, X: Any, y: Any, sample_weight: Any, target: str | None = None, n_outputs: int = 1) -> Dataset:
        """Return a batch as a data set; the first sets names and encoder, later ones must have them.

        Raises
        ------
        DataError, TargetError
        ProblemError
            There are too many columns, or the batch lies on a cluster.
        """
        check_here(X=X, y=y, sample_weight=sample_weight)
        options = {"sample_weight": sample_weight, "memory_budget": self.memory_budget, "target": target}
        if not hasattr(self, "stream_"):
            dataset = as_dataset(self._open(X, y), y, **options)
            self._remember(X, dataset)
        else:
            if not self._by_name(X):
                validate_data(self, X, reset=False, skip_check_array=True, ensure_2d=False)
            dataset = as_dataset(
                self._open(X, y, self._prediction_read_options(target)), y, encoder=self.encoder_, **options
            )
            known = self.stream_.n_columns
            if dataset.n_columns != known:
                raise DataError(
                    f"X has {dataset.n_columns} features, but {type(self).__name__} is expecting {known} features as "
                    "input: all batches of a stream have the same columns."
                )
        if dataset.n_columns * n_outputs > MAX_STREAM_COLUMNS:
            classes = f" for each of {n_outputs} classes" if n_outputs > 1 else ""
            raise ProblemError(
                f"X has {dataset.n_columns:,} columns{classes}: partial_fit keeps a matrix of columns by columns, and "
                f"takes up to {MAX_STREAM_COLUMNS:,} in all. Use fit with all rows (from a file, if they are many)."
            )
        return dataset

    def _set_batch_attributes(self, rows: int, certificate: Certificate, rounds: int) -> None:
        """Set the attributes that describe the fit after a batch; warn if its gap is above ``tol``."""
        self.n_samples_seen_ = rows
        self.certificate_ = certificate
        self.status_ = "converged" if certificate.satisfied else "stalled"
        self.n_iter_ = max(1, rounds)
        self.trace_ = Trace()
        self.trace_.metadata.update(solver="partial_fit", rows=str(rows), columns=str(self.n_features_in_))
        if not certificate.satisfied:
            warnings.warn(
                f"partial_fit stopped at a relative gap of {certificate.relative_gap:.3g} "
                f"(tol={certificate.tolerance:g}): raise tol, scale the columns, or add a penalty",
                ConvergenceWarning,
                stacklevel=3,
            )
