"""Products with the rows of a shard for `InteriorPoint`.

Columns are centred and scaled; a column of ones for the intercept is the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Shard, Workspace
from offbeat.data.shards.threads import map_on_threads
from offbeat.data.source import CSR
from offbeat.problem import Floats

BLOCK_VALUES = 1 << 16  # float64 values of a block of rows: half a megabyte, which fits into the second-level cache
MAX_DENSE_COLUMNS = 64  # up to this number, products cost less when sparse rows are made dense
MAX_CENTER = 30.0  # mean of a column over its deviation: above, sparse rows are made dense to keep digits


class ScaledColumns(NamedTuple):
    """Internal coordinates: a row is ``((x - center) * inverse, on)``; ``on`` is 1 with an intercept, else 0."""

    center: Floats
    inverse: Floats
    on: float


class RowProducts:
    """The matrix of the centred and scaled rows of a shard. Its blocks are made when they are needed.

    Parameters
    ----------
    shard : Shard
    frame : ScaledColumns
    live : ndarray of int or None
        Rows with a positive weight, in order. None means all rows.
    """

    def __init__(self, shard: Shard, frame: ScaledColumns, live: NDArray[np.intp] | None) -> None:
        self._shard, self._frame, self._live = shard, frame, live
        self.n_rows = shard.n_rows if live is None else len(live)
        self.size = len(frame.center) + 1
        far = float(np.max(np.abs(frame.center * frame.inverse), initial=0.0))
        self._filled = (
            self.size <= MAX_DENSE_COLUMNS or far > MAX_CENTER
        )  # whether blocks of sparse rows are made dense

    def predictors(self, x: Floats) -> Floats:
        """Return the product with ``x``, shape (n,)."""
        return self.predictors_and_sums(x, lambda where, z: np.empty((len(z), 0)))[0]

    def predictors_and_sums(self, x: Floats, function: Callable[[slice, Floats], Floats]) -> tuple[Floats, Floats]:
        """Return the product ``z = X x``, and ``X' v`` with ``v = function(rows, z[rows])``, in one pass."""

        def visit(z: Floats, sums: list[Floats], where: slice, block: Any) -> None:
            z[where] = block.times(x)
            sums.append(block.transposed(function(where, z[where])))

        return self._over_blocks(visit)

    def gram(self, weight: Floats, vectors: Floats) -> tuple[Floats, Floats]:
        """Return ``X' diag(weight) X`` and ``X' vectors``; vectors have shape (n, m)."""

        def visit(_: Floats, sums: list[Floats], where: slice, block: Any) -> None:
            sums.append(np.hstack([block.gram(weight[where]), block.transposed(vectors[where])]))

        total = self._over_blocks(visit)[1]
        return np.ascontiguousarray(total[:, : self.size]), total[:, self.size :]

    def _over_blocks(self, visit: Callable[[Floats, list[Floats], slice, Any], None]) -> tuple[Floats, Floats]:
        """Call a function for each block, on the threads of the shard. Return ``z`` and the total of the sums."""
        z = np.empty(self.n_rows)
        found = map_on_threads(partial(self._over_part, z, visit), self._shard)
        return z, np.sum(found, axis=0)

    def _over_part(self, z: Floats, visit: Callable[[Floats, list[Floats], slice, Any], None], part: Shard) -> Floats:
        """Return the total of the sums over the blocks of a part."""
        total: Any = None
        for where, block in self._blocks(part):
            sums: list[Floats] = []
            visit(z, sums, where, block)
            total = sums[0] if total is None else total + sums[0]
        return np.asarray(total)

    def _blocks(self, part: Shard) -> Iterator[tuple[slice, Any]]:
        """Yield blocks of the rows with a positive weight, and their places among these."""
        row = part.start - self._shard.start
        for block, targets, _ in part.blocks(1.0, Workspace()):
            n = len(targets.y)
            matrix: Any = _matrix(block, self.size - 1) if isinstance(block, CSR) else block
            if isinstance(block, CSR) and not self._filled:
                yield self._weighted_rows(_SparseRows(matrix, self._frame), row, n)
            else:
                rows = max(BLOCK_VALUES // self.size, 64)
                for a in range(0, n, rows):
                    piece = matrix[a : a + rows]
                    piece = piece.toarray() if isinstance(block, CSR) else piece
                    yield self._weighted_rows(_DenseRows(piece, self._frame), row + a, len(piece))
            row += n

    def _weighted_rows(self, rows: Any, row: int, n: int) -> tuple[slice, Any]:
        """Return the rows with a positive weight, of ``n`` rows from ``row`` on, and their places."""
        if self._live is None:
            return slice(row, row + n), rows
        first, last = np.searchsorted(self._live, [row, row + n])
        return slice(int(first), int(last)), rows.of(self._live[first:last] - row)


def _matrix(block: CSR, k: int) -> Any:
    """Return a block as a sparse array of SciPy."""
    from scipy.sparse import csr_array

    indptr, indices, data = block
    first, last = int(indptr[0]), int(indptr[-1])
    return csr_array((data[first:last], indices[first:last], indptr - first), shape=(len(indptr) - 1, k))


class _DenseRows:
    """A block of dense rows, centred and scaled in float64. Columns are contiguous: loops over few columns are slow."""

    def __init__(self, block: Any, frame: ScaledColumns) -> None:
        n, k = block.shape
        self._columns = np.empty((k + 1, n))
        np.subtract(block.T, frame.center[:, None], out=self._columns[:k])
        self._columns[:k] *= frame.inverse[:, None]
        self._columns[k] = frame.on

    def of(self, rows: NDArray[np.intp]) -> _DenseRows:
        """Return some of the rows."""
        self._columns = self._columns[:, rows]
        return self

    def times(self, x: Floats) -> Floats:
        """Return the product with ``x``."""
        out: Floats = x @ self._columns
        return out

    def transposed(self, vectors: Floats) -> Floats:
        """Return the transposed product."""
        out: Floats = self._columns @ vectors
        return out

    def gram(self, weight: Floats) -> Floats:
        """Return the weighted Gram matrix."""
        scaled = self._columns * np.sqrt(weight)
        out: Floats = scaled @ scaled.T
        return out


class _SparseRows:
    """A block of sparse rows. Products are corrected for the centre afterwards, so the rows stay sparse."""

    def __init__(self, rows: Any, frame: ScaledColumns) -> None:
        self._rows, self._frame = rows, frame

    def of(self, rows: NDArray[np.intp]) -> _SparseRows:
        """Return some of the rows."""
        self._rows = self._rows[rows]
        return self

    def times(self, x: Floats) -> Floats:
        """Return the product with ``x``."""
        w = x[:-1] * self._frame.inverse
        out: Floats = self._rows @ w - float(self._frame.center @ w) + self._frame.on * x[-1]
        return out

    def transposed(self, vectors: Floats) -> Floats:
        """Return the transposed product."""
        center, inverse, on = self._frame
        total = vectors.sum(axis=0)
        top = self._rows.T @ vectors - np.outer(center, total)
        return np.vstack([top * inverse[:, None], on * total])

    def gram(self, weight: Floats) -> Floats:
        """Return the weighted Gram matrix."""
        from offbeat.kernels import gram as kernels

        center, inverse, on = self._frame
        k = len(center)
        out, sums = np.zeros((k + 1, k + 1)), np.zeros(k)
        top = np.zeros((k, k))
        rows = CSR(self._rows.indptr, self._rows.indices, self._rows.data)
        kernels.add_rows(rows, 0, np.arange(k, dtype=np.int32), weight, 0, top, sums)
        top += np.tril(top, -1).T
        total = float(weight.sum())
        cross = np.outer(sums, center)
        top += total * np.outer(center, center) - cross - cross.T
        out[:k, :k] = top * inverse * inverse[:, None]
        out[:k, k] = out[k, :k] = on * (sums - total * center) * inverse
        out[k, k] = on * total
        return out
