"""Workers with another Offbeat, or none, or other libraries."""

import time

import dask.array as da
import numpy as np
import pytest
from distributed import Client

import offbeat
from offbeat import Problem, engines, losses, penalties
from offbeat.engines.dask import versions
from offbeat.engines.dask.by_value import by_value
from offbeat.errors import ProblemError

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-3))


@pytest.fixture
def rows():
    X = np.random.default_rng(0).normal(size=(200, 3))
    return X, (X[:, 0] > 0).astype(float)


@pytest.fixture
def fresh(cluster):
    """Return a client that has asked no worker yet."""
    with Client(cluster, set_as_default=False) as made:
        yield made


@pytest.fixture
def worker(fresh):
    return sorted(fresh.scheduler_info(n_workers=-1)["workers"])[0]


def pretend(number):
    import offbeat

    offbeat.__version__ = number


def hide():
    import sys

    sys.kept = sys.modules["offbeat"]
    sys.modules["offbeat"] = None


def show():
    import sys

    sys.modules["offbeat"] = sys.kept
    del sys.kept


def local(function):
    """Return a function that needs nothing of this module on the worker."""
    return by_value(function)


def test_another_version_is_an_error_that_names_the_worker(fresh, worker, rows):
    fresh.run(local(pretend), "0.0.7", workers=[worker])
    try:
        with pytest.raises(ProblemError, match=rf"which has {offbeat.__version__}: {worker} has 0\.0\.7\. Install"):
            offbeat.solve(RIDGE, *rows, engine=engines.Dask(fresh))
        lazy = da.from_array(rows[0], chunks=(50, 3))
        with pytest.raises(ProblemError, match=rf"{worker} has 0\.0\.7\. Install"):  # it is asked again
            offbeat.solve(RIDGE, lazy, rows[1], engine=engines.Dask(fresh))
        deadline = time.monotonic() + 10.0  # the client's loop lets go of them
        while fresh.futures and time.monotonic() < deadline:
            time.sleep(0.02)
        assert fresh.futures == {}
    finally:
        fresh.run(local(pretend), offbeat.__version__, workers=[worker])
    assert offbeat.solve(RIDGE, *rows, engine=engines.Dask(fresh)).certificate.satisfied


def test_a_worker_without_it_is_told_from_one_with_another(fresh, worker, rows):
    fresh.run(local(pretend), offbeat.__version__)  # imports it
    fresh.run(local(hide), workers=[worker])
    try:
        with pytest.raises(
            ProblemError, match=rf"{worker} cannot import it \(ModuleNotFoundError: .*Install offbeat=="
        ):
            offbeat.solve(RIDGE, *rows, engine=engines.Dask(fresh))
    finally:
        fresh.run(local(show), workers=[worker])


def test_another_numpy_is_a_warning(fresh, rows, monkeypatch):
    monkeypatch.setattr(versions, "version", lambda name: "1.0.0" if name == "numpy" else versions_here(name))
    with pytest.warns(UserWarning, match=r"2 of 2 workers have another numpy than this process \(1\.0\.0\)"):
        fit = offbeat.solve(RIDGE, *rows, engine=engines.Dask(fresh))
    assert fit.certificate.satisfied


def versions_here(name):
    from importlib.metadata import version

    return version(name)


def test_each_worker_is_asked_once_by_a_client(fresh, rows, monkeypatch):
    asked = []
    answers = versions._answers
    monkeypatch.setattr(versions, "_answers", lambda client, new: asked.append(new) or answers(client, new))
    for _ in range(2):
        offbeat.solve(RIDGE, *rows, engine=engines.Dask(fresh))
    assert [len(new) for new in asked] == [2]


def test_workers_that_do_not_answer_are_left_to_the_fit(fresh, worker, monkeypatch):
    monkeypatch.setattr(versions, "ANSWER", 0.0)
    versions.check_versions(fresh, [worker])


def test_many_workers_are_counted(monkeypatch):
    monkeypatch.setattr(
        versions,
        "_answers",
        lambda client, new: {a: {"offbeat": "9.9", **dict.fromkeys(versions.OTHERS, "")} for a in new},
    )

    class Someone:
        pass

    with pytest.raises(ProblemError, match=r"a has 9\.9; b has 9\.9; c has 9\.9; so do 2 more\."):
        versions.check_versions(Someone(), "abcde")
