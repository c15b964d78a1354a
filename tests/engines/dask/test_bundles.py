"""Many small chunks are loaded as few."""

import dask.array as da
import numpy as np
import pytest
from distributed import Client
from scipy import sparse

from offbeat.engines.dask.bundles import EACH, bundled, bundles
from offbeat.engines.dask.given import features, vector
from offbeat.engines.dask.graphs import joint_graph
from offbeat.errors import DataError, TargetError
from offbeat.linear_model import LinearRegression

BETA = np.array([1.0, -2.0, 3.0])
N, THREADS = 400, 2


@pytest.fixture(scope="module")
def client():
    with Client(n_workers=1, threads_per_worker=THREADS, processes=False, dashboard_address="127.0.0.1:0") as made:
        yield made


@pytest.fixture(scope="module")
def rows():
    X = np.random.default_rng(0).normal(size=(N, 3))
    return X, X @ BETA


def transitions(client):
    return client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter)


@pytest.mark.parametrize("kind", ["dense", "sparse", "derived targets", "other chunks", "targets of this process"])
def test_a_fit_of_many_small_chunks_takes_few_tasks(client, rows, kind):
    X, y = rows
    lazy = da.from_array(X, chunks=(1, 3))
    if kind == "sparse":
        lazy = lazy.map_blocks(sparse.csr_array, meta=sparse.csr_array((0, 3)))
    targets = {
        "derived targets": lambda: lazy @ BETA,
        "other chunks": lambda: da.from_array(y, chunks=7),
        "targets of this process": lambda: y,
    }.get(kind, lambda: da.from_array(y, chunks=1))()
    weight = da.from_array(np.linspace(0.5, 1.5, N), chunks=1)
    before = transitions(client)
    model = LinearRegression().fit(lazy, targets, sample_weight=weight)
    tasks = (transitions(client) - before) / 4  # each is released, waiting, processing, in memory
    assert tasks < N + 8 * EACH * THREADS if kind == "other chunks" else tasks < 8 * EACH * THREADS
    np.testing.assert_allclose(model.coef_, BETA, atol=1e-9)
    assert model.score(lazy, targets, sample_weight=weight) == pytest.approx(1.0)


def test_a_chunk_that_cannot_be_used_is_named_with_its_bundle(client, rows):
    X, y = rows
    X = X.copy()
    X[200, 1] = np.nan
    with pytest.raises(DataError, match=r"partition 200 to 211: Input X contains NaN: column 1"):
        LinearRegression().fit(da.from_array(X, chunks=(1, 3)), y)
    broken = da.from_array(X, chunks=(1, 3)).map_blocks(
        lambda block: block * (1 / (not np.isnan(block).any())), dtype=float
    )
    with pytest.raises(DataError, match=r"partition 200 to 211 could not be loaded .*ZeroDivisionError"):
        LinearRegression().fit(broken, y)


def test_masked_values_stay_masked(client, rows):
    X, y = rows
    hidden = da.ma.masked_greater(da.from_array(X, chunks=(1, 3)), 1.0)
    with pytest.raises(DataError, match="masked values"):
        LinearRegression().fit(hidden, y)
    with pytest.raises(TargetError, match=r"y is a masked array with .* masked values"):
        LinearRegression().fit(da.from_array(X, chunks=(1, 3)), da.ma.masked_greater(da.from_array(y, chunks=1), 1.0))


def test_what_bundles_have_in_common_is_made_once():
    common = da.ones((1, 3), chunks=(1, 3)) * 2
    X = da.concatenate([common + i for i in range(100)])
    graph, keys = joint_graph([X, X[:, 0]])
    bounds = bundles([features(X)], 1)
    assert len(bounds) == EACH and bounds[0][0] == 0 and bounds[-1][1] == 100
    few, names = bundled(graph, keys, bounds)
    assert len(few) <= 4 * EACH
    from dask.threaded import get

    parts, first = get(few, names)
    np.testing.assert_array_equal(np.concatenate(parts), X.compute())
    np.testing.assert_array_equal(np.concatenate(first), X[:, 0].compute())


def test_what_is_not_loaded_in_bundles():
    X = features(da.ones((100, 2), chunks=(1, 2)))
    for columns in (
        [features(da.ones((20, 2), chunks=(1, 2)))],  # few
        [features(da.ones((100 << 17, 2), chunks=(1 << 17, 2)))],  # large
        [features(X.pieces[0][da.ones(100, chunks=1) > 0])],  # of unknown size
        [X, vector(da.ones(100, chunks=100).rechunk(1).to_delayed().ravel().tolist(), "y", X)],
    ):
        assert not bundles(columns, 1)
