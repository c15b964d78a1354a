"""Which engine ``auto`` takes: threads where there is enough to do for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from offbeat import Problem, losses, penalties
from offbeat.data.load import as_dataset
from offbeat.fit import choice


def rows(n: int, k: int, density: float | None = None) -> Any:
    if density is None:
        return np.zeros((n, k))
    return sparse.random_array((n, k), density=density, format="csr", rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("X", "outputs", "name"),
    [
        (rows(2_000, 50), 1, "serial"),
        (rows(2_000, 50), 3, "serial"),  # all outputs are one product of matrices
        (rows(4_000, 50), 1, "threads"),
        (rows(40_000, 1_000, 0.01), 1, "serial"),  # 400,000 stored values
        (rows(40_000, 1_000, 0.01), 3, "threads"),
        (rows(80_000, 1_000, 0.01), 1, "threads"),
    ],
)
def test_threads_where_there_is_enough_to_do(monkeypatch: pytest.MonkeyPatch, X: Any, outputs: int, name: str) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    for limit in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):  # Dask sets the first when it starts workers
        monkeypatch.delenv(limit, raising=False)
    dataset = as_dataset(X, np.zeros(X.shape[0]))
    assert choice.engine(dataset, "auto", outputs).name == name


@pytest.mark.parametrize(
    ("X", "penalty", "staleness", "name"),
    [
        (rows(2_000, 50), penalties.L2(0.1), 0.0, "interior-point"),
        (rows(50, 1_000), penalties.L1(0.1), 0.0, "interior-point"),
        (rows(2_000, 300, 0.01), penalties.ElasticNet(0.1), 0.0, "interior-point"),
        (rows(2_000, 50), penalties.L2(0.1), 1.0, "admm"),
        (rows(2_000, 50), penalties.Zero(), 0.0, "admm"),
        (rows(2_000, 50), penalties.L2(0.1, weights=[0.0] + 49 * [1.0]), 0.0, "admm"),
        (rows(50, 1_001), penalties.L2(0.1), 0.0, "sdca"),
        (rows(2_000, 600, 0.01), penalties.L2(0.1), 0.0, "sdca"),
        (rows(30_000, 900), penalties.L2(0.1), 0.0, "sdca"),  # summing a matrix would take too long
    ],
)
def test_what_a_hinge_is_solved_by(X: Any, penalty: Any, staleness: float, name: str) -> None:
    dataset = as_dataset(X, np.zeros(X.shape[0]))
    solver, reason = choice.solver(Problem(losses.Hinge(), penalty), dataset, "auto", staleness=staleness)
    assert solver.name == name
    assert "hinge loss has a kink" in reason
