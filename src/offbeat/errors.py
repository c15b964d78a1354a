"""Errors and warnings that users meet. All errors are ``ValueError``: scikit-learn's tools expect that of bad input."""

from __future__ import annotations


class OffbeatError(ValueError):
    """Base of every error raised for bad input."""


class DataError(OffbeatError):
    """The features, weights or offset cannot be used: says which column or row, and what to do."""


class TargetError(OffbeatError):
    """The target does not fit the loss: says what is wrong, how many rows, and the first of them."""


class ProblemError(OffbeatError):
    """The loss, penalty, solver and options do not fit together."""


class ModelFileError(OffbeatError):
    """A model file is missing, damaged, or of a version this library cannot read."""


class MissingPackageError(OffbeatError, ImportError):
    """A package of an extra is not installed: says which, and how to install the extra."""


class ConvergenceWarning(UserWarning):
    """A fit stopped before its certificate reached the tolerance: says the gap that was reached."""
