"""Clients of other kinds: asynchronous ones, and those of clusters with TLS."""

import asyncio

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster, Security, futures_of

import offbeat
from offbeat import Problem, engines, losses, penalties
from offbeat.errors import DataError, ProblemError
from offbeat.linear_model import LogisticRegression

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-3))


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 4))
    return X, (X[:, 0] + rng.normal(size=600) > 0).astype(float)


def test_an_asynchronous_client(cluster, rows):
    X, y = rows

    async def main():
        async with Client(cluster.scheduler_address, asynchronous=True) as client:
            lazy = client.persist(da.from_array(X, chunks=(200, 4)))
            target = client.persist(da.from_array(y, chunks=200))
            fit = await asyncio.to_thread(offbeat.solve, RIDGE, lazy, target, engine=engines.Dask(client), tol=1e-6)
            model = await asyncio.to_thread(LogisticRegression(engine=engines.Dask(client)).fit, lazy, target)
            return fit, model

    fit, model = asyncio.run(main())
    np.testing.assert_allclose(fit.coef, offbeat.solve(RIDGE, X, y, tol=1e-8).coef, atol=1e-3)
    assert model.certificate_.satisfied


def test_an_asynchronous_client_in_its_own_loop(cluster, rows):
    async def main():
        async with Client(cluster.scheduler_address, asynchronous=True) as client:
            with pytest.raises(ProblemError, match=r"asyncio\.to_thread"):
                offbeat.solve(RIDGE, *rows, engine=engines.Dask(client))

    asyncio.run(main())


@pytest.fixture(params=["arrays", "frame"])
def elsewhere(request, cluster, rows):
    """A client that is not the current one, with rows on its cluster; of a frame, targets are a column."""
    X, y = rows
    with Client(cluster, set_as_default=False) as client:
        if request.param == "frame":
            table = pd.DataFrame(X, columns=list("abcd")).assign(y=y)
            yield client, client.persist(dd.from_pandas(table, npartitions=3)), "y"
        else:
            yield client, *client.persist([da.from_array(X, chunks=(200, 4)), da.from_array(y, chunks=200)])


@pytest.mark.parametrize("given", [True, False], ids=["given", "of the data"])
def test_a_client_that_is_not_the_current_one(elsewhere, rows, given):
    client, X, y = elsewhere
    fit = offbeat.solve(RIDGE, X, y, tol=1e-6, **({"engine": engines.Dask(client)} if given else {}))
    np.testing.assert_allclose(fit.coef, offbeat.solve(RIDGE, *rows, tol=1e-8).coef, atol=1e-3)
    assert fit.trace.metadata["engine"] == "dask"
    assert len(client.who_has(futures_of(X))) == 3  # still there


def test_data_of_another_cluster(elsewhere):
    with (
        Client(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as other,
        pytest.raises(DataError, match="the data lies on the Dask cluster at tcp://"),
    ):
        offbeat.solve(RIDGE, *elsewhere[1:], engine=engines.Dask(other))


def test_a_cluster_with_tls(rows):
    pytest.importorskip("cryptography")
    X, y = rows
    security = Security.temporary()
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, security=security, dashboard_address="127.0.0.1:0") as made,
        Client(made) as client,
    ):
        assert made.scheduler_address.startswith("tls://")
        lazy = da.from_array(X, chunks=(200, 4))
        fit = offbeat.solve(RIDGE, lazy, y, engine=engines.Dask(client), tol=1e-6)
    np.testing.assert_allclose(fit.coef, offbeat.solve(RIDGE, X, y, tol=1e-8).coef, atol=1e-3)


def test_a_client_that_is_closed(cluster, rows):
    client = Client(cluster)
    client.close()
    with pytest.raises(ProblemError, match="the Dask client is closed"):
        offbeat.solve(RIDGE, *rows, engine=engines.Dask(client))
