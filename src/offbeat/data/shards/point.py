"""The point at which a shard evaluates a loss, and the sums that it returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from offbeat.data.shards.blocks import Float64s


class Point(NamedTuple):
    """Where a shard evaluates the loss, in the columns' own units: ``z = (x - center)'coef + intercept + offset``.

    Parameters
    ----------
    coef : ndarray, shape (k,) or (k, n_outputs)
    intercept : ndarray, shape (n_outputs,)
    center : ndarray, shape (k,)
    fraction : float
        Share of the rows to visit, evenly spread.
    hessian, repair : bool
        Whether these sums are wanted, beside loss and gradient.
    scale : ndarray, shape (k,), optional
        With it, the Hessian is that of columns divided by it, and sums over sparse columns far from zero or in extreme
        units keep their digits.
    exact : bool
        Whether Hessians, and products with several outputs, are taken in double precision. It matters only where rows
        are dense and in single precision.

    Examples
    --------
    >>> Point(np.zeros(2), np.zeros(1), np.zeros(2), hessian=True).label
    'gradient + Hessian'
    """

    coef: Float64s
    intercept: Float64s
    center: Float64s
    fraction: float = 1.0
    hessian: bool = False
    repair: bool = False
    scale: Float64s | None = None
    exact: bool = True

    @property
    def label(self) -> str:
        """What the step does, for the reader of a trace."""
        return f"{'gradient' if self.fraction >= 1.0 else 'sample'}{' + Hessian' if self.hessian else ''}"


class Sums(NamedTuple):
    """What a shard contributes at a `Point`, summed over its rows.

    Parameters
    ----------
    head : ndarray, shape (`head_size`,)
        The loss, its derivative by each output (theta), the dual direction (h), and the number of rows.
    gradient : ndarray, shape (k * n_outputs,)
    repair : ndarray, shape (k * n_outputs,), or None
        The same sums as the gradient's, of h in place of theta.
    hessian : ndarray, shape (k + 1, k + 1), or None
        The intercept comes last.

    Examples
    --------
    >>> point = Point(np.zeros(2), np.zeros(1), np.zeros(2))
    >>> flat = Sums(np.arange(4.0), np.ones(2), None, None).flat()
    >>> Sums.unflat(flat, point).gradient
    array([1., 1.])
    """

    head: Float64s
    gradient: Float64s
    repair: Float64s | None
    hessian: Float64s | None

    def flat(self) -> Float64s:
        """Return all sums as one flat array: what goes on the board."""
        arrays = [self.head, self.gradient.ravel()]
        arrays += [array.ravel() for array in (self.repair, self.hessian) if array is not None]
        return np.concatenate(arrays)

    @classmethod
    def unflat(cls, flat: Float64s, point: Point) -> Sums:
        """Return the sums from their flat array; ``point`` is the one that they were taken at."""
        size, n_outputs = point.coef.size, point.intercept.size
        n_head = head_size(n_outputs)
        head, gradient = flat[:n_head], flat[n_head : n_head + size]
        rest = flat[n_head + size :]
        repair = rest[:size] if point.repair else None
        rest = rest[size:] if point.repair else rest
        hessian = rest.reshape(size + n_outputs, -1) if point.hessian else None
        return cls(head, gradient, repair, hessian)


def head_size(n_outputs: int) -> int:
    """Return the length of ``Sums.head``: loss, theta of each output, h, rows.

    Examples
    --------
    >>> head_size(1)
    4
    """
    return n_outputs + 3
