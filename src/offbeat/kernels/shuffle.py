"""Random orders of rows."""

from __future__ import annotations

import numpy as np

from offbeat.kernels.compiled import kernel


@kernel()
def _next(state):
    """Return the next of a sequence of random numbers (xorshift: Marsaglia 2003, J. Stat. Softw. 8:14)."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    state ^= state << np.uint64(17)
    return state


@kernel()
def shuffle(rows, run, seed, out):
    """Put rows in random order: runs of them, and rows within a run, so that memory is read in pieces.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
    run : int
    seed : int
        From 1.
    out : ndarray of int64, shape (n,)
    """
    state = np.uint64(seed)
    n = rows.shape[0]
    runs = np.arange((n + run - 1) // run)
    for i in range(runs.shape[0] - 1, 0, -1):
        state = _next(state)
        j = np.int64(state % np.uint64(i + 1))
        runs[i], runs[j] = runs[j], runs[i]
    done = 0
    for r in runs:
        start = done
        for i in range(r * run, min((r + 1) * run, n)):
            out[done] = rows[i]
            done += 1
        for i in range(done - 1, start, -1):
            state = _next(state)
            j = start + np.int64(state % np.uint64(i - start + 1))
            out[i], out[j] = out[j], out[i]
