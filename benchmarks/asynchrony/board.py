"""An update of the board: microseconds from 10 to 10,000 workers."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.asynchrony.common import Outcome
from offbeat.sideways.board import Board
from offbeat.sideways.messages import Message

SIZE = 1000
UPDATES = 20_000


def measure() -> Outcome:
    """Time of an arrival and a look at the sum, in real time, and additions of arrays an arrival."""
    rng = np.random.default_rng(0)
    rows = []
    for n in (10, 100, 1_000, 10_000):
        board = Board(n, exact=False)
        payloads = rng.standard_normal((64, SIZE))
        for shard in range(n):
            board.put(Message(0, shard, 0, shard, 1, "step", payloads[shard % 64]))
        board.total()
        started = time.perf_counter()
        for i in range(UPDATES):
            shard = i % n
            board.put(Message(0, shard, 0, shard, 2 + i // n, "step", payloads[i % 64]))
            board.total()
        rows.append((n, 1e6 * (time.perf_counter() - started) / UPDATES))
    title = f"An update of the board, {SIZE:,} numbers a contribution"
    return Outcome(title, ("workers", "microseconds an update"), rows, [])
