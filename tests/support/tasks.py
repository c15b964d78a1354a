"""Fits inside Dask tasks, in all the ways in which a task can get at a client: workers can import this."""

from __future__ import annotations

import asyncio
from typing import Any

import dask.array as da
import numpy as np
from distributed import get_client, rejoin, secede, worker_client

import offbeat
from offbeat import Problem, engines, losses, penalties
from offbeat.errors import ProblemError
from offbeat.linear_model import LogisticRegression

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-2))


def rows() -> tuple[Any, Any]:
    """Return features and targets."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    return X, (X[:, 0] + rng.normal(size=300) > 0).astype(float)


def lazy() -> tuple[Any, Any]:
    """Return them in chunks."""
    X, y = rows()
    return da.from_array(X, chunks=(100, 3)), da.from_array(y, chunks=100)


def fit(**settings: Any) -> Any:
    """Return the coefficients of a fit of chunks."""
    found = offbeat.solve(RIDGE, *lazy(), tol=1e-6, **settings)
    assert found.trace.metadata["engine"] == "dask"
    return found.coef


def sent(client: Any) -> Any:
    """Return those of a fit of rows that are sent from the task."""
    return offbeat.solve(RIDGE, *rows(), tol=1e-6, engine=engines.Dask(client)).coef


def plain() -> Any:
    """Leave it to the engine."""
    return fit()


def after_get_client() -> Any:
    """Ask for a client first."""
    get_client()
    return fit()


def with_get_client() -> Any:
    """Give it."""
    return sent(get_client())


def with_worker_client() -> Any:
    """Use the context, which leaves the pool and comes back; then once more."""
    with worker_client() as client:
        sent(client)
        fit()
    return fit()


def in_the_pool() -> Any:
    """Use the context without leaving the pool."""
    with worker_client(separate_thread=False) as client:
        return sent(client)


def after_secede() -> Any:
    """Leave the pool first."""
    secede()
    return fit()


def after_rejoin() -> Any:
    """Come back between two fits."""
    fit()
    rejoin()
    return fit()


def with_a_stored_engine(engine: Any) -> Any:
    """Fit with an engine that came with the task."""
    return offbeat.solve(RIDGE, *rows(), tol=1e-6, engine=engine).coef


async def in_a_thread() -> Any:
    """Be a coroutine, and fit in a thread."""
    return await asyncio.to_thread(fit)


async def in_a_thread_with_a_client() -> Any:
    """The same, with a client that was made in the loop."""
    return await asyncio.to_thread(sent, get_client())


async def in_the_loop() -> Any:
    """Be a coroutine, and fit in the loop: that must be refused."""
    try:
        return fit()
    except ProblemError as error:
        return str(error)


def fitted(model: LogisticRegression) -> LogisticRegression:
    """Fit an estimator that came with the task."""
    return model.fit(*rows())
