"""What can be seen of a fit on a cluster: transfers in the trace, progress in notebooks."""

import asyncio
import math
import sys
import threading
from types import ModuleType

import dask.array as da
import numpy as np
import pytest

import offbeat
from offbeat import Problem, losses, penalties, solvers, topology
from offbeat.data.load import as_dataset
from offbeat.engines.dask import ranks, remote
from offbeat.engines.dask.transfers import Moved, Transfers, _size, rows
from offbeat.sideways.messages import Run

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-3))
N, K = 3000, 5


@pytest.fixture
def lopsided(client):
    """Return data that lies on one of two workers; each time anew, as copies stay where they were moved to."""
    X = np.random.default_rng(0).normal(size=(N, K))
    home = sorted(client.scheduler_info(n_workers=-1)["workers"])[0]
    arrays = [
        da.from_array(values, chunks=(250, *values.shape[1:]), name=False)
        for values in (X, (X[:, 0] > 0.3).astype(float))
    ]
    return client.persist(arrays, workers=[home])


def held(client):
    return client.run(remote.held), client.run(ranks.held), client.run(lambda: len(ranks._TRANSFERS))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"solver": solvers.ADMM(), "staleness": math.inf, "stealing": None},
        {"solver": solvers.ADMM(), "staleness": math.inf, "topology": topology.Broadcast()},
    ],
    ids=["barrier", "async", "peers"],
)
def test_the_trace_tells_what_was_moved_to_workers(client, lopsided, settings):
    fit = offbeat.solve(RIDGE, *lopsided, tol=1e-5, **settings)
    frame = fit.trace.to_frame()
    moved = frame[frame["kind"] == "transfer"]
    rows = moved[moved["note"] == "rows"]["bytes"].sum()
    assert 0.3 * N * (K + 1) * 8 < rows < 1.2 * N * (K + 1) * 8  # about half of the data, once
    assert moved["time"].min() >= 0.0 and (moved["time"] + moved["duration"]).max() <= frame["time"].max()
    assert set(moved["worker"]) <= set(frame[frame["kind"] == "step"]["worker"])
    assert held(client) == tuple(dict.fromkeys(client.run(remote.held), 0) for _ in range(3))


def test_queries_that_are_sent_once_are_seen(client, lopsided, monkeypatch):
    monkeypatch.setattr("offbeat.engines.dask.hub.LARGE", 0)
    trace = offbeat.solve(RIDGE, *lopsided, tol=1e-5).trace
    assert "query" in {row.note for row in trace if row.kind == "transfer"}


def test_a_transfer_is_told_once_and_only_if_it_came_after_the_beginning():
    class Worker:
        address, scheduler_delay, transfer_incoming_log = "a", 0.5, []

    worker, told = Worker(), Transfers()
    now = remote_time() + 0.5
    for ago in (29.0, 2.0, 1.0):
        worker.transfer_incoming_log.append(
            {
                "start": now - ago,
                "stop": now - ago + 0.5,
                "total": 7,
                "keys": {"offbeat-query-1": 3, "offbeat-shard-2": 4},
            }
        )
    found = told.new(worker, 5.0, np.zeros(125))
    assert [round(each.start) for each in found] == [-2, -1]
    assert found[0][2:] == (1007, "query + shard")
    assert told.new(worker, 5.0, None) == ()


def test_the_size_of_a_shard_is_that_of_its_rows():
    (shard,) = as_dataset(np.zeros((100, 4)), np.zeros(100)).shards(1)
    assert 100 * 5 * 8 <= _size(shard) < 100 * 6 * 8


def remote_time():
    from distributed.metrics import time

    return time()


def test_what_came_before_the_fit_is_left_out():
    moved = [
        Moved(-3.0, 1.0, 5, "rows"),
        Moved(-1.55, 0.5, 8, "rows"),
        Moved(-1.5, 1.0, 6, "rows"),
        Moved(-0.5, 0.25, 7, "shard"),
    ]
    made = rows(moved, Run(3, 8, None, 1), looked=1.0)
    assert [(row.time, row.duration, row.bytes, row.shard, row.clock) for row in made] == [
        (0.0, 0.0, 8, 3, 8),  # clocks differ by as much
        (0.0, 0.5, 6, 3, 8),
        (0.5, 0.25, 7, 3, 8),
    ]


@pytest.fixture
def notebook(monkeypatch):
    """Return what a notebook would have shown, and by which thread."""
    shown = []

    class ZMQInteractiveShell: ...

    class Handle:
        def update(self, output):
            shown.append((threading.get_ident(), output))

    def display(output, display_id):
        shown.append((threading.get_ident(), output))
        return Handle()

    package, module = ModuleType("IPython"), ModuleType("IPython.display")
    package.get_ipython, module.HTML, module.display = ZMQInteractiveShell, str, display
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr("offbeat.diagnostics.progress.QUIET", 0.0)
    return shown


@pytest.mark.parametrize("peers", [None, topology.Broadcast()], ids=["hub", "peers"])
def test_notebooks_show_progress_from_the_thread_of_the_cell(client, lopsided, notebook, peers):
    async def cell():  # Jupyter runs cells in its event loop
        return offbeat.solve(RIDGE, *lopsided, solver=solvers.GradientDescent(), topology=peers, tol=1e-4)

    assert asyncio.run(cell()).certificate.satisfied
    assert len(notebook) >= 2
    assert {thread for thread, _ in notebook} == {threading.get_ident()}
    assert notebook[0][1].startswith("<") and "3,000 rows" in notebook[0][1]
    assert 'value="1.000"' in notebook[-1][1] and "gradient" in notebook[-1][1]
