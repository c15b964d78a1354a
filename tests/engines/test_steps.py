"""Steps of one worker that run at once, as on a Dask worker with several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from offbeat import Problem, losses, penalties, solvers
from offbeat.data.dataset import Dataset
from offbeat.data.shards import Point
from offbeat.engines.base import Steps
from offbeat.engines.serial import Serial
from offbeat.fit.inspection import Options, inspect
from offbeat.sideways.messages import CERTIFY, Run

PROBLEM = Problem(losses.Squared(), penalties.L2(1e-2))
K = 3


@dataclass
class Meeting:
    """Rows that are read into the caller's memory, where two readers wait for each other before they go on."""

    rows: np.ndarray
    meet: Barrier | None = field(default=None, compare=False)
    sparse = False
    resident = False

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows.shape

    @property
    def dtype(self) -> Any:
        """Of the rows."""
        return self.rows.dtype

    def read(self, start: int, stop: int, out: Any = None) -> Any:
        """Return rows, in ``out`` where that is given."""
        found = self.rows[start:stop]
        if out is not None:
            target = out[: found.size].reshape(found.shape)
            target[:] = found
            found = target
        if self.meet is not None:
            self.meet.wait(30.0)
        return found


@pytest.fixture
def rows(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return features and targets."""
    X = rng.standard_normal((200, K))
    return X, X[:, 0] + rng.standard_normal(200)


def test_evaluations_of_one_worker_at_once_share_no_memory(rows) -> None:
    """Each of two shards is evaluated on its own rows, though both are steps of worker 0."""
    X, y = rows
    shards = Dataset(Meeting(X, Barrier(2)), y).shards(2)
    steps, coef = Steps(solvers.ADMM(), PROBLEM, shards), np.array([0.5, -0.2, 0.1])
    point = Point(coef, np.zeros(1), np.zeros(K), repair=True)
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(steps.step, Run(i, 1, point, 0, CERTIFY), 0) for i in range(2)]
        payloads = [each.result(60.0).payload for each in made]
    for payload, half in zip(payloads, (slice(0, 100), slice(100, 200)), strict=True):
        residual = X[half] @ coef - y[half]
        np.testing.assert_allclose(payload[0], 0.5 * residual @ residual)
        np.testing.assert_allclose(payload[4 : 4 + K], X[half].T @ residual)


@pytest.mark.parametrize(
    "solver", [solvers.ADMM(), solvers.DelayedProximalGradient(), solvers.SAGA()], ids=lambda s: s.name
)
def test_a_local_state_belongs_to_one_execution(rows, solver) -> None:
    """A step that is asked for twice finds the state once: the other goes on from the contribution."""
    data = Dataset(Meeting(rows[0]), rows[1])
    shards = data.shards(1)
    steps, info = Steps(solver, PROBLEM, shards), inspect(PROBLEM, data, shards, Serial(), Options())
    _, query = solver.init_global(PROBLEM, info)
    first = steps.step(Run(0, 1, query, 0), 0)
    again = Run(0, 2, query, 0, contribution=first.payload, stamp=first.stamp)
    assert steps.take(again, 0) is not None
    assert steps.take(again, 0) is None
    assert steps.take(again._replace(role=CERTIFY), 0) is None
    assert steps.step(again, 0).stamp != first.stamp
