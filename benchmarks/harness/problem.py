"""What is minimised: `Spec` is a problem as its file states it, `Problem` the same with data and numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
LossName = Literal["logistic", "squared", "poisson", "hinge", "squared-hinge"]


@dataclass(frozen=True)
class Strength:
    """How strong the penalty is, and how that number was chosen.

    ``rule`` is "alpha": ``value`` itself, per sample; "C": scikit-learn's, ``alpha = 1 / (n value)``;
    "lambda_max": ``value`` times the smallest alpha for which all coefficients are zero. A path of ``length`` penalties
    falls geometrically from there to ``last`` times it.
    """

    rule: Literal["alpha", "C", "lambda_max"]
    value: float
    length: int = 1
    last: float = 1e-3

    def alphas(self, n_rows: int, lambda_max: float, l1_ratio: float) -> Floats:
        """Return the penalties, largest first.

        Parameters
        ----------
        n_rows : int
        lambda_max : float
            Largest entry of the loss gradient at ``w = 0``.
        l1_ratio : float
        """
        if self.rule == "alpha":
            first = self.value
        elif self.rule == "C":
            first = 1.0 / (n_rows * self.value)
        else:
            if l1_ratio <= 0.0:
                raise ValueError('the rule "lambda_max" needs a penalty with an L1 part')
            first = self.value * lambda_max / l1_ratio
        if self.length == 1:
            return np.array([first])
        return np.asarray(np.geomspace(first, first * self.last, self.length), dtype=np.float64)


@dataclass(frozen=True)
class Spec:
    """A problem: mean loss + ``alpha (l1_ratio |w|_1 + (1 - l1_ratio) / 2 |w|^2)``; the intercept is not penalised.

    ``note`` is printed under its table: what a reader must know, such as how columns were scaled.
    """

    name: str
    title: str
    dataset: str
    target: str
    loss: LossName
    l1_ratio: float
    strength: Strength
    fit_intercept: bool = False
    dtype: Literal["float64", "float32"] = "float64"
    accuracies: tuple[float, ...] = (1e-3, 1e-6, 1e-9)
    headline: bool = True
    note: str = ""


@dataclass(frozen=True)
class Problem:
    """A `Spec` with its data: what solvers are handed.

    Parameters
    ----------
    name : str
    loss : {"logistic", "squared", "poisson", "hinge", "squared-hinge"}
    alphas : ndarray, shape (n_alphas,)
        More than one: a path, and the solver returns one row of coefficients for each.
    l1_ratio : float
    fit_intercept : bool
    X : ndarray or csr_matrix, shape (n_rows, n_columns)
        An array is in C order; float64 or float32.
    y : ndarray, shape (n_rows,)
        float64; in {0, 1} for the logistic loss and the hinges. The squared hinge is halved, as all squares here.
    threads : int
        How many a solver may use.
    data : Path, optional
        Folder where `X.npy` lies.
    """

    name: str
    loss: LossName
    alphas: Floats
    l1_ratio: float
    fit_intercept: bool
    X: Array
    y: Floats
    threads: int = 1
    data: Path | None = field(default=None, compare=False)

    @property
    def n(self) -> int:
        """Rows."""
        return int(self.X.shape[0])

    @property
    def k(self) -> int:
        """Columns."""
        return int(self.X.shape[1])

    @property
    def sparse(self) -> bool:
        """Whether `X` is a SciPy matrix."""
        return not isinstance(self.X, np.ndarray)

    @property
    def nbytes(self) -> int:
        """Bytes of `X`."""
        return int(self.X.data.nbytes + self.X.indices.nbytes) if self.sparse else int(self.X.nbytes)

    @property
    def path(self) -> bool:
        """Whether the whole path is wanted."""
        return self.alphas.size > 1

    @property
    def alpha(self) -> float:
        """The only penalty of a problem that is no path."""
        if self.path:
            raise ValueError(f"{self.name} is a path: it has no single alpha")
        return float(self.alphas[0])

    @property
    def l1(self) -> float:
        """Factor of ``|w|_1``."""
        return self.alpha * self.l1_ratio

    @property
    def l2(self) -> float:
        """Factor of ``|w|^2 / 2``."""
        return self.alpha * (1.0 - self.l1_ratio)

    @property
    def svm_strength(self) -> float:
        """``C`` of support vector machines: the weight of the sum of hinges, or of whole squares of them."""
        return 1.0 / (self.n * self.alpha * (2.0 if self.loss == "squared-hinge" else 1.0))

    @property
    def signs(self) -> Floats:
        """Targets in {-1, 1}."""
        return np.where(self.y > 0.0, 1.0, -1.0)

    def head(self, rows: int) -> Problem:
        """Return the same problem on the first rows."""
        return Problem(
            self.name, self.loss, self.alphas, self.l1_ratio, self.fit_intercept,
            self.X[:rows], self.y[:rows], self.threads, None,
        )  # fmt: skip
