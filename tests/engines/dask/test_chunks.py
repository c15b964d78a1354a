"""Chunks that differ: in type, sparse or dense, without rows, without weight."""

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import offbeat
from offbeat import Problem, losses, penalties, solvers
from offbeat.errors import DataError, TargetError
from offbeat.linear_model import LinearRegression, LinearSVC, LogisticRegression, PoissonRegressor, Ridge

N, K = 300, 3
BETA = np.array([1.0, -2.0, 3.0])
CUTS = (slice(0, 90), slice(90, 200), slice(200, N))


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = np.where(rng.uniform(size=(N, K)) < 0.5, rng.integers(1, 9, size=(N, K)) / 8, 0.0)  # exact in float32
    return X, X @ BETA


def chunked(pieces):
    """Return a Dask array of pieces of any type."""
    blocks = [da.from_delayed(dask.delayed(piece), piece.shape, meta=pieces[0][:0]) for piece in pieces]
    return da.concatenate(blocks, allow_unknown_chunksizes=True)


class COO:
    """What of a COO of the library ``sparse`` is used."""

    __module__ = "sparse.numba_backend"
    ndim = 2

    def __init__(self, matrix):
        self.matrix = sparse.coo_array(matrix)
        self.shape, self.dtype = matrix.shape, matrix.dtype

    def to_scipy_sparse(self):
        return self.matrix

    def __array__(self, *args, **kwargs):
        raise RuntimeError("Cannot convert a sparse array to dense automatically.")


TYPES = {
    "float32 first": (np.float32, np.float64, np.float32),
    "float64 first": (np.float64, np.float32, np.float32),
    "whole numbers beside float32": (np.float32, lambda piece: (8 * piece).astype(int), np.float32),
    "sparse first": (sparse.csr_array, np.asarray, sparse.csr_matrix),
    "dense first": (np.asarray, sparse.csc_array, np.asarray),
    "sparse float32 beside dense float64": (
        lambda piece: sparse.csr_array(piece.astype(np.float32)),
        np.asarray,
        np.asarray,
    ),
    "COO": (COO, COO, COO),
    "COO beside dense": (np.asarray, COO, np.asarray),
}


@pytest.mark.parametrize("types", TYPES.values(), ids=TYPES.keys())
def test_chunks_of_several_types(rows, types):
    _check_types(types, rows)


@pytest.mark.parametrize("types", [TYPES["float32 first"], TYPES["COO beside dense"]], ids=["float32", "COO"])
def test_chunks_of_several_types_on_workers(workers, rows, types):
    with workers.as_current():
        _check_types(types, rows)


def _check_types(types, rows):
    X, _ = rows
    pieces = [kind(X[cut]) for kind, cut in zip(types, CUTS, strict=True)]
    y = _dense(pieces) @ BETA
    lazy = [dask.delayed(piece, pure=False) for piece in pieces]
    model = LinearRegression().fit(lazy, y)
    np.testing.assert_allclose(model.coef_, BETA, atol=1e-9)
    assert model.score(lazy, y) == pytest.approx(1.0)
    np.testing.assert_allclose(model.predict(lazy).compute(), y, atol=1e-5)
    single = LogisticRegression(tol=1e-9).fit(lazy, y > 1.0)
    np.testing.assert_allclose(single.coef_, LogisticRegression(tol=1e-9).fit(_dense(pieces), y > 1.0).coef_, atol=1e-3)


def _dense(pieces):
    each = [piece.to_scipy_sparse() if isinstance(piece, COO) else piece for piece in pieces]
    return np.concatenate([np.asarray(sparse.csr_array(piece).todense(), np.float64) for piece in each])


def test_arrays_of_several_types(anywhere, rows):
    X, y = rows
    mixed = chunked([X[:90].astype(np.float32), X[90:]])
    np.testing.assert_allclose(LinearRegression().fit(mixed, y).coef_, BETA, atol=1e-9)
    coo = da.from_array(X, chunks=(100, K)).map_blocks(COO, meta=np.empty((0, K)))
    np.testing.assert_allclose(LinearRegression().fit(coo, y).coef_, BETA, atol=1e-9)


def test_lists_of_arrays_of_several_types_in_this_process(rows):
    X, y = rows
    for pieces in ([X[:90].astype(np.float32), X[90:]], [sparse.csr_array(X[:90].astype(np.float32)), X[90:]]):
        np.testing.assert_allclose(LinearRegression().fit(pieces, y).coef_, BETA, atol=1e-9)


def test_arrays_of_the_library_sparse_in_this_process(rows):
    X, y = rows
    np.testing.assert_allclose(LinearRegression().fit(COO(X), y).coef_, BETA, atol=1e-9)
    with pytest.raises(TargetError, match=r"y is a sparse matrix\. Pass it dense: y\.todense\(\)"):
        LinearRegression().fit(X, COO(X[:, :2]))
    library = pytest.importorskip("sparse")
    np.testing.assert_allclose(LinearRegression().fit(library.COO(X), y).coef_, BETA, atol=1e-9)
    np.testing.assert_allclose(LinearRegression().fit(library.GCXS(X), y).coef_, BETA, atol=1e-9)
    with pytest.raises(DataError, match="fill_value"):
        LinearRegression().fit(library.COO(X, fill_value=1.0), y)


def test_a_table_beside_a_matrix(anywhere, rows):
    X, y = rows
    with pytest.raises(DataError, match="partition 1 is a matrix, partition 0 is a table: give all the same kind"):
        LinearRegression().fit([dask.delayed(pd.DataFrame(X[:90])), dask.delayed(X[90:])], y)


def test_predictions_of_parts_without_rows(anywhere, rows):
    X, y = rows
    model = LogisticRegression().fit(X, np.digitize(y, [0.0, 1.0]))
    table = pd.DataFrame(X, columns=list("abc"))
    frame = dd.from_pandas(table, npartitions=3)
    given = {
        "known": (chunked([X[:0], X[:90], X[90:90], X[90:]]), slice(None)),
        "unknown": ((lambda lazy: lazy[lazy[:, 0] > 2.0])(da.from_array(X, chunks=(30, K))), slice(0, 0)),
        "delayed": ([dask.delayed(part) for part in (X[:90], X[:0], [], np.empty(0), X[90:])], slice(None)),
    }
    for lazy, kept in given.values():
        assert model.predict(lazy).compute().tolist() == model.predict(X).tolist()[kept]
        np.testing.assert_allclose(model.predict_proba(lazy).compute(), model.predict_proba(X)[kept])
        np.testing.assert_allclose(model.decision_function(lazy).compute(), model.decision_function(X)[kept])
    named = Ridge().fit(table, y)
    few = frame[frame["a"] > 0.9]
    np.testing.assert_allclose(named.predict(few).compute(), named.predict(table[table["a"] > 0.9]))
    np.testing.assert_allclose(named.predict(frame[frame["a"] > 5.0]).compute(), [])
    assert model.predict_proba(chunked([X[:5].astype(np.float32)])).compute().dtype == np.float64  # as Dask was told


def test_fits_of_unknown_chunks_without_rows(anywhere, rows):
    X, y = rows
    order = np.argsort(y)
    lazy, targets = da.from_array(X[order], chunks=(50, K)), da.from_array(y[order], chunks=50)
    kept = targets > np.median(y)  # the first chunks keep none
    model = LinearRegression().fit(lazy[kept], targets[kept])
    np.testing.assert_allclose(model.coef_, BETA, atol=1e-9)
    assert model.score(lazy[kept], targets[kept]) == pytest.approx(1.0)
    pieces = [dask.delayed(part) for part in (X[:90], [], X[90:])]
    np.testing.assert_allclose(LinearRegression().fit(pieces, y).coef_, BETA, atol=1e-9)


MODELS = [
    (LinearRegression(), None),
    (Ridge(tol=1e-9), None),
    (LogisticRegression(tol=1e-9), [0.5]),
    (LogisticRegression(tol=1e-9), [0.0, 1.0]),
    (LinearSVC(loss="squared_hinge", tol=1e-7), [0.5]),
    (PoissonRegressor(tol=1e-9), None),
]


@pytest.mark.parametrize(("model", "edges"), MODELS, ids=lambda each: type(each).__name__)
def test_a_chunk_without_weight_counts_for_nothing(rows, model, edges):
    X, y = rows
    noise = np.random.default_rng(1).normal(size=N)
    y = np.abs(y + noise) if edges is None else np.digitize(y + noise, edges)
    weight = np.where(np.arange(N) < 100, 0.0, 2.0)
    lazy, targets, weights = (
        da.from_array(X, chunks=(50, K)),
        da.from_array(y, chunks=50),
        da.from_array(weight, chunks=50),
    )
    there = model.fit(lazy, targets, sample_weight=weights)
    coef, score = there.coef_.copy(), there.score(lazy, targets, sample_weight=weights)
    here = model.fit(X[100:], y[100:], sample_weight=weight[100:])
    np.testing.assert_allclose(coef, here.coef_, atol=2e-3)
    assert score == pytest.approx(here.score(X[100:], y[100:], sample_weight=weight[100:]), abs=1e-3)
    for nothing in (da.zeros(N, chunks=50), 0.0):
        with pytest.raises(DataError, match="sample_weight is zero in every row: there is nothing to fit"):
            model.fit(lazy, targets, sample_weight=nothing)
        with pytest.raises(DataError, match="sample_weight is zero in every row: there is nothing to fit"):
            model.score(lazy, targets, sample_weight=nothing)


@pytest.mark.parametrize("solver", [solvers.ADMM(), solvers.SDCA()], ids=lambda s: s.name)
def test_solvers_where_a_chunk_has_no_weight(rows, solver):
    X, y = rows
    y = (y > 0.5).astype(float)
    weight = np.where(np.arange(N) < 150, 0.0, 2.0)
    problem = Problem(losses.Logistic(), penalties.L2(0.1))
    lazy = da.from_array(X, chunks=(150, K))
    fit = offbeat.solve(problem, lazy, y, sample_weight=weight, solver=solver, tol=1e-7)
    assert fit.certificate.satisfied
    np.testing.assert_allclose(fit.coef, offbeat.solve(problem, X[150:], y[150:], tol=1e-9).coef, atol=2e-3)


def test_a_chunk_without_weight_on_workers(workers, rows):
    with workers.as_current():
        test_a_chunk_without_weight_counts_for_nothing(rows, *MODELS[2])
        test_solvers_where_a_chunk_has_no_weight(rows, solvers.ADMM())


@pytest.mark.parametrize("weight", [2, np.float32(2.0), np.array(3.0)], ids=repr)
def test_one_weight_for_all_rows(anywhere, rows, weight):
    X, y = rows
    lazy, targets = da.from_array(X, chunks=(100, K)), da.from_array(y, chunks=100)
    problem = Problem(losses.Squared(), penalties.L2(0.1))
    many = offbeat.solve(problem, lazy, targets, sample_weight=da.full(N, float(weight), chunks=100))
    one = offbeat.solve(problem, lazy, targets, sample_weight=weight)
    np.testing.assert_allclose(one.coef, many.coef, atol=1e-6)
    model = Ridge().fit(lazy, targets, sample_weight=weight)
    assert model.score(lazy, targets, sample_weight=weight) == pytest.approx(model.score(X, y))
    with pytest.raises(DataError, match="negative"):
        Ridge().fit(lazy, targets, sample_weight=-1.0)


def test_a_name_of_weights_beside_a_matrix(anywhere, rows):
    X, y = rows
    with pytest.raises(DataError, match="partition 0: sample_weight='w' names a column, but X is a matrix"):
        Ridge().fit(da.from_array(X, chunks=(100, K)), y, sample_weight="w")
