"""Peers on a Dask cluster whose workers are killed, hang, leave: the same certificate, and nothing left behind."""

import math
import os
import signal
import threading
import time

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

import offbeat
from offbeat import Problem, engines, losses, penalties, topology
from offbeat.engines.dask import gang
from support.slow import ROWS, K, SlowADMM, SlowDescent, block, labels, mean, running_ranks

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-3))
WORKERS = 4
PATIENCE = 60.0  # seconds until a test gives up


@pytest.fixture
def client(request):
    """Four workers, new ones for each test: those of a test before may be on their way back for long."""
    ttl = "10 s" if "hangs" in request.node.name else "5 minutes"
    with (
        dask.config.set({"distributed.scheduler.worker-ttl": ttl, "distributed.scheduler.allowed-failures": 100}),
        LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0, host="127.0.0.1"
        ) as cluster,
        Client(cluster) as made,
    ):
        yield made


@pytest.fixture
def arrays(client):
    """Rows that Dask can make anew."""
    client.wait_for_workers(WORKERS, timeout=PATIENCE)
    X = da.concatenate([da.from_delayed(dask.delayed(block)(i), (ROWS, K), float) for i in range(8)])
    y = X.map_blocks(labels, drop_axis=1, dtype=float)
    return dask.persist(X, y)


@pytest.fixture(scope="module")
def reference():
    X = np.concatenate([block(i) for i in range(8)])
    return offbeat.solve(RIDGE, X, labels(X), tol=1e-9)


class Strike:
    """Does something to the workers of some ranks once all ranks run."""

    def __init__(self, client, ranks, what, delay=0.3):
        self.client, self.ranks, self.what, self.delay = client, ranks, what, delay
        self.addresses = []

    def __enter__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def __exit__(self, *args):
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()

    def run(self):
        deadline = time.monotonic() + PATIENCE
        running = {}
        while len(running) < WORKERS and time.monotonic() < deadline:
            time.sleep(0.05)
            found = self.client.run(running_ranks)
            running = {rank: (address, pid) for address, (pid, ranks) in found.items() for rank in ranks}
        time.sleep(self.delay)
        for rank in self.ranks:
            self.addresses.append(running[rank][0])
            self.what(*running[rank])


def kill(address, pid):
    os.kill(pid, signal.SIGKILL)


def freeze(address, pid):
    os.kill(pid, signal.SIGSTOP)


def check(fit, reference, restarts):
    assert fit.certificate.satisfied
    np.testing.assert_allclose(fit.coef, reference.coef, atol=2e-3)
    assert int(fit.trace.metadata["restarts"]) >= restarts


@pytest.mark.parametrize(
    ("peers", "solver", "staleness", "victim"),
    [
        (topology.Broadcast(), SlowADMM(), 0, 0),
        pytest.param(topology.Broadcast(), SlowDescent(), math.inf, 2, marks=pytest.mark.soak),
        pytest.param(topology.Tree(2), SlowADMM(), 0, 2, marks=pytest.mark.soak),
        pytest.param(topology.Tree(2), SlowDescent(), math.inf, 0, marks=pytest.mark.soak),
        pytest.param(topology.Gossip(2), SlowADMM(), 0, 2, marks=pytest.mark.soak),
        pytest.param(topology.Gossip(2), SlowDescent(), math.inf, 0, marks=pytest.mark.soak),
    ],
    ids=lambda each: getattr(each, "name", each),
)
def test_a_worker_is_killed(client, arrays, reference, peers, solver, staleness, victim):
    with Strike(client, [victim], kill):
        fit = offbeat.solve(RIDGE, *arrays, solver=solver, staleness=staleness, topology=peers, tol=1e-6)
    check(fit, reference, 1)


@pytest.mark.soak
@pytest.mark.parametrize("victims", [(1, 2), (0, 1, 2, 3)], ids=["two", "all"])
def test_several_workers_are_killed(client, arrays, reference, victims):
    with Strike(client, victims, kill):
        fit = offbeat.solve(RIDGE, *arrays, solver=SlowADMM(), topology=topology.Broadcast(), tol=1e-6)
    check(fit, reference, len(victims))


@pytest.mark.soak
def test_rows_of_this_process_are_sent_again(client, reference):
    client.wait_for_workers(WORKERS, timeout=PATIENCE)
    X = np.concatenate([block(i) for i in range(8)])
    with Strike(client, [1], kill):
        fit = offbeat.solve(
            RIDGE, X, labels(X), solver=SlowADMM(), topology=topology.Tree(2), engine=engines.Dask(client), tol=1e-6
        )
    check(fit, reference, 1)


@pytest.mark.soak
def test_a_worker_hangs_until_dask_gives_it_up(client, arrays, reference):
    with Strike(client, [1], freeze):
        fit = offbeat.solve(RIDGE, *arrays, solver=SlowADMM(), topology=topology.Broadcast(), tol=1e-6)
    check(fit, reference, 1)


@pytest.mark.soak
def test_programs_of_ones_own_go_on(client):
    client.wait_for_workers(WORKERS, timeout=PATIENCE)
    rows = np.arange(8.0).reshape(8, 1)
    with Strike(client, [2], kill):
        found = engines.Dask(client, ports=False).run(mean, rows)
    np.testing.assert_allclose(found, engines.Threads(4).run(mean, rows), atol=1e-6)


@pytest.mark.soak
def test_a_worker_is_retired_and_ranks_share_threads(client, arrays, reference, monkeypatch):
    monkeypatch.setattr(gang, "PATIENCE", 1.0)
    with Strike(client, [3], lambda address, pid: client.retire_workers([address])):
        fit = offbeat.solve(RIDGE, *arrays, solver=SlowADMM(seconds=0.3), topology=topology.Broadcast(), tol=1e-6)
    check(fit, reference, 1)
