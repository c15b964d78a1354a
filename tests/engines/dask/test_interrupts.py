"""Ctrl-C wherever a fit waits for the cluster: nothing is left there, and the next fit works."""

import threading
import time

import dask.array as da
import numpy as np
import pytest
from distributed import Client

import offbeat
from offbeat import Problem, engines, losses, penalties, solvers, topology
from offbeat.engines.dask import ranks, remote

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-2))
N, K = 400, 3
LONG = 30.0  # seconds until a test gives up


class Interrupts:
    """Raises as Ctrl-C does, in place of one of the times that this thread waits for the cluster."""

    def __init__(self, monkeypatch):
        self.after = self.waits = 0
        sync, thread = Client.sync, threading.get_ident()

        def interrupted(client, *args, **settings):
            if self.after and threading.get_ident() == thread:
                self.waits += 1
                if self.waits == self.after:
                    self.after = 0
                    raise KeyboardInterrupt
            return sync(client, *args, **settings)

        monkeypatch.setattr(Client, "sync", interrupted)

    def at(self, number, run):
        """Return what a run raises when it is interrupted at a wait; None when it ends before."""
        self.after, self.waits = number, 0
        try:
            run()
        except KeyboardInterrupt as error:
            return error  # with its traceback, as an interactive session keeps it
        finally:
            self.after = 0
        return None


def left(client):
    tasks = client.run_on_scheduler(lambda dask_scheduler: sorted(map(str, dask_scheduler.tasks)))
    return tasks, client.run(remote.held), client.run(ranks.held)


def settled(client, *expected):
    """Return what is left, once that is as expected, by default nothing of a fit; or after a long time."""
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        found = left(client)
        if found in expected or (not expected and not any(key.startswith("offbeat-") for key in found[0])):
            return found
        time.sleep(0.02)
    return left(client)


@pytest.fixture(scope="module")
def rows():
    X = np.random.default_rng(0).normal(size=(N, K))
    return X, (X[:, 0] + np.sin(20.0 * X[:, 1]) > 0).astype(float)


@pytest.mark.parametrize("kind", ["persisted", "lazy with weights", "sent", "peers"])
def test_nothing_is_left_wherever_a_fit_is_interrupted(client, rows, monkeypatch, kind):
    lazy = da.from_array(rows[0], chunks=(100, K)), da.from_array(rows[1], chunks=100)
    persisted = client.persist(lazy)
    engine = engines.Dask(client, page=False)

    def run():
        if kind == "persisted":
            return offbeat.solve(RIDGE, *persisted, solver=solvers.ADMM(), tol=1e-3, engine=engine)
        if kind == "lazy with weights":
            return offbeat.solve(RIDGE, *lazy, sample_weight=lazy[1] + 1.0, offset=lazy[1], tol=1e-3, engine=engine)
        peers = {"topology": topology.Broadcast(), "solver": solvers.ADMM()} if kind == "peers" else {}
        return offbeat.solve(RIDGE, *rows, tol=1e-3, engine=engine, **peers)

    run()
    interrupts, before, number = Interrupts(monkeypatch), settled(client), 1
    while (error := interrupts.at(number, run)) is not None:
        assert settled(client, before) == before, f"at wait {number}: {error!r}"
        number += 1
    assert number > 2  # interrupted at least twice; how often a fit waits depends on the machine
    assert run().certificate.satisfied
