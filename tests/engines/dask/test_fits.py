"""Fits on a Dask cluster of real processes, against fits of the same rows in this process."""

import gc
import math
import os
import signal
import time

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import offbeat
from offbeat import Problem, engines, losses, penalties, solvers, topology
from offbeat.errors import ConvergenceWarning, DataError, ProblemError, TargetError

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-3))
N, K = 1200, 6


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, K)) + 3.0
    z = (X - 3.0) @ rng.normal(size=K)
    return X, (rng.uniform(size=N) < 1.0 / (1.0 + np.exp(-z))).astype(float)


@pytest.fixture(scope="module")
def arrays(client, rows):
    X, y = rows
    chunks = (300, 100, 250, 350, 200)
    return da.from_array(X, chunks=(chunks, K)).persist(), da.from_array(y, chunks=(chunks,)).persist()


def same(one, other, tol=1e-4):
    np.testing.assert_allclose(one.coef, other.coef, atol=tol)
    np.testing.assert_allclose(one.intercept, other.intercept, atol=tol)


@pytest.mark.parametrize(
    "problem",
    [
        RIDGE,
        Problem(losses.Squared(), penalties.ElasticNet(1e-2, 0.5)),
        Problem(losses.Poisson(), penalties.L1(1e-3)),
        Problem(losses.Hinge(), penalties.L2(1e-2)),
    ],
    ids=lambda p: p.loss.name,
)
def test_a_fit_is_that_of_the_same_rows_in_this_process(arrays, rows, problem):
    kink = problem.loss.name == "hinge"
    remote, near = offbeat.solve(problem, *arrays, tol=1e-5 if kink else 1e-7), offbeat.solve(problem, *rows, tol=1e-7)
    assert remote.certificate.satisfied
    assert remote.trace.metadata["engine"] == "dask"
    if kink:  # such a gap proves little about the intercept
        np.testing.assert_allclose(remote.certificate.primal, near.certificate.primal, rtol=1e-4)
        np.testing.assert_allclose(remote.coef, near.coef, atol=0.05)  # sqrt(2 * 1e-5 / 1e-2)
    else:
        same(remote, near, 0.02)


@pytest.mark.parametrize(
    "solver",
    [solvers.ADMM(), solvers.Newton(), solvers.DelayedProximalGradient(), solvers.SAGA()],
    ids=lambda s: s.name,
)
@pytest.mark.parametrize("hub", [topology.Hub(batch=1), topology.Hub(batch=None)], ids=["single", "batched"])
def test_asynchronous_fits_reach_their_certificate(arrays, rows, solver, hub):
    fit = offbeat.solve(RIDGE, *arrays, solver=solver, staleness=math.inf, topology=hub, tol=1e-6)
    assert fit.certificate.satisfied
    same(fit, offbeat.solve(RIDGE, *rows, tol=1e-8), 0.05)  # what such a gap proves: sqrt(2 * 0.69e-6 / 1e-3) = 0.04


@pytest.mark.parametrize("batch", [1, None], ids=["single", "batched"])
def test_a_busy_hub_takes_in_all_that_came_in_meanwhile(arrays, batch):
    class SlowHub(solvers.DelayedProximalGradient):
        def global_step(self, problem, state, board):
            time.sleep(0.05)  # both workers answer meanwhile
            return super().global_step(problem, state, board)

    with pytest.warns(ConvergenceWarning):
        fit = offbeat.solve(
            RIDGE, *arrays, solver=SlowHub(), staleness=math.inf, topology=topology.Hub(batch), tol=0.0, max_iter=10.0
        )
    sizes = fit.trace.to_arrays()["batch"]
    sizes = sizes[sizes > 0][1:]
    assert set(sizes) == {1} if batch == 1 else sizes.max() > 1


def test_shards_one_after_another(arrays):
    fit = offbeat.solve(RIDGE, *arrays, solver=solvers.SAGA(), staleness=math.inf, concurrency=1, tol=1e-5)
    steps = fit.trace.to_frame()
    steps = steps[steps["kind"] == "step"].sort_values("time")
    assert fit.certificate.satisfied
    assert steps["worker"].nunique() > 1


def test_several_classes(client, rows):
    X, y = rows
    y = y + (X[:, 0] > 4.0)
    problem = Problem(losses.Multinomial(3), penalties.L2(1e-2))
    fit = offbeat.solve(problem, da.from_array(X, chunks=(400, K)), da.from_array(y, chunks=400), tol=1e-6)
    assert fit.certificate.satisfied
    np.testing.assert_allclose(fit.coef, offbeat.solve(problem, X, y, tol=1e-6).coef, atol=1e-3)


def test_sparse_chunks(client, rows):
    X, y = rows
    X = sparse.csr_array(np.where(np.abs(X - 3.0) > 1.0, X, 0.0))
    pieces = [dask.delayed(X[a : a + 400]) for a in (0, 400, 800)]
    blocks = [da.from_delayed(piece, (400, K), meta=sparse.csr_array((0, K))) for piece in pieces]
    fit = offbeat.solve(RIDGE, da.concatenate(blocks), da.from_array(y, chunks=400), tol=1e-6)
    same(fit, offbeat.solve(RIDGE, X, y, tol=1e-7), 1e-3)


def test_chunks_that_do_not_match(arrays, rows):
    X, y = rows
    other = da.from_array(y, chunks=170)
    with pytest.warns(UserWarning, match="3 chunks of columns"):
        fit = offbeat.solve(RIDGE, da.from_array(X, chunks=(500, 2)), other, tol=1e-6)
    same(fit, offbeat.solve(RIDGE, X, y, tol=1e-7), 1e-3)


def test_targets_of_this_process(arrays, rows):
    same(offbeat.solve(RIDGE, arrays[0], rows[1], tol=1e-6), offbeat.solve(RIDGE, *rows, tol=1e-7), 1e-3)


def test_unknown_chunk_sizes(arrays, rows):
    X, y = arrays
    kept = X[:, 0] > 2.5
    mask = rows[0][:, 0] > 2.5
    fit = offbeat.solve(RIDGE, X[kept], y[kept], tol=1e-6)
    same(fit, offbeat.solve(RIDGE, rows[0][mask], rows[1][mask], tol=1e-7), 1e-3)
    same(offbeat.solve(RIDGE, X[kept], rows[1][mask], tol=1e-6), fit, 1e-3)


def frame(rows):
    X, y = rows
    table = pd.DataFrame(X, columns=[f"x{i}" for i in range(K)])
    table["place"] = np.where(X[:, 1] > 3.0, "here", np.where(np.arange(N) < 900, "there", "elsewhere"))
    table["late"] = y
    return table


def test_data_frames_with_categories_that_differ_by_partition(client, rows):
    table = frame(rows)
    frames = dd.from_pandas(table, npartitions=4)
    fit = offbeat.solve(RIDGE, frames, "late", tol=1e-6)
    same(fit, offbeat.solve(RIDGE, table, "late", tol=1e-7), 1e-3)
    again = offbeat.solve(RIDGE, frames.drop(columns="late"), frames["late"], tol=1e-6)
    same(fit, again, 1e-3)


def test_parquet_is_read_by_the_workers(client, rows, tmp_path):
    table = frame(rows)
    for i in range(3):
        table[i * 400 : (i + 1) * 400].to_parquet(tmp_path / f"part{i}.parquet", row_group_size=100)
    fit = offbeat.solve(RIDGE, str(tmp_path), "late", engine=engines.Dask(client), tol=1e-6)
    assert fit.trace.metadata["engine"] == "dask"
    same(fit, offbeat.solve(RIDGE, table, "late", tol=1e-7), 1e-3)


def test_lists_of_delayed_arrays(client, rows):
    X, y = rows
    pieces = [dask.delayed(np.ascontiguousarray)(X[a : a + 300]) for a in range(0, N, 300)]
    targets = [dask.delayed(np.ascontiguousarray)(y[a : a + 300]) for a in range(0, N, 300)]
    same(offbeat.solve(RIDGE, pieces, targets, tol=1e-6), offbeat.solve(RIDGE, X, y, tol=1e-7), 1e-3)


def test_rows_of_this_process_are_sent(client, rows):
    weight = np.linspace(0.5, 1.5, N)
    fit = offbeat.solve(RIDGE, *rows, sample_weight=weight, engine=engines.Dask(client), tol=1e-6)
    assert fit.trace.metadata["engine"] == "dask"
    same(fit, offbeat.solve(RIDGE, *rows, sample_weight=weight, tol=1e-7), 1e-3)


def test_weights_and_offsets(arrays, rows):
    weight, offset = np.linspace(0.5, 1.5, N), np.linspace(-0.2, 0.2, N)
    fit = offbeat.solve(RIDGE, *arrays, sample_weight=da.from_array(weight, chunks=400), offset=offset, tol=1e-6)
    same(fit, offbeat.solve(RIDGE, *rows, sample_weight=weight, offset=offset, tol=1e-7), 1e-3)


def test_single_precision(client, rows):
    X, y = rows
    single = X.astype(np.float32)
    fit = offbeat.solve(RIDGE, da.from_array(single, chunks=(400, K)), da.from_array(y, chunks=400), tol=1e-6)
    same(fit, offbeat.solve(RIDGE, single, y, tol=1e-7), 1e-3)


def test_a_fit_inside_a_task(client, arrays, rows):
    def inside(X, y):
        return offbeat.solve(RIDGE, da.from_array(X, chunks=(400, K)), da.from_array(y, chunks=400), tol=1e-6).coef

    coef = client.submit(inside, *rows, pure=False).result(timeout=60)
    np.testing.assert_allclose(coef, offbeat.solve(RIDGE, *rows, tol=1e-7).coef, atol=1e-3)


def test_nothing_is_left_on_the_cluster(client, arrays):
    def left():
        keys = client.run_on_scheduler(lambda dask_scheduler: sorted(map(str, dask_scheduler.tasks)))
        from offbeat.engines.dask import remote

        threads = client.run(lambda: sorted(t.name for t in __import__("threading").enumerate()))
        return keys, client.run(remote.held), threads, client.scheduler_comm.interval

    offbeat.solve(RIDGE, *arrays, tol=1e-6)
    gc.collect()  # of other tests
    time.sleep(0.5)
    before = left()
    for staleness in (0, math.inf):
        offbeat.solve(RIDGE, *arrays, solver=solvers.ADMM(), staleness=staleness, tol=1e-4)
    with pytest.warns(ConvergenceWarning):
        offbeat.solve(RIDGE, *arrays, solver=solvers.ADMM(), tol=1e-12, callback=lambda progress, row: True)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        offbeat.solve(
            RIDGE, *arrays, solver=solvers.ADMM(), tol=1e-12, callback=lambda *_: os.kill(os.getpid(), signal.SIGINT),
            on_interrupt="return",
        )  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        offbeat.solve(RIDGE, *arrays, callback=lambda progress, row: 1 / 0)
    deadline = time.monotonic() + 20.0  # what was running when the fit ended comes to its end
    while left() != before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left() == before


def test_one_chunk_with_nan_is_named(arrays, rows):
    X = rows[0].copy()
    X[700, 2] = np.nan
    with pytest.raises(DataError, match=r"partition 2: Input X contains NaN: column 2"):
        offbeat.solve(RIDGE, da.from_array(X, chunks=(300, K)), rows[1])


def test_a_chunk_that_cannot_be_loaded_is_named(client, rows):
    def load(i):
        if i == 1:
            raise OSError("the disk is gone")
        return rows[0][:300]

    pieces = [dask.delayed(load)(i, dask_key_name=f"load-{i}") for i in range(3)]
    with pytest.raises(
        DataError, match=r"partition 1 could not be loaded \(task 'load-1'\): OSError: the disk is gone"
    ):
        offbeat.solve(RIDGE, pieces, [rows[1][:300]] * 3)


def test_targets_that_do_not_fit(arrays, rows):
    with pytest.raises(TargetError, match="partition 0"):
        offbeat.solve(RIDGE, arrays[0], rows[1] + 5.0)
    with pytest.raises(DataError, match="1,200 rows, y has 7"):
        offbeat.solve(RIDGE, arrays[0], rows[1][:7])
    with pytest.raises(DataError, match="no target was given"):
        offbeat.solve(RIDGE, arrays[0])


def test_empty_partitions(client, rows):
    X, y = rows
    pieces = [dask.delayed(part) for part in (X[:0], X[:700], X[700:700], X[700:])]
    targets = [y[:0], y[:700], y[700:700], y[700:]]
    same(offbeat.solve(RIDGE, pieces, targets, tol=1e-6), offbeat.solve(RIDGE, X, y, tol=1e-7), 1e-3)
    with pytest.raises(DataError, match="all 2 partitions are empty"):
        offbeat.solve(RIDGE, pieces[:1] * 2, targets[:1] * 2)


def test_what_does_not_go_on_a_cluster(arrays):
    with pytest.raises(ProblemError, match="needs all rows in one place"):
        offbeat.solve(RIDGE, *arrays, solver=solvers.ProximalNewton())
    with pytest.raises(ProblemError, match="the data lies on dask"):
        offbeat.solve(RIDGE, *arrays, engine=engines.Serial())
