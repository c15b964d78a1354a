"""The schedule, driven by hand: who runs what, whose answer counts, what moves to whom."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbeat.sideways.flights import Flight
from offbeat.sideways.messages import CERTIFY, STEP, Message
from offbeat.sideways.schedule import Schedule, Stealing

TAKE = Stealing(patience=2.0)


def answer(flight: Flight, worker: int | None = None) -> Message:
    by = flight.worker if worker is None else worker
    return Message(0, by, 0, flight.shard, flight.clock, "step", np.zeros(1), role=flight.role)


def started(schedule: Schedule, now: float = 0.0) -> dict[int, tuple[int, int]]:
    """Start what can be started; return shard and clock by worker."""
    return {flight.worker: (flight.shard, flight.clock) for flight in schedule.assign(now)}


def at(schedule: Schedule, worker: int) -> Flight | None:
    """Return what a worker is at: the first of what it has been asked for."""
    return next(iter(schedule.workers[worker].values()), None)


def finish(schedule: Schedule, worker: int, now: float = 0.0) -> bool:
    """Have a worker answer what it is at."""
    flight = at(schedule, worker)
    assert flight is not None
    return schedule.arrived(answer(flight), now)


# the staleness rule -------------------------------------------------------------------------------------------------
def test_with_a_barrier_nobody_begins_a_round_before_all_have_ended_the_last() -> None:
    schedule = Schedule(4, 2)
    assert started(schedule) == {0: (0, 1), 1: (2, 1)}
    assert finish(schedule, 0)
    assert started(schedule) == {0: (1, 1)}
    assert finish(schedule, 0)
    assert started(schedule) == {} and not schedule.level
    assert finish(schedule, 1)
    assert started(schedule) == {1: (3, 1)}
    assert finish(schedule, 1)
    assert schedule.level
    assert started(schedule) == {0: (0, 2), 1: (2, 2)}


@pytest.mark.parametrize("staleness", [0.0, 1.0, 3.0, math.inf])
def test_a_shard_is_ahead_by_the_staleness_and_no_further(staleness: float) -> None:
    schedule = Schedule(3, 3, staleness=staleness)
    begun = [clock for shard, clock in started(schedule).values() if shard < 2]
    for _ in range(20):  # workers 0 and 1 never stop, worker 2 never answers
        for worker in (0, 1):
            if at(schedule, worker) is not None:
                finish(schedule, worker)
        begun += [clock for shard, clock in started(schedule).values() if shard < 2]
    assert max(begun) == (staleness + 1 if math.isfinite(staleness) else 21)
    assert schedule.homes.clocks[2] == 0
    finish(schedule, 2)
    assert len(started(schedule)) == (3 if math.isfinite(staleness) else 1)  # one round more for those that waited


def test_concurrency_of_one_visits_the_shards_one_after_another() -> None:
    schedule, visited = Schedule(4, 4, staleness=math.inf, concurrency=1), []
    for _ in range(12):
        (worker, step), *none = started(schedule).items()
        assert not none
        visited.append(step)
        finish(schedule, worker)
    assert visited == [(shard, clock) for clock in (1, 2, 3) for shard in range(4)]


@settings(max_examples=40)
@given(st.data())
def test_every_answer_counts_once_whatever_happens(draw: Any) -> None:
    staleness = draw.draw(st.sampled_from([0.0, 1.0, math.inf]))
    stealing = draw.draw(st.sampled_from([None, TAKE]))
    n_workers = draw.draw(st.integers(1, 4))
    schedule = Schedule(6, n_workers, staleness=staleness, stealing=stealing, retry=4.0, usual=1.0)
    counted, now, alive = Counter[int](), 0.0, set(range(n_workers))
    for _ in range(draw.draw(st.integers(20, 120))):
        now += draw.draw(st.sampled_from([0.0, 0.5, 3.0]))
        for flight in schedule.assign(now):
            assert schedule.workers[flight.worker][flight.key] == flight
        assert len(schedule.flights) == sum(map(len, schedule.workers.values()))
        busy = sorted(worker for worker, flights in schedule.workers.items() if flights)
        event = draw.draw(st.sampled_from(["answer"] * 6 + ["twice", "lose", "join"]))
        if event in ("answer", "twice") and busy:
            flights = schedule.workers[draw.draw(st.sampled_from(busy))]
            flight = draw.draw(st.sampled_from(sorted(flights.values())))
            counted[flight.shard] += schedule.arrived(answer(flight), now)
            if event == "twice":
                assert not schedule.arrived(answer(flight), now)
        elif event == "lose" and len(alive) > 1:
            alive.remove(gone := draw.draw(st.sampled_from(sorted(alive))))
            schedule.lost(gone)
        elif event == "join":
            alive.add(back := draw.draw(st.integers(0, n_workers)))
            schedule.joined(back)
        assert [counted[shard] for shard in range(6)] == schedule.homes.clocks
        assert max(schedule.homes.clocks) - min(schedule.homes.clocks) <= staleness + 1
        assert set(schedule.homes.of) <= alive
    target = max(schedule.homes.clocks) + 2
    for _ in range(500):  # and it always goes on
        now += 10.0
        for _ in schedule.assign(now):
            pass
        for flight in [flight for flights in schedule.workers.values() for flight in flights.values()]:
            schedule.arrived(answer(flight), now)
        if min(schedule.homes.clocks) >= target:
            return
    raise AssertionError(f"the schedule stands still at {schedule.homes.clocks}")


# stealing -----------------------------------------------------------------------------------------------------------
def test_pinned_shards_stay_where_they_are() -> None:
    schedule = Schedule(4, 2, usual=1.0)
    started(schedule)
    finish(schedule, 0), started(schedule), finish(schedule, 0)
    assert started(schedule, 1000.0) == {}
    assert schedule.next_look() == math.inf


def test_an_idle_worker_takes_a_waiting_shard_from_the_far_end() -> None:
    schedule = Schedule(6, 2, stealing=TAKE, usual=1.0)
    assert started(schedule) == {0: (0, 1), 1: (3, 1)}
    for own in (1, 2):
        finish(schedule, 0)
        assert started(schedule) == {0: (own, 1)}
    finish(schedule, 0)
    assert started(schedule) == {0: (5, 1)}
    finish(schedule, 0)
    assert started(schedule) == {0: (4, 1)}
    assert schedule.homes.of == [0, 0, 0, 1, 1, 1]  # borrowed: they are still at home with worker 1


def test_the_first_answer_for_a_shard_and_clock_wins() -> None:
    schedule = Schedule(2, 2, stealing=TAKE, usual=1.0)
    started(schedule)
    finish(schedule, 0, 1.0)
    assert started(schedule, 1.9) == {} and schedule.next_look() == 2.0
    schedule.wake()  # as the loop does when the time has come
    assert started(schedule, 2.0) == {0: (1, 1)}  # overdue: a second time, elsewhere
    slow, thief = at(schedule, 1), at(schedule, 0)
    assert slow is not None and thief is not None
    assert schedule.arrived(answer(thief), 2.5)
    assert schedule.homes.clocks == [1, 1] and schedule.level
    assert not schedule.arrived(answer(slow), 9.0)  # dropped
    assert schedule.homes.clocks == [1, 1]
    assert not schedule.workers[1]  # but it is free again
    assert started(schedule, 9.0) == {0: (0, 2), 1: (1, 2)}


def test_the_owner_may_still_be_first() -> None:
    schedule = Schedule(2, 2, stealing=TAKE, usual=1.0)
    started(schedule)
    finish(schedule, 0)
    started(schedule, 5.0)
    thief = at(schedule, 0)
    assert finish(schedule, 1, 5.5)
    assert thief is not None and not schedule.arrived(answer(thief), 6.0)
    assert schedule.homes.clocks == [1, 1]


def test_no_more_than_two_workers_are_at_a_step() -> None:
    schedule = Schedule(3, 3, stealing=TAKE, usual=1.0)
    started(schedule)
    finish(schedule, 0), finish(schedule, 1)
    assert list(started(schedule, 100.0).values()) == [(2, 1)]
    schedule.wake()
    assert started(schedule, 1e6) == {}
    schedule.lost(2)  # of the two, one is gone; a third may try
    assert list(started(schedule, 2e6).values()) == [(2, 1)]


def test_without_a_barrier_lagging_shards_come_before_ones_own() -> None:
    schedule = Schedule(4, 2, staleness=math.inf, stealing=TAKE, usual=1e9)
    started(schedule)
    taken = []
    for _ in range(7):
        finish(schedule, 0)
        taken += started(schedule).values()
    assert (3, 1) in taken  # of worker 1, which never answers
    assert schedule.homes.clocks[3] >= 1 and schedule.homes.clocks[2] == 0


# asking again -------------------------------------------------------------------------------------------------------
def test_a_lost_message_is_asked_for_again_each_time_later() -> None:
    schedule = Schedule(1, 1, retry=2.0, usual=1.0)
    started(schedule)
    asked = []
    for _ in range(5):
        due = schedule.next_look()
        assert list(schedule.assign(due - 1e-6)) == []
        (flight,) = schedule.assign(due)
        assert (flight.shard, flight.clock, flight.worker) == (0, 1, 0)
        asked.append(due)
    assert asked == [2.0, 6.0, 14.0, 22.0, 30.0]
    assert finish(schedule, 0, 31.0)


def test_the_usual_time_is_the_median_of_what_was_seen() -> None:
    schedule = Schedule(8, 8, staleness=math.inf, stealing=TAKE, usual=50.0)
    started(schedule)
    assert schedule.flights.usual() == 50.0
    for worker, now in enumerate((1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 90.0)):
        finish(schedule, worker, now)
    assert schedule.flights.usual() == 2.0
    barrier = Schedule(2, 2, usual=50.0)
    started(barrier)
    finish(barrier, 0, 3.0), finish(barrier, 1, 3.0)
    assert barrier.flights.usual() == 3.0
    barrier.new_round()
    assert barrier.flights.usual() == 50.0


# comings and goings -------------------------------------------------------------------------------------------------
def test_what_a_lost_worker_was_doing_is_done_by_others() -> None:
    schedule = Schedule(4, 2)
    started(schedule)
    schedule.lost(1)
    assert schedule.homes.of == [0, 0, 0, 0]
    done = set()
    for _ in range(4):
        done.add(at(schedule, 0))
        finish(schedule, 0)
        started(schedule)
    assert {flight.shard for flight in done if flight is not None} == {0, 1, 2, 3}
    schedule.joined(1)
    assert schedule.homes.of == [0, 0, 1, 1]


def test_an_answer_of_a_worker_that_was_lost_meanwhile_still_counts_once() -> None:
    schedule = Schedule(2, 2)
    started(schedule)
    late = at(schedule, 1)
    schedule.lost(1)
    assert late is not None and schedule.arrived(answer(late), 1.0)
    assert schedule.homes.clocks == [0, 1]


def test_a_newcomer_gets_an_even_share() -> None:
    schedule = Schedule(8, 2, staleness=math.inf)
    schedule.joined(2)
    assert Counter(schedule.homes.of)[2] in (2, 3)
    assert max(Counter(schedule.homes.of).values()) == 3
    (flight,) = [f for f in schedule.assign(0.0) if f.worker == 2]
    assert schedule.homes.of[flight.shard] == 2


# certificates -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("stealing", [None, TAKE])
def test_what_is_asked_for_comes_before_steps_and_old_answers_do_not_count(stealing: Any) -> None:
    schedule = Schedule(4, 2, staleness=math.inf, stealing=stealing, usual=1e9)
    started(schedule)
    schedule.ask(7)
    assert not schedule.arrived(Message(0, 0, 0, 0, 6, "", np.zeros(1), role=CERTIFY), 0.0)  # of the one before
    asked, counted = [], []
    for _ in range(6):
        for worker in (0, 1):
            finish(schedule, worker)
        for flight in schedule.assign(0.0):
            if flight.role == CERTIFY:
                assert flight.clock == 7
                asked.append(flight.shard)
                counted.append(flight)
    assert sorted(asked) == [0, 1, 2, 3]
    assert asked[:2] == [0, 2]
    stale = counted[0]._replace(clock=6)
    assert not schedule.arrived(answer(stale), 1.0)
    assert not schedule.arrived(answer(counted[0]), 1.0)  # each counts once
    assert all(key[2] == STEP for flights in schedule.workers.values() for key in flights)


def test_an_evaluation_that_got_lost_with_its_worker_is_asked_of_another() -> None:
    schedule = Schedule(2, 2, staleness=math.inf)
    schedule.ask(1)
    first = [(flight.shard, flight.role) for flight in schedule.assign(0.0)]
    assert first == [(0, CERTIFY), (1, CERTIFY)]
    schedule.lost(1)
    finish(schedule, 0)
    (again,) = schedule.assign(0.0)
    assert (again.shard, again.role, again.worker) == (1, CERTIFY, 0)
    assert schedule.arrived(answer(again), 1.0)


# a network that loses messages --------------------------------------------------------------------------------------
def test_a_worker_has_several_steps_before_it_where_messages_can_be_lost() -> None:
    schedule = Schedule(4, 1, staleness=math.inf, retry=2.0, usual=1.0)
    assert [flight.shard for flight in schedule.assign(0.0)] == [0, 1, 2]
    assert Schedule(4, 1, retry=2.0, usual=1.0).depth == Schedule(4, 1, staleness=math.inf).depth == 1


def test_what_was_overtaken_is_asked_for_again_at_once() -> None:
    schedule = Schedule(4, 1, staleness=math.inf, retry=2.0, usual=1.0)
    flights = list(schedule.assign(0.0))
    assert schedule.arrived(answer(flights[1]), 0.5)
    again, new = schedule.assign(0.5)
    assert (again.key, again.asked, again.last) == (flights[0].key, 2, 0.5)
    assert (new.shard, new.asked) == (3, 1)
    late = answer(again)._replace(duration=0.5)
    assert schedule.arrived(late, 0.6)  # it was asked for after the third: that one may still be under way
    assert all(flight.asked == 1 for flight in schedule.assign(0.6))


def test_what_an_idle_worker_has_not_heard_of_is_asked_for_again_at_once() -> None:
    schedule = Schedule(4, 2, staleness=math.inf, retry=2.0, usual=1.0)
    first = [flight.key for flight in schedule.assign(0.0) if flight.worker == 0]
    schedule.idle(0, 0.3)
    assert [(flight.key, flight.asked) for flight in schedule.assign(0.4)] == [(key, 2) for key in first]
    schedule.idle(0, 0.3)  # sent before the questions were repeated
    assert list(schedule.assign(0.5)) == []
    schedule.idle(7, 0.3)  # of a worker that is not there any more
    assert list(schedule.assign(0.5)) == []


def test_nobody_is_woken_for_what_only_he_himself_is_at() -> None:
    schedule = Schedule(1, 2, staleness=math.inf, stealing=TAKE, retry=1e9, usual=1.0)
    started(schedule)
    schedule.lost(0 if schedule.workers[1] else 1)
    assert schedule.next_look() > 1e6


def test_a_worker_at_a_step_is_not_idle_although_it_could_have_another() -> None:
    schedule = Schedule(2, 2, staleness=math.inf, depth=2, stealing=Stealing(patience=20.0, least=5.0))
    started(schedule)
    finish(schedule, 0, 1.0)
    schedule.moving.ended(0, 1.0)
    schedule.moving.begins(0, 1)  # it holds the other's rows
    started(schedule, 1.0)
    assert schedule.moving.due(0, 1, 100.0) == 101.0


@pytest.mark.parametrize("staleness", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("concurrency", [2.0, math.inf])
def test_every_look_ahead_of_time_finds_something_to_start(staleness: float, concurrency: float) -> None:
    """Shards that move only after a while: the loop would otherwise spin until the slow worker answers."""
    rng = np.random.default_rng(0)
    schedule = Schedule(
        8, 2, staleness=staleness, depth=2, concurrency=concurrency, stealing=Stealing(patience=20.0, least=5.0)
    )
    now, planned = 0.0, 0
    for _ in range(600):
        started(schedule, now)
        look = schedule.next_look()
        if look <= now:
            schedule.wake()
            assert started(schedule, now)
            continue
        planned += math.isfinite(look)
        ready = now + rng.exponential(0.1 if at(schedule, 1) else 20.0)
        if ready < look:
            now = ready
            finish(schedule, 1 if at(schedule, 1) else 0, now)
        else:
            now = look + 1e-9
            schedule.wake()
    assert planned or math.isinf(staleness) or concurrency == 2.0
