"""Who is in the cluster: workers that are silent, paused or gone; the scheduler that is."""

from types import SimpleNamespace

import dask
import numpy as np
import pytest
from distributed import Client

import offbeat
from offbeat import Problem, engines, losses, penalties, solvers, topology
from offbeat.data.load import as_dataset
from offbeat.engines.base import Listener
from offbeat.engines.dask import gang, members
from offbeat.engines.dask.by_value import by_value
from offbeat.engines.dask.members import Members, Present, Workers, facts_of_workers, present
from offbeat.errors import ProblemError
from support.slow import ROWS, last_block

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-3))


@pytest.fixture(scope="module")
def rows():
    X = np.random.default_rng(0).normal(size=(400, 3))
    return X, (X[:, 0] + X[:, 1] > 0).astype(float)


def set_status(status, dask_worker):
    from distributed import Status

    dask_worker.status = Status[status]


def told(client, address, status):
    """Wait until the scheduler knows the status of a worker."""

    async def wait(dask_scheduler):
        import asyncio

        while dask_scheduler.workers[address].status.name != status:
            await asyncio.sleep(0.01)

    client.run_on_scheduler(wait)


@pytest.fixture
def paused(client):
    """Pause workers, and let them go on in the end; without limits of memory, Dask does neither."""
    done = []

    def do(addresses):
        client.run(by_value(set_status), "paused", workers=addresses)
        done.extend(addresses)
        for address in addresses:
            told(client, address, "paused")

    yield do
    client.run(by_value(set_status), "running", workers=done)
    for address in done:
        told(client, address, "running")


@pytest.fixture
def addresses(client):
    client.wait_for_workers(2)
    return sorted(client.scheduler_info(n_workers=-1)["workers"])


def test_all_workers_paused_is_not_all_workers_gone(client, addresses, paused, rows):
    paused(addresses)
    with pytest.raises(ProblemError, match=r"has 2 workers, and all are paused because their memory is nearly full"):
        offbeat.solve(RIDGE, *rows, engine=engines.Dask(client, timeout=0.2))


def test_all_workers_paused_while_rows_are_loaded(client, paused, addresses):
    """More chunks than fit: each worker is paused after its first."""
    blocks = [dask.delayed(last_block)(i) for i in range(12)]
    with pytest.raises(ProblemError, match="all are paused"):
        offbeat.solve(RIDGE, blocks, [np.ones(ROWS)] * 12, engine=engines.Dask(client, timeout=0.5))
    paused(addresses)  # to let them go on


def test_all_workers_paused_in_the_course_of_a_fit(client, addresses, paused, rows):
    def once(progress, row):
        if not once.done:
            once.done = True
            paused(addresses)

    once.done = False
    with pytest.raises(ProblemError, match="all are paused"):
        offbeat.solve(
            RIDGE, *rows, engine=engines.Dask(client, timeout=0.2), solver=solvers.ADMM(), tol=1e-12, callback=once
        )


def test_a_paused_worker_is_alive(client, addresses, paused, rows):
    """Its ranks are not lost, and others do its steps."""

    def once(progress, row):
        if not once.done:
            once.done = True
            paused(addresses[:1])

    once.done = False
    fit = offbeat.solve(RIDGE, *rows, engine=engines.Dask(client), solver=solvers.ADMM(), tol=1e-6, callback=once)
    assert once.done and fit.certificate.satisfied


def test_peers_say_that_a_worker_is_paused(client, addresses, paused, rows, monkeypatch):
    engine = engines.Dask(client, timeout=0.5)
    shards = engine.place(as_dataset(*rows).shards(2))
    threads = engine.threads()
    monkeypatch.setattr(engines.Dask, "threads", lambda self: threads)
    monkeypatch.setattr(gang, "GRACE", 0.1)  # for a rank that does not begin
    paused(addresses[:1])
    with pytest.raises(ProblemError, match=rf"not begun within 0.5 s: the worker {addresses[0]} is paused"):
        engine.gang(lambda port, shard: iter(()), shards, topology.Broadcast(), Listener())


def facts(status="running", **counts):
    return {"status": status, "nthreads": 2, "metrics": {"task_counts": counts}}


def test_paused_workers_that_still_run_tasks_are_waited_for():
    here = present({"a": facts("paused"), "b": facts("paused", executing=1)})
    assert here == Present({}, frozenset("ab"), busy=True)
    assert present({"a": facts(executing=1), "b": facts("paused", memory=1)}) == Present({"a": 2}, frozenset("b"))


class Looks:
    """Stands for a client: what each look finds."""

    def __init__(self, monkeypatch, *each):
        self.each, self.out, self.status = list(each), [], "running"
        monkeypatch.setattr(members, "facts_of_workers", lambda client: self.each.pop(0))
        monkeypatch.setattr(members, "_take_out", lambda client, address, silence: self.out.append(address))


def heard(**seen):
    return {address: {**facts(), "last_seen": time} for address, time in seen.items()}


def test_ranks_of_a_paused_worker_stay_and_those_of_one_that_goes_do_not(monkeypatch):
    both = heard(a=1.0, b=1.0)
    tired = {**both, "b": {**both["b"], "status": "paused"}}
    client = Looks(monkeypatch, both, tired, both, heard(a=1.0), both)
    shards = [SimpleNamespace(rank=0, home="a"), SimpleNamespace(rank=1, home="b")]
    looking = Members(engines.Dask(client), client, shards)
    found = [looking.look(now) for now in (1.0, 2.0, 3.0, 4.0, 5.0)]
    assert found == [([], []), ([], []), ([], []), ([], [1]), ([2, 3], [])]


def test_a_silent_worker_is_taken_out_at_the_second_look(monkeypatch):
    client = Looks(monkeypatch, heard(a=1.0, b=1.0), heard(a=40.0, b=1.0), heard(a=41.0, b=1.0), heard(a=42.0))
    workers = Workers(client, silence=30.0)
    for now, out in ((0.0, []), (39.0, []), (40.0, ["b"]), (41.0, ["b"])):
        here = workers.look(now)
        assert client.out == out
    assert here == Present({"a": 2})


def test_a_clock_that_steps_takes_nobody_out(monkeypatch):
    """An hour between the signs of life of two workers, by the scheduler's clock, and a second by ours."""
    client = Looks(monkeypatch, heard(a=1.0, b=1.0), heard(a=3601.0, b=1.0), heard(a=3602.0, b=3601.5))
    workers = Workers(client, silence=30.0)
    for now in (0.0, 1.0, 2.0):
        workers.look(now)
    assert client.out == []


def test_many_workers_beat_seldom(monkeypatch):
    """Dask has 8,000 workers say that they are alive every 41 seconds."""
    many = {f"w{i}": 1.0 for i in range(8000)}
    client = Looks(monkeypatch, heard(**many), heard(**{**many, "w0": 40.0}), heard(**{**many, "w0": 41.0}))
    workers = Workers(client, silence=30.0)
    for now in (0.0, 39.0, 40.0):
        workers.look(now)
    assert client.out == []


def test_a_scheduler_that_goes_between_two_looks(cluster):
    client = Client(cluster.scheduler_address, set_as_default=False)
    client.close()
    with pytest.raises(ProblemError, match="the Dask scheduler is gone"):
        facts_of_workers(client)
    with pytest.raises(ProblemError, match="the Dask scheduler is gone"):
        Workers(client, silence=30.0).look(0.0)
