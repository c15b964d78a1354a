"""Limits on passes and seconds are of the whole fit, however many fits, rounds or sweeps it is made of."""

from __future__ import annotations

import math
import os
import signal
import warnings
from typing import Any

import numpy as np
import pytest

from offbeat import Problem, engines, losses, penalties, solve, solve_path, solvers
from offbeat.data.shards import Cancelled
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.fit.settings import Allowance
from offbeat.kernels.arguments import SweepLimits, Sweeps
from offbeat.linear_model import ElasticNetCV, HuberRegressor, LinearSVC, LogisticRegression, LogisticRegressionCV
from offbeat.linear_model._shared import base
from offbeat.sideways.protocol import limited
from offbeat.solvers.composite.fallback import Fallback
from support.labelled_rows import labelled_rows

RNG = np.random.default_rng(1)
X, CLASSES, Y = labelled_rows(RNG)
WIDE = RNG.standard_normal((200, 500)) + 3.0 * RNG.standard_normal((200, 1))
TARGET = WIDE[:, :30].sum(axis=1) + RNG.standard_normal(200)


@pytest.fixture
def quiet() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the solutions of all fits that estimators make."""
    found: list[Any] = []
    original = base.fit

    def kept(*arguments: Any) -> Any:
        found.append(original(*arguments))
        return found[-1]

    monkeypatch.setattr(base, "fit", kept)
    return found


@pytest.mark.parametrize("most", [2, 7, 40])
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_passes_of_all_classes(most: int, loss: str, fits: list[Any], quiet: None) -> None:
    model = LinearSVC(loss=loss, C=1e3, tol=0.0, max_iter=most).fit(X, CLASSES)
    total = sum(solution.passes for solution in fits)
    assert total <= most + 2  # a step that has begun comes to its end
    assert model.status_ in ("max_iter", "stalled") and len(model.certificates_) == 3


def test_classes_whose_turn_does_not_come_are_never_predicted(fits: list[Any]) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = LinearSVC(loss="squared_hinge", max_iter=1).fit(X, CLASSES)
    assert len(fits) == 1 and math.isinf(model.certificate_.gap)
    assert str(told[-1].message) == "2 of 3 classes were not fitted, and are never predicted: raise max_iter"
    np.testing.assert_array_equal(model.coef_[1:], 0.0)
    np.testing.assert_array_equal(model.intercept_[1:], -1.0)  # what predicts the rest for every row


def test_a_warm_start_is_what_is_left_where_no_fit_begins(fits: list[Any], quiet: None) -> None:
    model = LinearSVC(loss="squared_hinge").fit(X, CLASSES)
    before, intercepts = model.coef_.copy(), model.intercept_.copy()
    model.set_params(warm_start=True, time_limit=0.0).fit(X, CLASSES)
    assert len(fits) == 3
    np.testing.assert_array_equal(model.coef_, before)
    np.testing.assert_array_equal(model.intercept_, intercepts)


def test_seconds_of_all_classes_are_of_the_virtual_clock(fits: list[Any], quiet: None) -> None:
    cluster = engines.Simulated(2, compute=1.0, latency=0.0)
    LinearSVC(loss="squared_hinge", C=1e3, tol=0.0, engine=cluster, time_limit=9.0).fit(X, CLASSES)
    seconds = [float(solution.trace.metadata["seconds"]) for solution in fits]
    assert len(seconds) == 3 and sum(seconds) <= 9.1
    np.testing.assert_allclose(seconds, 3.0, rtol=1e-3)  # an even share each


def test_no_seconds_at_all(fits: list[Any], quiet: None) -> None:
    for model, y in (
        (LinearSVC(time_limit=0.0), CLASSES), (HuberRegressor(time_limit=0.0), Y),
        (LogisticRegressionCV(cv=2, Cs=2, time_limit=0.0), CLASSES > 0), (ElasticNetCV(cv=2, time_limit=0.0), Y),
    ):  # fmt: skip
        model.fit(X, y)
        assert model.status_ == "time_limit", model
        assert np.all(np.isfinite(model.coef_)) and np.all(np.isfinite(model.intercept_))
    assert len(fits) == 2  # of Huber's first round and of the best penalty


@pytest.mark.parametrize("most", [1, 5, 30])
def test_passes_of_all_rounds_of_huber(most: int, fits: list[Any], quiet: None) -> None:
    model = HuberRegressor(tol=0.0, max_iter=most).fit(X, Y)
    assert sum(solution.passes for solution in fits) <= most + 1
    assert model.n_iter_ == math.ceil(sum(solution.passes for solution in fits))


@pytest.mark.parametrize("refit", [True, False])
def test_passes_of_a_search_count_its_last_fit(refit: bool, fits: list[Any], quiet: None) -> None:
    model = LogisticRegressionCV(cv=3, Cs=4, tol=0.0, max_iter=12, refit=refit).fit(X, CLASSES > 0)
    assert model.passes_ <= 14
    assert len(fits) == (1 if refit else 0)
    if refit:
        assert fits[0].passes >= 2.0  # which had a share


def test_a_search_chooses_among_what_all_folds_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def over(allowed: Any) -> str | None:
        asked.append(allowed)
        return "time_limit" if len(asked) == 15 else None  # in the second of three folds

    monkeypatch.setattr(Allowance, "over", property(over))
    with pytest.warns(ConvergenceWarning, match=r"5 of 30 models stopped short"):
        model = ElasticNetCV(cv=3, alphas=10).fit(X, Y)
    assert np.isnan(model.mse_path_).sum() == 5 and not np.isnan(model.mse_path_[:5]).any()
    assert model.alpha_ in model.alphas_[:5]
    assert model.status_ == "time_limit"


@pytest.mark.parametrize("make", [solvers.SDCA, solvers.SAGA, solvers.ModelAveraging])
def test_epochs_of_a_step(make: Any, quiet: None) -> None:
    problem = Problem(losses.Logistic(), penalties.L2(1e-4))
    y = (CLASSES > 0).astype(float)
    solution = solve(problem, X, y, solver=make(epochs=60), tol=0.0, max_iter=20.0, random_state=0)
    assert solution.status == "max_iter" and 20.0 <= solution.passes <= 22.0


@pytest.mark.parametrize("loss", [losses.Squared(), losses.Logistic()], ids=lambda loss: loss.name)
def test_sweeps_over_working_sets(loss: Any, quiet: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offbeat.solvers.lasso.column_models.gram_pays", lambda task: False)
    problem = Problem(loss, penalties.L1(1e-5))
    y = TARGET if loss.quadratic else (TARGET > 0.0).astype(float)
    solution = solve(problem, WIDE, y, solver=solvers.ProximalNewton(), tol=0.0, max_iter=30.0)
    assert solution.status == "max_iter" and 30.0 <= solution.passes <= 34.0
    again = solve(problem, WIDE, y, solver=solvers.ProximalNewton(), tol=0.0, max_iter=30.0, engine=engines.Serial())
    assert again.passes == solution.passes


@pytest.mark.parametrize("loss", [losses.Squared(), losses.Logistic(), losses.Poisson()], ids=lambda loss: loss.name)
def test_passes_in_the_span_of_the_rows(loss: Any, quiet: None) -> None:
    problem = Problem(loss, penalties.L2(1e-4))
    y = TARGET[:60] if loss.quadratic else (TARGET[:60] > 0.0).astype(float)
    for most, columns in ((5, 80), (8, 500)):
        rows = WIDE[:60, :columns]
        for solver in (solvers.RowSpace(), Fallback(solvers.RowSpace(), solvers.NewtonCG())):
            solution = solve(problem, rows, y, solver=solver, tol=0.0, max_iter=most)
            assert solution.passes <= most + 2.5  # a step takes two and a little at least
            assert np.isfinite(solution.certificate.gap)


def test_descents_look_whether_they_are_cancelled() -> None:
    from offbeat.solvers.lasso import column_models

    class Task:
        class shard:  # noqa: N801
            cancelled = staticmethod(lambda: len(turns) == 3)

    turns: list[tuple[int, float, float]] = []

    def descend(limits: SweepLimits) -> Sweeps:
        turns.append(tuple(limits))
        return Sweeps(8.0, 1.0, limits.max_sweeps)

    with pytest.raises(Cancelled):
        column_models._sweep_with_checks(Task, descend, 1e6, 1000, (0.25, 1e-9))  # type: ignore[arg-type]
    assert turns == [(100, 0.25, 1e-9), (100, 0.0, 2.0), (100, 0.0, 2.0)]


def test_time_and_interrupts_stop_a_step_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wish to stop comes up within a step; the fit ends with the point before it."""
    from offbeat.solvers.lasso import column_models

    monkeypatch.setattr(column_models, "MULTIPLICATIONS_PER_CHECK", 1.0)
    monkeypatch.setattr(column_models, "MIN_SWEEPS_PER_CHECK", 2)
    monkeypatch.setattr(column_models, "gram_pays", lambda task: False)
    seen = []
    original = column_models._sweep_with_checks

    def turns(task: Any, descend: Any, *rest: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            seen.append(arguments)
            if len(seen) == 5:
                os.kill(os.getpid(), signal.SIGINT)
            return descend(*arguments)

        return original(task, counted, *rest)

    monkeypatch.setattr(column_models, "_sweep_with_checks", turns)
    problem = Problem(losses.Squared(), penalties.L1(1e-5))
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        solution = solve(
            problem, WIDE, TARGET, solver=solvers.ProximalNewton(), tol=0.0, max_iter=30.0, engine=engines.Serial(),
            on_interrupt="return",
        )  # fmt: skip
    assert len(seen) == 5 and np.isfinite(solution.certificate.gap)


@pytest.mark.parametrize("kind", ["gram", "warm", "columns"])
def test_paths(kind: str) -> None:
    loss = losses.Logistic() if kind == "warm" else losses.Squared()
    rows = WIDE if kind == "columns" else X
    y = (Y > 0.0).astype(float) if kind == "warm" else TARGET if kind == "columns" else Y
    problem = Problem(loss, penalties.L1())
    whole = solve_path(problem, rows, y, n_alphas=10)
    assert len(whole.alphas) == 10
    with pytest.warns(ConvergenceWarning, match=r"strengths were not reached: raise time_limit"):
        none = solve_path(problem, rows, y, n_alphas=10, time_limit=0.0)
    assert len(none.alphas) == len(none.coefs) == len(none.certificates) == 1
    if kind == "gram":  # one pass is enough for all
        assert len(solve_path(problem, rows, y, n_alphas=10, max_iter=1.0).alphas) == 10
        return
    most = math.floor(0.5 * whole.passes)
    with pytest.warns(ConvergenceWarning, match=r"strengths were not reached: raise max_iter"):
        some = solve_path(problem, rows, y, n_alphas=10, max_iter=most)
    assert 1 <= len(some.alphas) < 10 and some.passes <= most + 4.0
    np.testing.assert_allclose(some.coefs[:-1], whole.coefs[: len(some.alphas) - 1], atol=1e-3)


@pytest.mark.parametrize("engine", [engines.Serial(), engines.Threads(2), engines.Simulated(2)], ids=lambda e: e.name)
@pytest.mark.parametrize("standardize", [False, True])
def test_no_time_for_a_file_that_is_read_in_blocks(engine: Any, standardize: bool, tmp_path: Any) -> None:
    rows = RNG.standard_normal((20_000, 8))
    np.save(tmp_path / "x.npy", rows)
    problem, y = Problem(losses.Logistic(), penalties.L2(0.1)), (rows[:, 0] > 0.0).astype(float)
    with pytest.warns(ConvergenceWarning, match="raise time_limit"):
        solution = solve(
            problem, str(tmp_path / "x.npy"), y, memory_budget="100kB", time_limit=0.0, engine=engine,
            standardize=standardize,
        )  # fmt: skip
    assert solution.status == "time_limit" and not solution.certificate.satisfied


@pytest.mark.parametrize("name", ["max_iter", "time_limit"])
@pytest.mark.parametrize("value", [-5, math.nan, -math.inf, "1e3 passes"])
def test_limits_that_mean_nothing(name: str, value: Any) -> None:
    for model, y in (
        (LogisticRegression(), CLASSES), (LinearSVC(), CLASSES), (LinearSVC(), CLASSES > 0), (HuberRegressor(), Y),
        (LogisticRegressionCV(), CLASSES), (ElasticNetCV(), Y),
    ):  # fmt: skip
        with pytest.raises(ProblemError, match=rf"{name} is .*; it must be a number"):
            model.set_params(**{name: value}).fit(X, y)
    for function in (solve, solve_path):
        with pytest.raises(ProblemError, match=rf"{name} is .*; it must be a number"):
            function(Problem(losses.Squared(), penalties.L1()), X, Y, **{name: value})


def test_what_is_left_of_an_allowance() -> None:
    allowed = Allowance(10.0, None)
    assert allowed.over is None and allowed.part(4) == (2.5, None)
    allowed.passes = 12.0
    assert (allowed.left, allowed.over) == (0.0, "max_iter")
    assert Allowance(math.inf, 0.0).over == "time_limit"
    assert Allowance(1.0, None, lambda: True).over == "interrupted"


def test_queries_know_the_passes_that_are_left() -> None:
    from typing import NamedTuple

    class Boxed(NamedTuple):
        allowance: float = math.inf

    class Epochs(NamedTuple):
        epochs: int = 5

    assert limited(Boxed(), 3.5) == Boxed(3.5) and limited(Boxed(2.0), 3.5) == Boxed(2.0)
    assert limited(Boxed(), 0.2) == Boxed(1.0)  # no step of nothing
    assert limited(Epochs(), 3.5) == Epochs(3) and limited(Epochs(), 0.0) == Epochs(1)
    assert limited(Epochs(), math.inf) == Epochs() and limited(None, 1.0) is None
