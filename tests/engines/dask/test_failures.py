"""Workers that die, hang, leave and come while a fit runs; the scheduler that dies. Processes end by their ids."""

import math
import os
import signal

import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

import offbeat
from offbeat import Problem, engines, losses, penalties, solvers
from offbeat.errors import ProblemError

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-3))
N, K = 2000, 6
SLOW = solvers.ADMM()


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, K))
    return X, (X @ rng.normal(size=K) + rng.normal(size=N) > 0).astype(float)


@pytest.fixture
def cluster():
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        host="127.0.0.1",
    ) as made:
        yield made


@pytest.fixture
def client(cluster):
    with Client(cluster) as made:
        yield made


def collections(rows):
    return da.from_array(rows[0], chunks=(250, K)).persist(), da.from_array(rows[1], chunks=250).persist()


class At:
    """A callback that does something at some looks of the fit; ``then`` are the deeds still to be done."""

    def __init__(self, *then, every=1):
        self.then, self.every, self.looks = list(then), every, 0

    def __call__(self, progress, row):
        self.looks += 1
        if self.then and self.looks % self.every == 0:
            self.then.pop(0)()


def kill_one(client):
    pids = client.run(os.getpid)
    os.kill(pids[sorted(pids)[0]], signal.SIGKILL)


def right(fit, rows):
    assert fit.certificate.satisfied
    np.testing.assert_allclose(fit.coef, offbeat.solve(RIDGE, *rows, tol=1e-8).coef, atol=0.02)


@pytest.mark.parametrize("staleness", [0, math.inf], ids=["barrier", "asynchronous"])
def test_workers_killed_again_and_again(client, rows, staleness):
    at = At(*[lambda: kill_one(client)] * 2)
    X, y = collections(rows)
    fit = offbeat.solve(RIDGE, X, y, solver=SLOW, staleness=staleness, tol=1e-8, callback=at)
    assert not at.then
    right(fit, rows)


def test_all_workers_killed_at_once(client, rows):
    def kill_all():
        for pid in client.run(os.getpid).values():
            os.kill(pid, signal.SIGKILL)

    at = At(kill_all)
    fit = offbeat.solve(RIDGE, *collections(rows), solver=SLOW, tol=1e-8, callback=at)
    assert not at.then
    right(fit, rows)


@pytest.mark.parametrize("staleness", [0, math.inf], ids=["barrier", "asynchronous"])
def test_rows_of_this_process_are_sent_again(client, rows, staleness):
    """No task makes them anew: the only copy dies with its worker."""
    at = At(lambda: kill_one(client))
    engine = engines.Dask(client)
    fit = offbeat.solve(RIDGE, *rows, solver=SLOW, engine=engine, staleness=staleness, tol=1e-8, callback=at)
    assert not at.then
    right(fit, rows)


def test_a_worker_retired_and_one_added(client, cluster, rows):
    at = At(lambda: client.retire_workers(n=1), lambda: cluster.scale(2))
    fit = offbeat.solve(RIDGE, *collections(rows), solver=SLOW, tol=1e-8, callback=at)
    assert not at.then
    right(fit, rows)


@pytest.mark.parametrize("staleness", [0, math.inf], ids=["barrier", "asynchronous"])
def test_a_cluster_that_shrinks(client, cluster, rows, staleness):
    at = At(lambda: cluster.scale(1))
    fit = offbeat.solve(RIDGE, *collections(rows), solver=SLOW, staleness=staleness, tol=1e-8, callback=at)
    assert not at.then
    right(fit, rows)


def test_a_worker_that_hangs(client, rows):
    stopped = []

    def stop():
        pids = client.run(os.getpid)
        stopped.append(pids[sorted(pids)[0]])
        os.kill(stopped[0], signal.SIGSTOP)

    quick = engines.Dask(client, silence=3.0)
    try:
        at = At(stop)
        fit = offbeat.solve(RIDGE, *collections(rows), solver=SLOW, engine=quick, tol=1e-8, callback=at)
        assert not at.then
        right(fit, rows)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def test_no_workers(rows):
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", host="127.0.0.1") as empty,
        Client(empty) as client,
        pytest.raises(ProblemError, match="has no workers"),
    ):
        offbeat.solve(RIDGE, *rows, engine=engines.Dask(client, timeout=0.2))


def test_the_scheduler_dies_and_the_fit_goes_on_elsewhere(rows, tmp_path):
    import subprocess
    import sys

    def start():
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
        file = tmp_path / f"scheduler{len(started)}.json"
        command += ["--no-dashboard", "--scheduler-file", str(file)]
        scheduler = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        command = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), "--no-nanny"]
        worker = subprocess.Popen([*command, "--nthreads", "1", "--no-dashboard"], stderr=subprocess.DEVNULL)
        started.extend([scheduler, worker])
        return Client(scheduler_file=str(file), timeout=60), scheduler

    started = []
    kept = tmp_path / "fit.npz"
    try:
        client, scheduler = start()
        with client, pytest.raises(ProblemError, match="the Dask scheduler is gone"):
            offbeat.solve(
                RIDGE, *rows, solver=SLOW, engine=engines.Dask(client), tol=1e-6, checkpoint=kept, checkpoint_every=0.0,
                callback=At(scheduler.kill),
            )  # fmt: skip
        client, _ = start()
        with client:
            fit = offbeat.solve(RIDGE, *rows, solver=SLOW, engine=engines.Dask(client), tol=1e-6, resume=kept)
        assert "resumed at" in fit.trace.metadata
        right(fit, rows)
    finally:
        for process in started:
            process.kill()
            process.wait()
