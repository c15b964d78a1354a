"""Symmetric matrices packed as upper triangles, for contributions that hold a Hessian."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from offbeat.problem import Floats


@lru_cache(maxsize=8)
def _upper(size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of the upper triangle."""
    rows, columns = np.triu_indices(size)
    return rows, columns


def packed(matrix: Floats) -> Floats:
    """Return the upper triangle of a symmetric matrix, row by row."""
    return matrix[_upper(len(matrix))]


def unpacked(triangle: Floats, size: int) -> Floats:
    """Return the symmetric matrix with this upper triangle.

    Examples
    --------
    >>> unpacked(packed(np.eye(2)), 2)
    array([[1., 0.],
           [0., 1.]])
    """
    matrix = np.zeros((size, size))
    matrix[_upper(size)] = triangle
    return matrix + np.triu(matrix, 1).T
