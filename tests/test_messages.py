"""Messages that name the cause: what a user did, and what to give instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

import offbeat
from offbeat import Problem, losses, penalties, solve
from offbeat.commands import bench
from offbeat.errors import DataError
from offbeat.linear_model import PoissonRegressor
from support.command_line import refusal

RNG = np.random.default_rng(3)
X = RNG.standard_normal((120, 2))
EXPOSURE = RNG.uniform(1.0, 5000.0, 120)
COUNTS = RNG.poisson(EXPOSURE * np.exp(X @ [0.3, -0.2] - 4.0)).astype(float)
SAID = r"the offset goes up to 4\d{3}\.?\d* \(row \d+\), .* of an exposure, give the logarithm"


@pytest.mark.filterwarnings("ignore:the offset goes up")
@pytest.mark.parametrize("loss", [losses.Poisson(), losses.Gamma()], ids=lambda loss: loss.name)
def test_an_exposure_instead_of_its_logarithm(loss: Any) -> None:
    with pytest.raises(DataError, match=SAID):
        solve(Problem(loss, penalties.L2(0.1)), X, COUNTS + 1.0, offset=EXPOSURE)


def test_a_small_exposure_is_told_before_the_fit() -> None:
    problem = Problem(losses.Poisson(), penalties.L2(1e-8))
    with pytest.warns(UserWarning, match=r"the offset goes up to .*: of an exposure, give the logarithm"):
        solve(problem, X, COUNTS, offset=EXPOSURE / 50.0)
    found = solve(problem, X, COUNTS, offset=np.log(EXPOSURE))  # without a warning, which would be an error

    def objective(w: Any) -> float:
        z = X @ w[:2] + w[2] + np.log(EXPOSURE)
        return float(np.mean(np.exp(z) - COUNTS * z))

    best = minimize(objective, [*found.coef, 0.0], tol=1e-12)
    np.testing.assert_allclose(found.coef, best.x[:2], atol=1e-3)
    solve(Problem(losses.Squared(), penalties.L2(0.1)), X, COUNTS, offset=EXPOSURE)  # no logarithm there


def test_counts_that_are_all_zero() -> None:
    """The least objective, zero, is that of means of zero, to which the model comes as near as numbers allow."""
    for model in (PoissonRegressor(), PoissonRegressor(alpha=0.0)):
        model.fit(X, np.zeros(120))
        assert model.status_ == "converged" and np.max(model.predict(X)) < 1e-12
    model = PoissonRegressor().partial_fit(X, np.zeros(120))
    assert model.certificate_.satisfied and np.max(model.predict(X)) < 1e-12
    model = PoissonRegressor(alpha=0.3, fit_intercept=False, tol=1e-10).fit(X, np.zeros(120))
    best = minimize(lambda w: np.exp(X @ w).mean() + 0.15 * (w @ w), np.zeros(2), tol=1e-12)
    np.testing.assert_allclose(model.coef_, best.x, atol=1e-5)


def test_benchmarks_of_an_installed_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "lib" / "site-packages" / "offbeat"
    package.mkdir(parents=True)
    monkeypatch.setattr(offbeat, "__file__", str(package / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    assert bench.checkout() is None
    for arguments in ([], ["--quick"], ["--", "--help"]):  # none of which is an unknown option
        said = refusal("bench", *arguments)
        assert "not part of the installed package" in said and "run `make bench` there" in said
