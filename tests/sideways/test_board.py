"""The board keeps the newest contribution of each shard and their sum, whatever arrives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.sideways.board import RESUM_EVERY, Board
from offbeat.sideways.messages import Message


def message(shard: int, clock: int, value: float, *, incarnation: int = 0, run: int = 0) -> Message:
    """Return a contribution of two equal numbers."""
    return Message(run, shard, incarnation, shard, clock, "step", np.full(2, value))


def test_newest_contribution_wins_in_any_order() -> None:
    board = Board(1)
    assert board.put(message(0, 2, 5.0))
    assert not board.put(message(0, 1, 7.0))
    assert not board.put(message(0, 2, 7.0))
    np.testing.assert_array_equal(board.total(), [5.0, 5.0])


def test_a_new_life_overwrites_and_fences_the_old() -> None:
    board = Board(1)
    board.put(message(0, 9, 1.0))
    assert board.put(message(0, 1, 2.0, incarnation=1))
    assert not board.put(message(0, 10, 3.0, incarnation=0))
    np.testing.assert_array_equal(board.total(), [2.0, 2.0])


def test_messages_of_another_run_are_refused() -> None:
    board = Board(1, run=4)
    assert not board.put(message(0, 1, 1.0, run=3))
    assert not board.complete


def test_complete_when_every_shard_has_reported() -> None:
    board = Board(2)
    board.put(message(0, 1, 1.0))
    board.put(message(0, 2, 1.0))
    assert not board.complete
    board.put(message(1, 1, 1.0))
    assert board.complete
    assert board.clock(0) == 2


def test_exact_sum_does_not_depend_on_the_order_of_arrival() -> None:
    values = np.random.default_rng(0).standard_normal(50) * 10.0 ** np.arange(-25, 25)
    totals = []
    for order in (range(50), reversed(range(50))):
        board = Board(50)
        for shard in order:
            board.put(message(shard, 1, values[shard]))
        totals.append(board.total())
    np.testing.assert_array_equal(totals[0], totals[1])


def test_contributions_may_change_length() -> None:
    board = Board(1, exact=False)
    board.put(message(0, 1, 1.0))
    board.total()
    board.put(Message(0, 0, 0, 0, 2, "step", np.ones(5)))
    np.testing.assert_array_equal(board.total(), np.ones(5))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1), st.integers(0, 30), st.floats(-1e6, 1e6)), max_size=60))
def test_running_sum_equals_the_sum_of_the_slots(arrivals: list[tuple[int, int, int, float]]) -> None:
    board = Board(5, exact=False)
    newest: dict[int, tuple[int, int, float]] = {}
    for shard, life, clock, value in arrivals:
        board.put(message(shard, clock, value, incarnation=life))
        if shard not in newest or (life, clock) > newest[shard][:2]:
            newest[shard] = (life, clock, value)
        expected = sum(v for _, _, v in newest.values())
        np.testing.assert_allclose(board.total(), expected, atol=1e-6)


def test_rounding_does_not_drift() -> None:
    board = Board(2, exact=False)
    board.put(message(1, 1, 1.0))
    for clock in range(1, 4 * RESUM_EVERY):  # the last arrival is one at which the sum is taken anew
        board.put(message(0, clock, 1.0 if clock % 2 else 1e16))
        board.total()
    assert board.total()[0] == 2.0


@pytest.mark.parametrize("shard", [-1, 2, 1 << 40])
def test_shards_that_the_run_does_not_have_are_refused(shard: int) -> None:
    board = Board(2)
    assert not board.put(Message(0, 0, 0, shard, 1, "step", np.ones(1)))
    assert board.heard == 0.0 and board.slot(1) is None
