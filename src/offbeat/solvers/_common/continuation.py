"""From an easier problem to the one that is asked for: a stronger ridge first, weakened step by step.

With a weak ridge, Newton's steps end far beyond their minimum: where rows are sure of their class, rightly or not, the
loss has no curvature to say so. A strong ridge comes near its own solution in a step or two, and from there the next
one's is near. Sources: Marteau-Ferey, Bach & Rudi 2019 (NeurIPS, decreasing ridges for generalised self-concordant
losses); Allgower & Georg 1990, Numerical Continuation Methods.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offbeat.problem import Floats, Separable

ROWS = 25.0  # for each coefficient about which the data decides, not the ridge: with so many, the problem is easy
WEAKER = 5.0  # how many times each problem's ridge is that of the next
LIGHT = 3  # products, after which a step was so easy that one problem can be left out
FEW = 10_000.0  # rows, below which a fit is cheap in any case: and rows with weights take the same way as repeated ones
SAMPLE = 100_000
STRONGEST = 1e12


def start(bend: Floats, penalty: Floats, rows: float) -> float:
    """Return how many times the penalty to begin with, 1 where the problem is easy.

    Parameters
    ----------
    bend : ndarray, shape (k, n_outputs)
        Diagonal of the Hessian of the loss.
    penalty : ndarray, shape (k, n_outputs)
        Curvature of the penalty for the same coefficients.
    rows : float
        How many rows, times outcomes that a row tells about.
    """
    every = max(bend.size // SAMPLE, 1)  # column, with all its outputs
    bend, penalty = bend[::every].astype(np.float64), penalty[::every].astype(np.float64)
    if rows < FEW or not np.all(penalty > 0.0):
        return 1.0
    ease = 1.0
    while ease < STRONGEST and every * float(np.sum(bend / (bend + ease * penalty))) > rows / ROWS:
        ease *= WEAKER
    return ease


def stronger(penalty: Separable, times: float) -> Separable:
    """Return a multiple of a penalty."""
    return penalty if times == 1.0 else replace(penalty, weight=times * penalty.weight)


def next_one(ease: float, products: int) -> float:
    """Return how many times the penalty after a step that took so many products."""
    return max(ease / (WEAKER * WEAKER if products <= LIGHT else WEAKER), 1.0)
