"""Fits inside tasks: each thread of the cluster may run one, and each waits for others."""

import numpy as np
import pytest

import offbeat
from offbeat import engines
from support import tasks

LONG = 60.0  # seconds until a test gives up


@pytest.fixture(scope="module")
def coef():
    return offbeat.solve(tasks.RIDGE, *tasks.rows(), tol=1e-8).coef


@pytest.mark.parametrize(
    "task",
    [
        tasks.plain,
        tasks.after_get_client,
        tasks.with_get_client,
        tasks.with_worker_client,
        tasks.in_the_pool,
        tasks.after_secede,
        tasks.after_rejoin,
        tasks.in_a_thread,
        tasks.in_a_thread_with_a_client,
    ],
    ids=lambda task: task.__name__,
)
def test_a_fit_inside_a_task(client, coef, task):
    """As many at once as there are threads, and one more."""
    futures = [client.submit(task, pure=False) for _ in range(3)]
    for future in futures:
        np.testing.assert_allclose(future.result(timeout=LONG), coef, atol=1e-2)


def test_a_fit_in_the_loop_of_a_worker_is_refused(client):
    said = client.submit(tasks.in_the_loop, pure=False).result(timeout=LONG)
    assert "use await asyncio.to_thread" in said


def test_an_engine_that_travels_with_its_task(client, coef):
    engine = engines.Dask(client)
    futures = [client.submit(tasks.with_a_stored_engine, engine, pure=False) for _ in range(3)]
    for future in futures:
        np.testing.assert_allclose(future.result(timeout=LONG), coef, atol=1e-2)
