"""The port: one-way push, poll that never blocks, waits that end; the same on threads and in a simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from offbeat import topology
from offbeat.engines import Serial, Simulated, Threads
from offbeat.engines.faults import Crash
from offbeat.errors import ProblemError
from offbeat.sideways import WAIT, Wait
from offbeat.sideways.port import BasePort, cost, within

ROWS = np.arange(12.0).reshape(6, 2)
THREE = [Threads(3), Simulated(3), Simulated(3, straggler={1: 10.0}, latency=0.05)]


@pytest.mark.parametrize("engine", THREE, ids=repr)
def test_messages_of_one_sender_arrive_in_order_and_each_once(engine: Any) -> None:
    def program(port: Any, shard: Any) -> Any:
        for clock in range(20):
            port.push(port.message(np.array([float(port.worker)]), clock=clock))
            yield
        heard: dict[int, list[int]] = {}
        while sum(map(len, heard.values())) < 40:
            for message in port.poll():
                assert message.payload[0] == message.worker == message.shard
                heard.setdefault(message.worker, []).append(message.clock)
            if sum(map(len, heard.values())) < 40:
                yield WAIT
        assert port.poll() == []
        return heard

    for rank, heard in enumerate(engine.run(program, ROWS)):
        assert heard == {other: list(range(20)) for other in range(3) if other != rank}


@pytest.mark.parametrize("engine", THREE, ids=repr)
def test_poll_does_not_wait_and_push_is_not_to_oneself(engine: Any) -> None:
    def program(port: Any, shard: Any) -> Any:
        assert port.poll() == []
        port.push(port.message(np.zeros(1)), to=())
        assert port.poll() == []
        yield 0.0
        return port.worker, port.n_workers, port.incarnation, port.neighbours, shard.n_rows

    expected = [(rank, 3, 0, tuple(r for r in range(3) if r != rank), 2) for rank in range(3)]
    assert engine.run(program, ROWS) == expected


@pytest.mark.parametrize("where", [topology.Tree(2), topology.Gossip(1), topology.Broadcast()], ids=repr)
@pytest.mark.parametrize("make", [Threads, Simulated])
def test_push_is_to_the_neighbours_unless_told_otherwise(make: Any, where: Any) -> None:
    def program(port: Any, shard: Any) -> Any:
        port.push(port.message(np.zeros(1), kind="near"))
        last = port.n_workers - 1
        if port.worker == 0:
            port.push(port.message(np.zeros(1), kind="far"), to=[last])
        due = sum(port.worker in where.neighbours(w, port.n_workers) for w in range(port.n_workers))
        due += port.worker == last
        heard: list[Any] = []
        while len(heard) < due:
            yield WAIT
            heard += port.poll()
        return sorted((message.worker, message.kind) for message in heard)

    results = make(5).run(program, np.ones((5, 1)), topology=where)
    for rank, heard in enumerate(results):
        near = [(w, "near") for w in range(5) if rank in where.neighbours(w, 5)]
        assert heard == sorted(near + ([(0, "far")] if rank == 4 else []))


@pytest.mark.parametrize("engine", THREE, ids=repr)
def test_a_wait_ends_with_a_message_or_at_its_time(engine: Any) -> None:
    def program(port: Any, shard: Any) -> Any:
        if port.worker:
            until = port.now() + 0.02
            yield Wait(until)
            assert port.now() >= until
            port.push(port.message(np.zeros(1)), to=(0,))
            return 0
        heard = 0
        while heard < 2:
            yield Wait(port.now() + 1e6)
            heard += len(port.poll())
        return heard

    assert engine.run(program, ROWS) == [2, 0, 0]


def test_what_is_pushed_after_a_step_leaves_when_it_is_over() -> None:
    def program(port: Any, shard: Any) -> Any:
        if port.worker == 0:
            yield 3.0
            port.push(port.message(np.zeros(1)))
            return port.now()
        yield WAIT
        return port.now()

    times = Simulated(2, compute=1.0, latency=0.25).run(program, ROWS)
    assert times == pytest.approx([3.0, 3.25], abs=1e-6)


def test_a_link_takes_its_time_by_the_size_of_the_message() -> None:
    def program(port: Any, shard: Any) -> Any:
        if port.worker == 0:
            for _ in range(3):
                port.push(port.message(np.zeros(42)))  # 400 bytes with the header
            yield 0.0
            return None
        times = []
        while len(times) < 3:
            yield WAIT
            times += [port.now()] * len(port.poll())
        return times

    times = Simulated(2, latency=0.0, bandwidth=400.0).run(program, ROWS)[1]
    assert times == pytest.approx([1.0, 2.0, 3.0], abs=1e-9)


def test_a_restarted_rank_knows_that_it_is_and_its_old_messages_say_so() -> None:
    def program(port: Any, shard: Any) -> Any:
        if port.worker == 1:
            for clock in range(8):
                port.push(port.message(np.zeros(1), clock=clock))
                yield 1.0
            return port.incarnation
        lives = []
        while not lives or lives[-1] != (1, 7):
            yield WAIT
            lives += [(message.incarnation, message.clock) for message in port.poll()]
        return lives

    lives, ended = Simulated(2, compute=1.0, faults=(Crash(worker=1, at=3.5, down=1.0),)).run(program, ROWS)
    assert ended == 1
    assert lives == [(0, clock) for clock in range(4)] + [(1, clock) for clock in range(8)]


def test_serial_runs_one_rank() -> None:
    def program(port: Any, shard: Any) -> Any:
        yield
        return port.n_workers, port.neighbours, float(shard.rows().sum())

    assert Serial().run(program, ROWS) == [(1, (), 66.0)]


def test_the_work_of_a_step() -> None:
    assert (cost(None), cost(0), cost(2.5), cost(True)) == (1.0, 0.0, 2.5, 1.0)
    for wrong in ("soon", -1.0, math.nan, np.ones(2), [1.0]):
        with pytest.raises(ProblemError, match="yield the work of a step"):
            cost(wrong)


def test_time_boxes_become_work() -> None:
    from typing import NamedTuple

    class Query(NamedTuple):
        seconds: float
        allowance: float = math.inf

    assert within(Query(2.0), lambda seconds: 10.0 * seconds) == Query(2.0, 20.0)
    assert within(Query(math.inf), lambda seconds: 10.0 * seconds) == Query(math.inf)


def test_messages_say_who_they_are_from() -> None:
    port = BasePort(2, 5, 3, (1,))
    message = port.message(np.ones(1), kind="news", clock=4)
    assert message[:6] == (0, 2, 3, 2, 4, "news")
    assert port.message(np.ones(1), shard=9).shard == 9
    assert port.allowance(100, 1.0) == math.inf
