"""Ctrl-C: what was reached is kept, and nobody goes on as if nothing had happened."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import cross_val_score

from offbeat import Problem, engines, losses, penalties, solve, solve_path, topology
from offbeat.engines.interrupt import interruptible
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.linear_model import (
    HuberRegressor,
    LinearSVC,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
)
from support.labelled_rows import labelled_rows

RNG = np.random.default_rng(0)
X, CLASSES, Y = labelled_rows(RNG)
LOGISTIC = Problem(losses.Logistic(), penalties.L2(0.1))


class Press:
    """Presses Ctrl-C at one certified update, and counts them all."""

    def __init__(self, at: int = 1) -> None:
        self.at, self.seen = at, 0

    def __call__(self, *about: Any) -> None:
        self.seen += 1
        if self.seen == self.at:
            os.kill(os.getpid(), signal.SIGINT)


def estimators(press: Any) -> list[tuple[Any, Any]]:
    options: dict[str, Any] = {"callbacks": press, "tol": 0.0}
    return [
        (LogisticRegression(**options), CLASSES),
        (LogisticRegression(**options), CLASSES > 0),
        (PoissonRegressor(**options), CLASSES),
        (Ridge(**options), Y),
        (LinearSVC(**options), CLASSES),
        (LinearSVC(**options), CLASSES > 0),
        (HuberRegressor(**options), Y),
        (HuberRegressor(scale=1.0, **options), Y),
        (LogisticRegressionCV(cv=2, Cs=2, **options), CLASSES > 0),
    ]


@pytest.mark.parametrize("number", range(len(estimators(None))))
def test_estimators_keep_the_best_model_and_raise(number: int) -> None:
    press = Press(at=2)
    model, y = estimators(press)[number]
    press.at = 1 if isinstance(model, Ridge) else 2  # the first certificate of most is that of the start
    with warnings.catch_warnings(), pytest.raises(KeyboardInterrupt):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    assert press.seen <= press.at + 1  # of the fit under way, and no other one
    assert np.any(model.coef_) and np.all(np.isfinite(model.predict(X).astype(float)))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_warning_that_is_an_error_does_not_hide_the_interrupt() -> None:
    with warnings.catch_warnings(), pytest.raises(KeyboardInterrupt):
        warnings.simplefilter("error")
        LogisticRegression(tol=0.0, callbacks=Press()).fit(X, CLASSES)


def test_cross_validation_ends_in_its_first_fold() -> None:
    fits = []

    class Counted(LogisticRegression):
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            fits.append(len(y))
            return super().fit(X, y)

    with pytest.raises(KeyboardInterrupt):
        cross_val_score(Counted(tol=0.0, callbacks=Press()), X, CLASSES, cv=4)
    assert len(fits) == 1
    assert issubclass(Counted, BaseEstimator)


def test_classes_after_the_interrupt_are_not_fitted() -> None:
    press = Press(at=2)
    model = LinearSVC(loss="hinge", tol=0.0, callbacks=press)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, CLASSES)
    assert np.any(model.coef_[0]) and not np.any(model.coef_[1:])
    assert model.status_ == "interrupted" and not model.certificate_.satisfied


def test_the_folds_of_a_search_are_no_model() -> None:
    calls = []

    def press(loss: Any) -> None:
        calls.append(loss)
        os.kill(os.getpid(), signal.SIGINT)

    model = LogisticRegressionCV(cv=3, tol=1e-12)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        original = losses.Logistic.check_target
        patch.setattr(losses.Logistic, "check_target", lambda loss, y: (press(loss), original(loss, y)))
        model.fit(X, CLASSES > 0)
    assert len(calls) == 1 and not hasattr(model, "coef_")


@pytest.mark.parametrize("how", ["raise", "return"])
def test_solve_does_as_it_is_told(how: Any) -> None:
    y = (CLASSES > 0).astype(float)
    if how == "raise":
        with pytest.raises(KeyboardInterrupt):
            solve(LOGISTIC, X, y, tol=0.0, callback=Press())
        return
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        solution = solve(LOGISTIC, X, y, tol=0.0, callback=Press(), on_interrupt=how)
    assert solution.status == "interrupted" and np.isfinite(solution.certificate.gap)


def test_a_fit_that_ends_anyway_raises_all_the_same() -> None:
    with pytest.raises(KeyboardInterrupt):  # the first certificate of a squared loss is the last
        solve(Problem(losses.Squared(), penalties.L2(0.1)), X, Y, callback=Press())


@pytest.mark.parametrize("engine", [engines.Serial(), engines.Threads(2), engines.Simulated(2)], ids=lambda e: e.name)
@pytest.mark.parametrize("where", [topology.Hub(), topology.Broadcast()], ids=lambda t: t.name)
def test_a_callback_may_raise_it_on_any_engine(engine: Any, where: Any) -> None:
    def stop(progress: Any, row: Any) -> None:
        if row.clock == 2:
            raise KeyboardInterrupt

    options: dict[str, Any] = {"engine": engine, "topology": where, "callback": stop, "tol": 0.0}
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        solution = solve(LOGISTIC, X, (CLASSES > 0).astype(float), on_interrupt="return", **options)
    assert solution.status == "interrupted"


def test_a_callback_may_raise_it_outside_the_main_thread() -> None:
    def stop(*about: Any) -> None:
        raise KeyboardInterrupt

    model, raised = LogisticRegression(tol=0.0, callbacks=stop), []

    def run() -> None:
        try:
            model.fit(X, CLASSES)
        except KeyboardInterrupt:
            raised.append(model.status_)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert raised == ["interrupted"]


@pytest.mark.parametrize(
    ("problem", "y"),
    [
        (Problem(losses.Squared(), penalties.L1()), Y),
        (Problem(losses.Logistic(), penalties.L2()), (CLASSES > 0).astype(float)),
    ],
)
def test_paths_keep_what_they_have(problem: Problem, y: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from offbeat.fit import paths

    press, name = Press(at=3), "solve_and_refine" if problem.loss.quadratic else "fit"
    original = getattr(paths, name)

    def pressing(*arguments: Any) -> Any:
        press()
        return original(*arguments)

    monkeypatch.setattr(paths, name, pressing)
    with pytest.raises(KeyboardInterrupt):
        solve_path(problem, X, y, n_alphas=8)
    assert press.seen == 3
    press.seen = 0
    with pytest.warns(ConvergenceWarning, match=r"5 of 8 strengths were not reached: it was interrupted"):
        found = solve_path(problem, X, y, n_alphas=8, on_interrupt="return")
    assert found.coefs.shape == (3, 4) and len(found.alphas) == len(found.certificates) == 3
    monkeypatch.undo()
    whole = solve_path(problem, X, y, n_alphas=8)
    np.testing.assert_allclose(found.coefs[:2], whole.coefs[:2], rtol=1e-6, atol=1e-12)


def test_a_path_of_many_columns_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    from offbeat.solvers.lasso import proximal_newton

    wide = RNG.standard_normal((60, 250))
    press, original = Press(at=4), proximal_newton.working_set.local_step

    def pressing(*arguments: Any) -> Any:
        press()
        return original(*arguments)

    monkeypatch.setattr(proximal_newton.working_set, "local_step", pressing)
    problem = Problem(losses.Squared(), penalties.L1())
    with pytest.warns(ConvergenceWarning, match="it was interrupted"):
        found = solve_path(problem, wide, wide[:, 0], n_alphas=30, on_interrupt="return")
    assert press.seen == 4 and 0 < len(found.alphas) < 30


def test_interrupts_of_blocks_within_blocks_are_one() -> None:
    with interruptible() as outer:
        with interruptible() as inner:
            os.kill(os.getpid(), signal.SIGINT)
            assert inner.is_set() and outer.is_set()
        with pytest.raises(KeyboardInterrupt):  # the second one
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("before", [signal.SIG_IGN, signal.SIG_DFL])
def test_other_handlers(before: Any) -> None:
    usual = signal.signal(signal.SIGINT, before)
    try:
        if before is signal.SIG_IGN:  # as in a process that was started with nohup: it stays so
            with interruptible() as interrupted:
                os.kill(os.getpid(), signal.SIGINT)
                assert not interrupted.is_set()
        else:
            with pytest.raises(KeyboardInterrupt), interruptible():
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, usual)


@pytest.mark.parametrize("engine", [engines.Serial(), engines.Threads(2), engines.Simulated(2)], ids=lambda e: e.name)
def test_an_interrupt_between_blocks_of_a_file(engine: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from offbeat.data.shards import Shard

    rows = RNG.standard_normal((20_000, 8))
    np.save(tmp_path / "x.npy", rows)
    y = (rows[:, 0] > 0.0).astype(float)
    press, original = Press(), Shard.evaluate

    def pressing(shard: Any, *arguments: Any) -> Any:
        press()
        return original(shard, *arguments)

    monkeypatch.setattr(Shard, "evaluate", pressing)
    for call in ("raise", "return"):
        press.seen = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            options: dict[str, Any] = {"memory_budget": "100kB", "engine": engine, "on_interrupt": call}
            if call == "raise":
                with pytest.raises(KeyboardInterrupt):
                    solve(LOGISTIC, str(tmp_path / "x.npy"), y, **options)
            else:
                assert solve(LOGISTIC, str(tmp_path / "x.npy"), y, **options).status == "interrupted"


def test_an_unknown_wish_is_refused() -> None:
    with pytest.raises(ProblemError, match="on_interrupt is 'ignore'; give 'raise' or 'return'"):
        solve(LOGISTIC, X, (CLASSES > 0).astype(float), on_interrupt="ignore")  # type: ignore[arg-type]
    with pytest.raises(ProblemError, match="on_interrupt is None"):
        solve_path(LOGISTIC, X, (CLASSES > 0).astype(float), on_interrupt=None)  # type: ignore[arg-type]
