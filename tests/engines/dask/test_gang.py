"""Peers on a Dask cluster of real processes: every topology, programs of one's own, and an end that leaves nothing."""

import gc
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import cloudpickle
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster, Security

import offbeat
from offbeat import Problem, engines, losses, penalties, solvers, topology
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.sideways import WAIT

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-3))
N, K = 1200, 5
PATIENCE = 20.0  # seconds until a test gives up
EVERY = [topology.Broadcast(), topology.Tree(2), topology.Gossip(2)]


@pytest.fixture(scope="module", autouse=True)
def programs_travel():
    """Workers cannot import this module."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, K))
    return X, (rng.uniform(size=N) < 1.0 / (1.0 + np.exp(-X[:, 0]))).astype(float)


@pytest.fixture(scope="module")
def arrays(client, rows):
    return tuple(da.from_array(each, chunks=(200, *each.shape[1:])).persist() for each in rows)


@pytest.fixture(scope="module")
def reference(rows):
    return offbeat.solve(RIDGE, *rows, tol=1e-8)


def total(port, shard):
    """Add up the rows of all ranks."""
    own = float(shard.rows().sum())
    port.push(port.message(np.array([own])))
    heard = []
    while len(heard) < port.n_workers - 1:
        yield WAIT
        heard += port.poll()
    return own + sum(message.payload[0] for message in heard)


def left(client):
    """What there is on the scheduler and on the workers; of Dask's own connections there may be more or fewer."""

    def worker(dask_worker):
        import psutil

        from offbeat.engines.dask import ranks, remote

        gc.collect()
        handlers = [name for name in dask_worker.handlers if "offbeat" in name]
        tasks = [str(key) for key in dask_worker.state.tasks if str(key).startswith("offbeat")]
        threads = [t.name for t in threading.enumerate() if "Dask-Default-Threads" not in t.name]
        sockets = [c.status for c in psutil.Process().net_connections("all") if c.status in ("LISTEN", "NONE")]
        links = (Path("/proc/self/fd") / fd for fd in os.listdir("/proc/self/fd"))
        events = [link for link in links if link.is_symlink() and "eventfd" in os.readlink(link)]
        return ranks.held(), remote.held(), handlers, tasks, sorted(threads), len(sockets), len(events)

    tasks = client.run_on_scheduler(lambda dask_scheduler: sorted(map(str, dask_scheduler.tasks)))
    return tasks, client.run(worker)


@pytest.mark.parametrize("peers", EVERY, ids=lambda t: t.name)
@pytest.mark.parametrize(
    ("solver", "staleness"),
    [(solvers.LBFGS(), 0), (solvers.ADMM(), 0), (solvers.DelayedProximalGradient(), math.inf)],
    ids=lambda s: getattr(s, "name", s),
)
def test_fits_reach_their_certificate(arrays, reference, peers, solver, staleness):
    fit = offbeat.solve(RIDGE, *arrays, solver=solver, staleness=staleness, topology=peers, tol=1e-6)
    assert fit.certificate.satisfied
    np.testing.assert_allclose(fit.coef, reference.coef, atol=2e-3)
    steps = fit.trace.to_frame()
    assert set(steps["worker"]) == {-1, 0, 1}
    assert "restarts" not in fit.trace.metadata


def test_with_a_barrier_the_iterates_are_those_of_threads(arrays, rows):
    one = offbeat.solve(RIDGE, *arrays, solver=solvers.LBFGS(), topology=topology.Broadcast(), tol=1e-7)
    data = offbeat.solve(
        RIDGE, *rows, solver=solvers.LBFGS(), topology=topology.Broadcast(), tol=1e-7, engine=engines.Threads(2)
    )
    assert one.passes == data.passes
    np.testing.assert_allclose(one.coef, data.coef, rtol=1e-6)


def test_rows_of_this_process_are_sent(client, rows, reference):
    fit = offbeat.solve(RIDGE, *rows, engine=engines.Dask(client), topology=topology.Tree(), tol=1e-6)
    assert fit.certificate.satisfied
    np.testing.assert_allclose(fit.coef, reference.coef, atol=2e-3)


def test_programs_of_ones_own(client, rows, arrays):
    engine = engines.Dask(client)
    expected = [pytest.approx(rows[0].sum())] * 2
    assert engine.run(total, rows[0]) == expected
    assert engine.run(total, arrays[0], topology=topology.Gossip(1)) == expected


@pytest.mark.parametrize("peers", EVERY, ids=lambda t: t.name)
def test_without_ports_of_their_own(client, arrays, reference, rows, peers):
    engine = engines.Dask(client, ports=False)
    for solver, staleness in ((solvers.LBFGS(), 0), (solvers.DelayedProximalGradient(), math.inf)):
        fit = offbeat.solve(RIDGE, *arrays, engine=engine, solver=solver, staleness=staleness, topology=peers, tol=1e-6)
        assert fit.certificate.satisfied
        np.testing.assert_allclose(fit.coef, reference.coef, atol=2e-3)
    assert engine.run(total, rows[0]) == [pytest.approx(rows[0].sum())] * 2


def test_callbacks_run_in_this_process_and_stop_the_fit(arrays):
    seen = []

    def callback(progress, row):
        seen.append((os.getpid(), progress.certificate.relative_gap))
        return len(seen) == 2

    with pytest.warns(ConvergenceWarning):
        fit = offbeat.solve(
            RIDGE, *arrays, solver=solvers.GradientDescent(), topology=topology.Broadcast(), tol=1e-12,
            callback=callback,
        )  # fmt: skip
    assert fit.status == "callback"
    assert len(seen) == 2
    assert {pid for pid, _ in seen} == {os.getpid()}


def test_errors_say_which_rank(client, rows):
    def fails(port, shard):
        yield
        if port.worker == 1:
            raise ZeroDivisionError("of the test")
        yield WAIT

    with pytest.raises(ZeroDivisionError, match="of the test") as raised:
        engines.Dask(client).run(fails, rows[0])
    assert raised.value.__notes__ == ["raised by rank 1"]


def test_results_that_cannot_be_sent(client, rows):
    def returns(port, shard):
        yield
        return threading.Lock()

    with pytest.raises(TypeError, match=r"what it returned \(lock\) cannot be sent"):
        engines.Dask(client).run(returns, rows[0])


def test_more_peers_than_threads(client, rows):
    engine = engines.Dask(client, timeout=0.2)
    from offbeat.data.load import as_dataset
    from offbeat.engines.base import Listener

    shards = as_dataset(rows[0], None).shards(3)
    with pytest.raises(ProblemError, match="3 peers need a thread each, and the Dask cluster has 2"):
        engine.gang(total, shards, topology.Broadcast(), Listener())


def test_threads_that_are_taken(client, rows):
    busy = client.submit(time.sleep, 3.0, workers=[min(client.scheduler_info()["workers"])], pure=False)
    time.sleep(0.2)
    with pytest.raises(ProblemError, match=r"ranks 0 of 2 have not begun within 0\.5 s"):
        engines.Dask(client, timeout=0.5).run(total, rows[0])
    busy.release()


def test_nothing_is_left_on_the_cluster(client, arrays, rows):
    def fit(**options):
        return offbeat.solve(RIDGE, *arrays, topology=topology.Broadcast(), **options)

    fit(tol=1e-6)
    engines.Dask(client).run(total, rows[0])
    gc.collect()
    time.sleep(3.0)  # of other tests
    before = left(client)
    fit(tol=1e-6)
    fit(solver=solvers.DelayedProximalGradient(), staleness=math.inf, tol=1e-6)
    engines.Dask(client).run(total, rows[0])
    engines.Dask(client, ports=False).run(total, rows[0])
    with pytest.warns(ConvergenceWarning):
        fit(tol=1e-12, time_limit=0.5, engine=engines.Dask(client, slowdown={1: 1e4}))
    with pytest.raises(ZeroDivisionError):
        fit(callback=lambda progress, row: 1 / 0)
    deadline = time.monotonic() + PATIENCE  # what was running when the fit ended comes to its end
    while (now := left(client)) != before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert now == before


@pytest.fixture
def security(tmp_path):
    """A certificate made for the test."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl")
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=offbeat"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    files = {f"tls_{role}_{what}": file for role in ("client", "scheduler", "worker")
             for what, file in (("key", key), ("cert", certificate))}  # fmt: skip
    return Security(tls_ca_file=certificate, require_encryption=True, **files)


def test_a_cluster_that_uses_tls(security, rows, reference):
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0, host="tls://127.0.0.1",
            security=security,
        ) as cluster,
        Client(cluster, security=security) as client,
    ):  # fmt: skip
        assert all(address.startswith("tls://") for address in client.scheduler_info()["workers"])
        for ports in (True, False):
            fit = offbeat.solve(
                RIDGE, *rows, topology=topology.Broadcast(), engine=engines.Dask(client, ports=ports), tol=1e-6
            )
            assert fit.certificate.satisfied
            np.testing.assert_allclose(fit.coef, reference.coef, atol=2e-3)
