"""Problems drawn from seeds: every loss, penalty and container, at scales and shapes that nobody chose."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from conformance.registry import classes, label
from offbeat import Problem, engines, losses, penalties, solve, solve_path, solvers
from offbeat.errors import ConvergenceWarning, DataError, ProblemError
from soak.judge import EPS, ROUNDINGS, Objective, Rows, minimise, null_objective, rounding, slopes
from soak.pieces import Long

EXCUSES = re.compile(r"columns? [\d']|row \d|are separated|target|every column has a penalty|no solver takes")
"""What a fit that gives up says of the data."""
LENIENCE = 30.0  # between the norms of gradients in the library's scales of columns and in exact ones
NOTHING = 2e-12  # objective without a model at which gaps are not relative to it
DEFAULT_TOL = 1e-6  # the tightest that a default fit must reach on any data
OTHERS = ("LBFGS", "NewtonCG", "Newton", "ProximalNewton", "ProximalGradient", "SDCA", "ADMM", "SAGA")


@dataclass(frozen=True)
class Case:
    """One problem, and how it is to be solved."""

    seed: int
    problem: Problem
    X: Any
    y: np.ndarray
    weight: np.ndarray | None
    offset: np.ndarray | None
    options: dict[str, Any]
    container: str
    path: tuple[float, ...] = ()
    solver: str = "auto"
    notes: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        loss, penalty = label(self.problem.loss), label(self.problem.penalty)
        about = {k: v for k, v in self.options.items() if k not in ("start", "engine")}
        return (
            f"seed {self.seed}: {loss} + {penalty}, {self.X.shape[0]} x {self.X.shape[1]} {self.container}, "
            f"{self.solver}, {about}{' with a start' if 'start' in self.options else ''} {' '.join(self.notes)}"
        )

    @property
    def default(self) -> bool:
        """Whether a user who sets nothing would get this fit."""
        return self.solver == "auto" and self.options["tol"] >= DEFAULT_TOL


class Draw:
    """Draws a case from a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = np.random.default_rng([seed, 15])
        self.notes: list[str] = []

    def chance(self, p: float, note: str = "") -> bool:
        """Return true with this probability, and note what happened."""
        hit = bool(self.rng.random() < p)
        if hit and note:
            self.notes.append(note)
        return hit

    def power(self, low: float, high: float) -> float:
        """Return a number whose logarithm is uniform between these powers of ten."""
        return float(10.0 ** self.rng.uniform(low, high))

    def case(self) -> Case:
        """Return the case."""
        rng = self.rng
        loss_class = classes(losses)[rng.integers(len(classes(losses)))]
        n = int(rng.integers(1, 5)) if self.chance(0.07) else int(rng.integers(5, 90))
        k = int(rng.integers(1, 9)) if self.chance(0.85) else int(rng.integers(9, 30))
        m = int(rng.integers(2, 5))
        loss = loss_class(m) if loss_class.name == "multinomial" else loss_class()
        X, core = self.columns(n, k)
        dtype = np.float32 if self.chance(0.2, "float32") else np.float64
        container = ("dense", "csr", "csr-twice", "fortran", "list", "dask")[
            rng.choice(6, p=(0.42, 0.36, 0.05, 0.06, 0.06, 0.05))
        ]
        if container.startswith("csr") and self.chance(0.7):
            X = X * (rng.random((n, k)) < rng.uniform(0.05, 0.9))
        X = X.astype(dtype).astype(np.float64)
        y = self.targets(loss, core @ rng.standard_normal((k, getattr(loss, "n_classes", 1))) / math.sqrt(k))
        weight, offset = self.weights(y), (0.3 * rng.standard_normal(n) if self.chance(0.15, "offset") else None)
        options: dict[str, Any] = {"tol": (1e-3, 1e-6, 1e-6, 1e-9)[rng.integers(4)], "max_iter": 2000.0}
        options["fit_intercept"] = not self.chance(0.2)
        options["standardize"] = options["fit_intercept"] and self.chance(0.3)
        penalty = self.penalty(k, X, y, options["standardize"])
        if self.chance(0.12):
            outputs = getattr(loss, "n_classes", 1)
            coef = rng.standard_normal((k, outputs)) / (np.std(X, axis=0)[:, None] + 1e-3 * np.abs(X).max() + 1e-300)
            options["start"] = (coef if outputs > 1 else coef[:, 0], rng.standard_normal(outputs))
        options["engine"] = engines.Threads(2) if self.chance(0.08, "threads") else engines.Serial()
        path = tuple(self.power(-3, 0.5) for _ in range(3)) if self.chance(0.05) else ()
        m_one = loss.name != "multinomial"
        solver = OTHERS[rng.integers(len(OTHERS))] if self.chance(0.2) else "auto"
        return Case(
            self.seed, Problem(loss, penalty), self.contained(X, container, dtype), y, weight, offset, options,
            container, path if penalty.name in ("l1", "l2", "elastic-net") and offset is None and m_one else (),
            solver, tuple(self.notes),
        )  # fmt: skip

    def columns(self, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return columns of all kinds and scales, and what they are before they are scaled and moved."""
        rng = self.rng
        core = rng.standard_normal((n, k))
        units = np.ones(k)
        for j in range(k):
            kind = rng.choice(8, p=(0.55, 0.1, 0.1, 0.05, 0.04, 0.06, 0.05, 0.05))
            if kind == 1:
                core[:, j] = rng.random(n) < rng.uniform(0.02, 0.5)
            elif kind == 2:
                core[:, j] = np.exp(2.0 * core[:, j])
            elif kind == 3:
                core[:, j] = 1.0
            elif kind == 4:
                core[:, j] = 0.0
            elif kind == 5 and j:
                core[:, j] = core[:, rng.integers(j)]
            elif kind == 6 and j:
                core[:, j] = core[:, rng.integers(j)] + 1e-5 * core[:, j]
            elif kind == 7:
                core[:, j] = rng.integers(0, 3, n)
        scaled = core.copy()
        if self.chance(0.45, "scales"):
            units = np.array([self.power(-9, 9) for _ in range(k)])
        if self.chance(0.25, "means"):
            far = rng.random(k) < 0.5
            scaled = scaled + far * np.array([self.power(0, 9) for _ in range(k)])
        if n > 6 and self.chance(0.15, "repeated rows"):
            again = rng.integers(0, n // 2, n)
            core, scaled = core[again], scaled[again]
        return scaled * units, core

    def targets(self, loss: Any, z: np.ndarray) -> np.ndarray:
        """Return targets that a model explains in part."""
        rng, n = self.rng, len(z)
        if loss.name == "multinomial":
            return np.argmax(2.0 * z + rng.gumbel(size=z.shape), axis=1).astype(float)
        z = z[:, 0]
        if loss.classifier:
            return (z * self.power(-1, 1.5) + rng.logistic(size=n) > rng.uniform(-2, 2)).astype(float)
        if loss.name == "poisson":
            return rng.poisson(np.exp(np.clip(z + rng.uniform(-2, 3), -20, 8))).astype(float)
        if loss.name == "gamma":
            return np.exp(np.clip(z, -5, 5)) * rng.gamma(2.0, size=n) * self.power(-3, 3) + 1e-12
        y = z + self.power(-2, 0) * rng.standard_normal(n)
        return y * self.power(-6, 6) + (self.power(0, 4) if self.chance(0.3) else 0.0) if self.chance(0.5) else y

    def weights(self, y: np.ndarray) -> np.ndarray | None:
        """Return weights, some of them zero."""
        if self.chance(0.6):
            return None
        weight = self.rng.gamma(1.0, size=len(y)) * (self.power(-3, 3) if self.chance(0.3) else 1.0)
        if self.chance(0.4, "zero weights"):
            weight *= self.rng.random(len(y)) < 0.6
        if self.chance(0.1, "a class without weight"):
            weight *= y != y[0]
        weight[self.rng.integers(len(y))] = 1.0
        return weight

    def penalty(self, k: int, X: np.ndarray, y: np.ndarray, standardize: bool) -> Any:
        """Return a penalty whose strength matters for some of the columns."""
        found = classes(penalties)
        cls = found[self.rng.integers(len(found))]
        deviations = np.std(X, axis=0)
        unit = 1.0 if standardize else float(np.median(deviations[deviations > 0])) if np.any(deviations > 0) else 1.0
        fields: dict[str, Any] = {"alpha": self.power(-5, 0.5) * (unit**2 if cls.name in ("l2", "box") else unit)}
        if cls.name == "none":
            fields = {}
        if cls.name == "elastic-net":
            fields["l1_ratio"] = float(self.rng.uniform(0, 1))
        if cls.name == "box":
            fields.update(lower=-float(self.rng.exponential()) / unit, upper=float(self.rng.exponential()) / unit)
            fields["upper"] = math.inf if self.chance(0.3) else fields["upper"]
            fields["alpha"] *= not self.chance(0.3)
        if fields and self.chance(0.15, "penalty weights"):
            fields["weights"] = self.rng.gamma(1.0, size=k) * (self.rng.random(k) < 0.8)
        return cls(**fields)

    def contained(self, X: np.ndarray, container: str, dtype: Any) -> Any:
        """Return the rows in their container."""
        X = X.astype(dtype)
        if container == "csr":
            return sp.csr_array(X)
        if container == "csr-twice":  # every value as two entries that add up to it
            parts = sp.coo_array(X)
            half = (parts.data / 2).astype(dtype)
            rows, cols = (np.concatenate([each, each]) for each in parts.coords)
            order = np.argsort(rows, kind="stable")
            counts = np.bincount(rows, minlength=len(X))
            indptr = np.concatenate([[0], np.cumsum(counts)])
            return sp.csr_array((np.concatenate([half, half])[order], cols[order], indptr), shape=X.shape)
        return np.asfortranarray(X) if container == "fortran" else X


def draw(seed: int) -> Case:
    """Return the case of a seed."""
    return Draw(seed).case()


def given(case: Case) -> tuple[Any, Any, Any, Any]:
    """Return X, y, weights and offsets as the library gets them."""
    if case.container not in ("list", "dask") or len(case.y) < 2:
        return case.X, case.y, case.weight, case.offset
    cut = max(1, len(case.y) // 3)
    if case.container == "list":
        return [case.X[:cut], case.X[cut:]], case.y, case.weight, case.offset
    import dask.array as da

    def pieces(a: Any) -> Any:
        return None if a is None else da.from_array(a, chunks=(cut, *a.shape[1:]))

    return pieces(case.X), pieces(case.y), pieces(case.weight), pieces(case.offset)


def objective(case: Case, penalty: Any) -> Objective:
    """Return the case's objective in extended precision."""
    dense = case.X.toarray() if sp.issparse(case.X) else case.X
    n = len(case.y)
    v = np.ones(n) if case.weight is None else case.weight
    o = np.zeros(n) if case.offset is None else case.offset
    rows = Rows(
        case.problem.loss, dense.astype(Long), case.y.astype(Long), v.astype(Long) / n, o.astype(Long),
        case.options["fit_intercept"],
    )  # fmt: skip
    return Objective(rows, penalty, standardize=case.options["standardize"])


def run(case: Case) -> str:
    """Fit the case and judge it; return how it ended.

    A certificate that is false is an `AssertionError`. A fit that a user who sets nothing would get, and that ends
    short of its tolerance without naming what in the data is to blame, is "uncertified".
    """
    X, y, weight, offset = given(case)
    options = dict(case.options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if case.path and case.solver == "auto" and case.container not in ("list", "dask"):
                return _run_path(case, options)
            if case.solver != "auto":
                options["solver"] = getattr(solvers, case.solver)()
            solution = solve(case.problem, X, y, sample_weight=weight, offset=offset, **options)
        except (DataError, ProblemError) as error:
            if case.solver == "auto" and not EXCUSES.search(str(error)):
                raise AssertionError(f"refused without a reason in the data: {error}") from error
            return "refused"
    said = " ".join(str(w.message) for w in caught if issubclass(w.category, ConvergenceWarning))
    judge(objective(case, case.problem.penalty), solution.coef, solution.intercept, solution.certificate)
    if case.default and solution.status != "converged" and not EXCUSES.search(said):
        return f"uncertified: {said}"
    return solution.status


def _run_path(case: Case, options: dict[str, Any]) -> str:
    """Fit a path and judge each of its solutions."""
    kept = {name: options[name] for name in ("tol", "fit_intercept", "standardize")}
    path = solve_path(case.problem, case.X, case.y, alphas=case.path, sample_weight=case.weight, **kept)
    for alpha, coef, b, certificate in zip(path.alphas, path.coefs, path.intercepts, path.certificates, strict=True):
        judge(objective(case, case.problem.penalty._replace(alpha=float(alpha))), coef, b, certificate)
    return "path"


def judge(objective: Objective, coef: Any, intercept: Any, certificate: Any) -> None:
    """Check a model and what is claimed of it."""
    assert np.all(np.isfinite(coef)), "coefficients are not finite"
    assert np.all(np.isfinite(intercept)), "the intercept is not finite"
    x = objective.inside(coef, intercept)
    value, null = objective.value(x), null_objective(objective)
    slack = rounding(objective, coef, intercept) + ROUNDINGS * EPS * null
    if certificate.kind != "duality gap":
        here, there = slopes(objective, x)
        claimed = max(certificate.gap, certificate.relative_gap * there)
        assert not here > LENIENCE * claimed + slack / max(abs(float(value)), 1e-300) * there + ROUNDINGS * EPS, (
            f"the gradient is {here:.3g}, {there:.3g} without a model; the certificate says {certificate.gap:.3g}, "
            f"{certificate.relative_gap:.3g} of that"
        )
        return
    allowed = certificate.gap + slack
    assert abs(value - certificate.primal) <= allowed or not math.isfinite(slack), (
        f"the objective is {value:.17g}, the certificate says {certificate.primal:.17g} and a gap of "
        f"{certificate.gap:.3g}, rounding is {slack:.2g}"
    )
    unit = null if null > NOTHING else 1.0
    assert not certificate.gap > 1.001 * certificate.relative_gap * unit + slack, (
        f"the objective without a model is {null:.6g}; a relative gap of {certificate.relative_gap:.6g} for a gap of "
        f"{certificate.gap:.6g} says {certificate.gap / max(certificate.relative_gap, 1e-300):.6g}"
    )
    excess = float(value - objective.value(minimise(objective, x)))
    assert excess <= allowed, (
        f"the excess is {excess:.3g}, the certificate says {certificate.gap:.3g}, rounding is {slack:.2g}; "
        f"relative to the objective {excess / max(abs(float(value)), 1e-300):.2g}"
    )
