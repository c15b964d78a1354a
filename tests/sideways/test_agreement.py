"""Agreement: ranks end at one fixed point, whatever the network does, and never before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offbeat.engines import Simulated, Threads
from offbeat.engines.faults import Crash, Delay, Duplicate, Pause
from offbeat.sideways import WAIT, Agreement

TOL = 1e-10
FAULTS = {
    "none": (),
    "repeated": (Duplicate(0.5),),
    "overtaking": (Delay(0.5, seconds=0.2), Duplicate(0.2)),
    "paused": (Pause(worker=2, at=0.01, seconds=0.3), Delay(0.2, seconds=0.1)),
    "restarted": (Crash(worker=1, at=0.035, down=0.05), Duplicate(0.2), Delay(0.3, seconds=0.02)),
    "twice": (Crash(worker=0, at=0.02, down=0.05), Crash(worker=3, at=0.05, down=0.0)),
}


def contraction(size: int, seed: int) -> np.ndarray:
    """Return a matrix whose rows have sum 0.7, and a last column of constants."""
    rng = np.random.default_rng(seed)
    matrix = rng.random((size, size))
    return np.column_stack([0.7 * matrix / matrix.sum(axis=1, keepdims=True), rng.standard_normal(size)])


def iterate(port: Any, shard: Any) -> Any:
    """Return the rank's part of ``x = M x + c``, the whole of x as this rank knows it, and its restarts."""
    rows, own = np.asarray(shard.rows()), slice(shard.start, shard.stop)
    x, agreement = np.zeros(rows.shape[1] - 1), Agreement(port)
    while True:
        for _, part in agreement.poll():
            first = int(part[0])
            x[first : first + len(part) - 1] = part[1:]
        new = rows[:, :-1] @ x + rows[:, -1]
        changed = bool(np.abs(new - x[own]).max() > TOL)
        if changed:
            x[own] = new
        agreement.push(np.concatenate([[shard.start], x[own]]), changed=changed)
        if agreement.over:
            return x[own], x.copy(), port.incarnation
        yield 1.0 if changed else WAIT


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("faults", FAULTS)
def test_all_ranks_end_at_the_same_fixed_point(faults: str, seed: int) -> None:
    data = contraction(13, seed)
    parts, views, lives = zip(*Simulated(4, faults=FAULTS[faults], seed=seed).run(iterate, data), strict=True)
    x = np.concatenate(parts)
    for view in views:
        np.testing.assert_array_equal(view, x)
    assert np.abs(data[:, :-1] @ x + data[:, -1] - x).max() <= TOL
    assert max(lives) == (faults in ("restarted", "twice"))


@pytest.mark.parametrize("n_workers", [1, 2, 5])
def test_threads_end_too(n_workers: int) -> None:
    data = contraction(11, 0)
    x = np.concatenate([part for part, _, _ in Threads(n_workers).run(iterate, data)])
    assert np.abs(data[:, :-1] @ x + data[:, -1] - x).max() <= TOL


def test_what_has_not_changed_is_not_sent_again() -> None:
    sent: list[Any] = []

    class Port:
        worker, n_workers, incarnation = 0, 2, 0

        def push(self, message: Any, to: Any = None) -> None:
            sent.append((message, to))

        def poll(self) -> list[Any]:
            return []

        def message(self, payload: Any, *, clock: int = 0) -> Any:
            return payload, clock

    agreement = Agreement(Port())  # type: ignore[arg-type]
    for changed in (True, False, False, False):
        agreement.push(np.array([7.0]), changed=changed)
    assert [to for _, to in sent] == [(1,), (1,)]  # the part, and that it stays
    assert not agreement.over
