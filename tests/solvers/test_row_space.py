"""More columns than rows: solved in the span of the rows, certified on the rows themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from offbeat import Problem, losses, penalties, solve, solvers
from offbeat.data.load import as_dataset
from offbeat.errors import ConvergenceWarning
from offbeat.fit import choice
from offbeat.linear_model import LinearSVC, Ridge
from offbeat.solvers.composite.fallback import Fallback

ROW_SPACE = solvers.RowSpace()


def wide(n: int = 40, k: int = 150, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return rows away from zero, and a predictor."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, k)) + np.linspace(-2.0, 3.0, k)
    return X, X[:, 0] - X[:, 1] + 0.5 * rng.standard_normal(n)


def dual_ridge(X: np.ndarray, y: np.ndarray, alpha: float, v: np.ndarray) -> np.ndarray:
    """Return the ridge solution by the system of the rows: ``w = A' (A A' + n alpha V^-1)^-1 (y - mean)``."""
    center, mean = v @ X / v.sum(), v @ y / v.sum()
    A = np.sqrt(v)[:, None] * (X - center)
    return A.T @ np.linalg.solve(A @ A.T + len(y) * alpha * np.eye(len(y)), np.sqrt(v) * (y - mean))


@pytest.mark.parametrize("alpha", [1e-8, 1e-2, 10.0])
@pytest.mark.parametrize("container", ["dense", "csr", "fortran", "float32"])
def test_least_squares_are_those_of_the_rows_system(alpha: float, container: str) -> None:
    X, y = wide()
    v = np.random.default_rng(1).integers(0, 3, len(y)).astype(float)
    given: Any = {"csr": sp.csr_array(X), "fortran": np.asfortranarray(X), "float32": X.astype(np.float32)}.get(
        container, X
    )
    tol = (1e-4 if alpha < 1e-6 else 1e-9) if container == "float32" else 1e-13  # what its gradients can tell
    found = solve(Problem(losses.Squared(), penalties.L2(alpha)), given, y, sample_weight=v, solver=ROW_SPACE, tol=tol)
    X = np.asarray(given, dtype=np.float64) if container == "float32" else X
    wanted = dual_ridge(X, y, alpha, v)
    distance = np.sqrt(2.0 * found.certificate.gap / alpha)  # at most, by strong convexity
    rounding = (1e-4 if container == "float32" else 1e-6) * np.linalg.norm(wanted)
    assert np.linalg.norm(found.coef - wanted) <= distance + rounding
    assert found.status == "converged"


def test_weights_of_the_penalty_and_scales_of_columns_are_kept() -> None:
    X, y = wide()
    weight, ones = np.linspace(0.1, 2.0, 150), np.ones(40)
    penalty = penalties.L2(0.1, weights=weight)
    found = solve(Problem(losses.Squared(), penalty), X, y, solver=ROW_SPACE, tol=1e-13)
    np.testing.assert_allclose(found.coef, dual_ridge(X / np.sqrt(weight), y, 0.1, ones) / np.sqrt(weight), atol=1e-7)
    units = np.geomspace(1e-3, 1e3, 150)
    found = solve(
        Problem(losses.Squared(), penalties.L2(0.1)), X * units, y, solver=ROW_SPACE, standardize=True, tol=1e-13
    )
    scale = X.std(axis=0)
    np.testing.assert_allclose(found.coef * units, dual_ridge(X / scale, y, 0.1, ones) / scale, atol=1e-7)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("name", ["Logistic", "SquaredHinge", "Poisson", "Huber"])
def test_the_certificate_is_that_of_the_rows_as_they_are(name: str, fit_intercept: bool) -> None:
    X, z = wide()
    rng, loss, alpha = np.random.default_rng(2), getattr(losses, name)(), 0.01
    y = {"Poisson": rng.poisson(np.exp(0.5 * z)), "Huber": z + rng.standard_t(2, 40)}.get(name, z > 0).astype(float)
    found = solve(Problem(loss, penalties.L2(alpha)), X, y, solver=ROW_SPACE, fit_intercept=fit_intercept, tol=1e-9)
    predictor = X @ found.coef + found.intercept
    theta = np.array([loss.derivative(float(a), float(b)) for a, b in zip(predictor, y, strict=True)])
    value = np.mean([loss.value(float(a), float(b)) for a, b in zip(predictor, y, strict=True)])
    value += 0.5 * alpha * found.coef @ found.coef
    rest = alpha * found.coef + X.T @ theta / len(y)
    gap = 0.5 * float(rest @ rest) / alpha  # of the loss at a fixed intercept; at the best one, a bound
    assert found.status == "converged"
    assert found.certificate.primal == pytest.approx(value, rel=1e-12)
    assert gap <= 1e-7
    if fit_intercept:
        assert abs(theta.mean()) < 1e-4


@pytest.mark.parametrize("shape", [(1, 5), (2, 300), (30, 31), (30, 29)])
def test_any_shape(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal(shape), rng.standard_normal(shape[0])
    found = solve(Problem(losses.Squared(), penalties.L2(0.1)), X, y, solver=ROW_SPACE, tol=1e-12)
    np.testing.assert_allclose(found.coef, dual_ridge(X, y, 0.1, np.ones(len(y))), atol=1e-7)


def test_equal_rows_and_constant_columns() -> None:
    X, _ = wide()
    X = np.repeat(X[:20], 2, axis=0)
    X[:, 10:] = 3.0
    y = np.arange(40.0) % 7
    found = solve(Problem(losses.Squared(), penalties.L2(0.1)), X, y, solver=ROW_SPACE, tol=1e-12)
    np.testing.assert_allclose(found.coef, dual_ridge(X, y, 0.1, np.ones(40)), atol=1e-7)


@pytest.mark.parametrize("few", [0, 500])
def test_classes_agree_with_products_of_the_hessian(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offbeat.solvers.composite.row_space.MAX_NEWTON_DIMENSIONS", few)
    X, z = wide()
    y = np.digitize(z, [-1.0, 1.0]).astype(float)
    problem = Problem(losses.Multinomial(3), penalties.L2(0.05))
    found = solve(problem, X, y, solver=ROW_SPACE, tol=1e-9)
    assert found.passes < 30
    other = solve(problem, X, y, solver=solvers.NewtonCG(), tol=1e-9)
    np.testing.assert_allclose(found.coef, other.coef, atol=1e-4)


def test_a_start_that_is_good_enough_is_the_answer() -> None:
    X, y = wide()
    problem = Problem(losses.Squared(), penalties.L2(0.1))
    first = solve(problem, X, y, solver=ROW_SPACE, tol=1e-10)
    again = solve(problem, X, y, solver=ROW_SPACE, tol=1e-8, start=(first.coef, first.intercept))
    assert again.passes == 1.0


def test_columns_of_very_different_units_are_left_to_the_second_method() -> None:
    X, y = wide()
    X = X * np.geomspace(1e-9, 1e9, 150)
    problem = Problem(losses.Squared(), penalties.L2(0.01))
    with pytest.warns(ConvergenceWarning):
        alone = solve(problem, X, y, solver=ROW_SPACE)
    assert not alone.certificate.satisfied
    both = solve(problem, X, y, solver=Fallback(ROW_SPACE, solvers.NewtonCG()))
    assert both.status == "converged"
    assert any("newton-cg from here" in row.note for row in both.trace)


@pytest.mark.parametrize("most", [1.0, 4.0])
def test_a_method_that_takes_too_long_is_changed(most: float) -> None:
    X, z = wide(300, 5)
    problem, y = Problem(losses.Logistic(), penalties.L2(1e-3)), (z > 0).astype(float)
    solver = Fallback(solvers.GradientDescent(), solvers.Newton(), most=most)
    found = solve(problem, X, y, solver=solver, tol=1e-9)
    alone = solve(problem, X, y, solver=solvers.Newton(), tol=1e-9)
    assert (found.status, found.trace.metadata["solver"]) == ("converged", "gradient-descent")
    assert most < found.passes <= most + 2.0 * alone.passes
    np.testing.assert_allclose(found.coef, alone.coef, rtol=1e-3)


@pytest.mark.parametrize("model", [Ridge(tol=1e-6), LinearSVC(loss="squared_hinge", tol=1e-6)], ids=repr)
def test_wide_data_is_fitted_to_the_tolerance_by_default(model: Any) -> None:
    X, z = wide(60, 4000)
    y = z if isinstance(model, Ridge) else (z > 0).astype(int)
    model.fit(X, y)
    assert model.certificate_.satisfied
    assert model.trace_.metadata["solver"] == "row-space"


def test_auto_knows_shapes_by_cost() -> None:
    def chosen(n: int, k: int, loss: Any = None, penalty: Any = None) -> str:
        problem = Problem(loss or losses.Logistic(), penalty or penalties.L2(1e-3))
        y = (np.arange(n) % 2).astype(float)
        return choice.solver(problem, as_dataset(np.zeros((n, k)), y), "auto")[0].name

    assert chosen(5000, 20) == "newton"
    assert chosen(100, 2900, losses.Squared()) == "row-space"
    assert chosen(4000, 1000, losses.Squared()) == "newton"
    assert chosen(20_000, 300, losses.SquaredHinge()) == "newton"
    assert chosen(100, 2900, penalty=penalties.Zero()) != "row-space"
    assert chosen(2000, 1000) in ("lbfgs", "newton-cg")
