"""Checkpoints of fits on a cluster: the same rows in other chunks, on other workers, and in this process."""

import math
import warnings

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import offbeat
from offbeat import Problem, engines, losses, penalties, solvers
from offbeat.engines.placing import data_of
from offbeat.errors import ConvergenceWarning, DataError
from offbeat.fit import checkpoint

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-3))
N, K = 6000, 4  # more rows than a sample of them has


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, K)) * [1.0, 10.0, 0.1, 1.0] + [0.0, 30.0, 0.0, 5.0]
    return X, (X[:, 0] + rng.normal(size=N) > 0).astype(float), rng.uniform(0.5, 1.5, N)


@pytest.fixture(scope="module")
def optimum(rows):
    X, y, weight = rows
    return offbeat.solve(RIDGE, X, y, sample_weight=weight, tol=1e-10)


@pytest.fixture
def workers(client):
    client.wait_for_workers(2)
    return sorted(client.scheduler_info(n_workers=-1)["workers"])


def placed(client, rows, chunks, homes):
    """Return arrays in chunks, each on one of the workers in turn."""
    arrays = [da.from_array(values, chunks=(chunks, *values.shape[1:])) for values in rows]
    each = []
    for array in arrays:
        blocks = [client.persist(block, workers=[homes[i % len(homes)]]) for i, block in enumerate(array.blocks)]
        each.append(da.concatenate(blocks))
    return each


def solve(X, y, weight, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return offbeat.solve(RIDGE, X, y, sample_weight=weight, tol=1e-7, **options)


def right(fit, optimum):
    assert fit.status == "converged" and "resumed at" in fit.trace.metadata
    excess = fit.certificate.primal - optimum.certificate.primal
    assert -1e-9 <= excess <= fit.certificate.gap + 1e-9


@pytest.mark.parametrize(
    ("solver", "staleness"),
    [(solvers.LBFGS(), 0.0), (solvers.ADMM(), 0.0), (solvers.ADMM(), math.inf)],
    ids=lambda each: getattr(each, "name", each),
)
def test_the_same_rows_in_other_chunks_on_other_workers_and_here(
    client, workers, rows, optimum, tmp_path, solver, staleness
):
    path = tmp_path / "fit.npz"
    how = {"solver": solver, "staleness": staleness}
    first = placed(client, rows, 1000, workers)
    solve(*first, checkpoint=path, checkpoint_every=0.0, callback=lambda progress, row: True, **how)
    again = [
        placed(client, rows, 1000, workers[::-1]),
        placed(client, rows, 700, workers[:1]),
        rows,
    ]
    for each in again:
        right(solve(*each, resume=path, **how), optimum)


def test_shards_with_the_same_rows_keep_their_contributions(client, workers, rows, optimum, tmp_path, monkeypatch):
    """Which chunks lie on which worker decides the number of a shard, and is not the same on another cluster."""
    path, kept = tmp_path / "fit.npz", []
    resume = checkpoint.resume
    monkeypatch.setattr(checkpoint, "resume", lambda *args: kept.append(resume(*args)) or kept[-1])
    how = {"solver": solvers.ADMM(), "engine": engines.Dask(client)}
    solve(*placed(client, rows, 3000, workers), checkpoint=path, checkpoint_every=0.0, max_iter=5, **how)
    right(solve(*placed(client, rows, 3000, workers[::-1]), resume=path, **how), optimum)
    right(solve(*placed(client, rows, 1500, [workers[1]] * 2 + [workers[0]] * 2), resume=path, **how), optimum)
    old, same = checkpoint.load(path), [snapshot for _, snapshot in kept]
    spans = old.facts["shards"]
    assert sorted(spans) == [[[0, 3000]], [[3000, 6000]]]
    for snapshot in same:
        assert len(snapshot.contributions) == 2
    newest = {m.payload.tobytes() for m in old.snapshot.contributions}
    assert {m.payload.tobytes() for m in same[1].contributions} == newest


def test_other_rows_are_refused_by_what_differs(client, workers, rows, tmp_path):
    path = tmp_path / "fit.npz"
    X, y, weight = rows
    solve(*placed(client, rows, 1000, workers), checkpoint=path, checkpoint_every=0.0, max_iter=2)
    for other, said in (
        ((X[::-1].copy(), y, weight), "features"),
        ((X, 1.0 - y, weight), "targets"),
        ((X, y, weight[::-1].copy()), "weights"),
        ((X, y, np.where(np.arange(N) == 4321, 1.01 * weight, weight)), "weights"),
    ):
        with pytest.raises(DataError, match=f"its {said} are others"):
            solve(*placed(client, other, 800, workers), resume=path)


def test_weights_divided_by_their_mean_may_differ_by_rounding(client, rows):
    """The mean is another in its last digits where chunks are others; frames, arrays and rows here are the same."""
    X, y, weight = rows
    table = pd.DataFrame(X, columns=list("abcd")).assign(y=y, w=weight)
    found = [data_of(X, y, sample_weight=weight).weighted()[0].fingerprint()]
    for parts in (4, 7):
        data = data_of(dd.from_pandas(table, npartitions=parts), "y", sample_weight="w")
        found.append(data.weighted()[0].fingerprint())
        data.release()
    for other in found[1:]:
        assert (other["features"], other["y"]) == (found[0]["features"], found[0]["y"])
        np.testing.assert_allclose(other["sums of weights"], found[0]["sums of weights"], rtol=1e-12)
