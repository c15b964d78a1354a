"""Gangs: programs side by side on every engine, how they end, and what becomes of lost ranks."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from offbeat import topology
from offbeat.data.load import as_dataset
from offbeat.engines import Serial, Simulated, Threads
from offbeat.engines.base import Listener
from offbeat.engines.faults import Crash, Duplicate, Partition, Pause, SlowDisk
from offbeat.errors import ProblemError
from offbeat.sideways import WAIT
from offbeat.sideways.messages import Row

ROWS = np.arange(24.0).reshape(12, 2)
ENGINES = [Serial(), Threads(1), Threads(3), Simulated(1), Simulated(4), Simulated(3, straggler={0: 10.0}, seed=1)]


def total(port: Any, shard: Any) -> Any:
    """Return the sum of everything, and how many steps that took."""
    own = float(shard.rows().sum())
    yield shard.n_rows / 12
    port.push(port.message(np.array([own])))
    heard: dict[int, float] = {port.worker: own}
    while len(heard) < port.n_workers:
        yield WAIT
        heard |= {message.worker: message.payload[0] for message in port.poll()}
    return sum(heard.values())


def shards(count: int) -> Any:
    return as_dataset(ROWS, None).shards(count)


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
def test_every_rank_returns_its_result(engine: Any) -> None:
    assert engine.run(total, ROWS) == [ROWS.sum()] * engine.n_workers


@pytest.mark.parametrize("make", [Threads, Simulated])
def test_there_are_no_more_ranks_than_rows(make: Any) -> None:
    assert make(5).run(total, ROWS[:3]) == [ROWS[:3].sum()] * 3


@pytest.mark.parametrize("engine", [Threads(3), Simulated(3)], ids=repr)
def test_a_gang_may_end_with_its_lead(engine: Any) -> None:
    closed = []

    def program(port: Any, shard: Any) -> Any:
        try:
            port.push(port.message(np.zeros(1)))
            heard: set[int] = set()
            while port.worker or len(heard) < 2:
                yield
                heard |= {message.worker for message in port.poll()}
        finally:
            closed.append(port.worker)
        return "led"

    results = engine.gang(program, shards(3), topology.Broadcast(), Listener(lead_ends=True))
    assert results == ["led", None, None]
    assert sorted(closed) == [0, 1, 2]


@pytest.mark.parametrize("engine", [Threads(3), Simulated(3)], ids=repr)
def test_a_gang_can_be_cancelled_while_all_wait(engine: Any) -> None:
    steps: list[Row] = []

    def program(port: Any, shard: Any) -> Any:
        yield
        port.record(Row(port.now(), worker=port.worker))
        while True:
            yield WAIT if port.worker else 1.0

    listener = Listener(record=steps.append, cancelled=lambda: len(steps) == 3, lead_ends=True)
    assert engine.gang(program, shards(3), topology.Broadcast(), listener) == [None] * 3
    assert sorted(row.worker for row in steps) == [0, 1, 2]


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
def test_what_a_program_raises_reaches_the_caller_with_its_rank(engine: Any) -> None:
    last = engine.n_workers - 1

    def program(port: Any, shard: Any) -> Any:
        yield
        if port.worker == last:
            raise KeyError("mine")
        yield WAIT if port.worker % 2 else 1.0
        while True:
            yield

    before = threading.active_count()
    with pytest.raises(KeyError, match="mine") as caught:
        engine.run(program, ROWS)
    assert caught.value.__notes__ == [f"raised by rank {last}"]
    assert threading.active_count() == before


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
def test_a_function_that_never_yields_is_refused(engine: Any) -> None:
    before = threading.active_count()
    with pytest.raises(ProblemError, match=r"must be a generator function: yield at the end of each step"):
        engine.run(lambda port, shard: 3, ROWS)
    assert threading.active_count() == before


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
@pytest.mark.parametrize("said", ["soon", -1.0])
def test_what_is_no_work_is_refused(engine: Any, said: Any) -> None:
    def program(port: Any, shard: Any) -> Any:
        yield said

    with pytest.raises(ProblemError, match=r"a program yielded .*; yield the work of a step"):
        engine.run(program, ROWS)


def test_a_gang_that_waits_for_nothing_is_told_so_in_a_simulation() -> None:
    def program(port: Any, shard: Any) -> Any:
        if port.worker:
            yield WAIT

    with pytest.raises(ProblemError, match=r"ranks \[1, 2\] wait for messages, and none is on its way"):
        Simulated(3).run(program, ROWS)


# faults -------------------------------------------------------------------------------------------------------------
def beat(port: Any, shard: Any) -> Any:
    """Make ten steps; return the life, and when it ended."""
    for _ in range(10):
        yield 1.0
    return port.incarnation, round(port.now(), 6)


def test_a_restarted_rank_begins_anew() -> None:
    results = Simulated(3, compute=1.0, faults=(Crash(worker=1, at=4.5, down=2.0),)).run(beat, ROWS)
    assert results == [(0, 10.0), (1, 16.5), (0, 10.0)]


def test_a_rank_that_has_ended_is_not_begun_again() -> None:
    assert Simulated(2, compute=1.0, faults=(Crash(worker=1, at=30.0, down=1.0),)).run(beat, ROWS)[1] == (0, 10.0)


def test_a_rank_whose_machine_is_lost_for_good_goes_on_elsewhere() -> None:
    crash = Crash(worker=2, at=4.5, down=float("inf"))
    results = Simulated(3, compute=1.0, faults=(crash,)).run(beat, ROWS)
    lives, ends = zip(*results, strict=True)
    assert lives == (0, 0, 1)
    assert ends[1] == 10.0
    # machine 0 had 5 steps done by then (one under way), the other 5 at half speed: the two share it until rank 0 ends
    assert 14.0 <= ends[0] <= 16.0
    assert 19.0 <= ends[2] <= 4.5 + 20.0
    (loaded,) = {end for _, end in Simulated(3, compute=1.0, faults=(crash, SlowDisk(5.0))).run(beat, ROWS)[2:]}
    assert loaded == pytest.approx(ends[2] + 5.0, abs=2.5)  # it had to load the rows; rank 0 was out of the way sooner


def test_ranks_that_nobody_is_left_for_are_named() -> None:
    faults = tuple(Crash(worker, at=4.5, down=float("inf")) for worker in range(2))
    with pytest.raises(ProblemError, match=r"ranks \[0, 1\]"):
        Simulated(2, compute=1.0, faults=faults).run(beat, ROWS)


def test_machines_that_pause_are_late_by_that() -> None:
    faults = (Pause(worker=0, at=2.5, seconds=4.0), Pause(worker=1, at=1.0, seconds=0.5, every=2.0))
    results = Simulated(3, compute=1.0, faults=faults).run(beat, ROWS)
    assert [end for _, end in results] == pytest.approx([14.0, 13.5, 10.0], abs=0.51)
    assert results[0][1] == 14.0


def test_a_partition_cuts_and_heals() -> None:
    def program(port: Any, shard: Any) -> Any:
        heard = []
        for clock in range(10):
            port.push(port.message(np.zeros(1), clock=clock))
            yield 1.0
            heard += [(message.worker, message.clock) for message in port.poll()]
        return heard

    faults = (Partition(workers=(0,), at=2.5, seconds=4.0),)
    heard = Simulated(3, compute=1.0, faults=faults).run(program, ROWS)
    inside = {clock for worker, clock in heard[0]}
    assert inside.isdisjoint(range(3, 7)) and {0, 1, 2, 7, 8} <= inside
    assert {clock for worker, clock in heard[1] if worker == 2} >= set(range(9))


def test_what_is_repeated_arrives_again() -> None:
    def program(port: Any, shard: Any) -> Any:
        port.push(port.message(np.zeros(1)))
        yield 10.0
        return len(port.poll())

    assert Simulated(2, faults=(Duplicate(1.0),)).run(program, ROWS) == [2, 2]


def test_slowed_threads_take_their_share_of_the_time() -> None:
    counts = [0, 0]

    def program(port: Any, shard: Any) -> Any:
        while counts[0] < 60:
            counts[port.worker] += 1
            end = port.now() + 0.002
            while port.now() < end:
                pass
            yield

    Threads(2, slowdown={1: 20.0}).run(program, ROWS)
    assert counts[1] < counts[0]
