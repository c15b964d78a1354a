"""What the hub makes of answers that are lost, cancelled, or fail without a word."""

import math
from concurrent.futures import CancelledError

import dask.array as da
import numpy as np
import pytest
from distributed import as_completed

import offbeat
from offbeat import Problem, losses, penalties, solvers
from offbeat.engines.dask import hub
from support.slow import BrokenADMM

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-3))
N, K = 800, 4


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, K))
    return X, (X @ rng.normal(size=K) + rng.normal(size=N) > 0).astype(float)


@pytest.fixture
def arrays(client, rows):
    return da.from_array(rows[0], chunks=(200, K)).persist(), da.from_array(rows[1], chunks=200).persist()


def right(fit, rows):
    assert fit.certificate.satisfied
    np.testing.assert_allclose(fit.coef, offbeat.solve(RIDGE, *rows, tol=1e-8).coef, atol=0.02)


def test_an_answer_in_hand_counts_though_its_worker_is_gone(arrays, rows, monkeypatch):
    take, lost = hub.Host._take, []

    def gone(self, future, result):
        if not lost:
            lost.append(future.key)
            future._state.lose()
        return take(self, future, result)

    monkeypatch.setattr(hub.Host, "_take", gone)
    fit = offbeat.solve(RIDGE, *arrays, solver=solvers.ADMM(), staleness=math.inf, tol=1e-8)
    assert lost
    right(fit, rows)


def test_a_step_that_is_cancelled_is_made_again(arrays, rows, monkeypatch):
    take, cancelled = hub.Host._take, []

    def cancel(self, future, result):
        if len(cancelled) < 2:
            cancelled.append(future.key)
            future._state.lose()
            result = CancelledError(future.key)
        return take(self, future, result)

    monkeypatch.setattr(hub.Host, "_take", cancel)
    fit = offbeat.solve(RIDGE, *arrays, solver=solvers.ADMM(), tol=1e-8)
    assert len(cancelled) == 2
    right(fit, rows)


def test_a_failure_that_dask_tells_nobody_of_ends_the_fit(arrays, rows, monkeypatch):
    monkeypatch.setattr(as_completed, "add", lambda self, future: None)
    with pytest.raises(ZeroDivisionError):
        offbeat.solve(RIDGE, *arrays, solver=BrokenADMM())
