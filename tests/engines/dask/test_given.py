"""What users give from Dask: everything is loaded once and together, and rows that belong together are paired."""

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from offbeat.errors import DataError, TargetError
from offbeat.linear_model import LinearRegression, LogisticRegression, Ridge

BETA = np.array([1.0, -2.0, 3.0])
NAMES = ["a", "b", "c"]
CHUNKS, ROWS = 4, 50


class Impure:
    """Gives other rows each time, and notes that in a file: a line for each load."""

    def __init__(self, path):
        self.path = path

    def array(self):
        path = str(self.path)

        def block(zeros):
            with open(path, "a", encoding="utf-8") as file:
                file.write("load\n")
            X = np.random.default_rng().normal(size=(len(zeros), 3))
            return np.c_[X, X @ BETA]

        return block

    def frame(self):
        block = self.array()
        return lambda zeros: pd.DataFrame(block(zeros), columns=[*NAMES, "t"])

    def loads(self):
        count = len(self.path.read_text(encoding="utf-8").splitlines())
        self.path.write_text("", encoding="utf-8")
        return count


def _array(source):
    return da.zeros((CHUNKS * ROWS, 4), chunks=(ROWS, 4)).map_blocks(source.array(), dtype=float, meta=np.empty((0, 4)))


def _table(source):
    zeros = dd.from_pandas(pd.DataFrame({"z": np.zeros(CHUNKS * ROWS)}), npartitions=CHUNKS)
    return zeros.map_partitions(source.frame(), meta=pd.DataFrame(columns=[*NAMES, "t"], dtype=float))


def _delayed_table(source):
    load = dask.delayed(source.frame(), pure=False)
    meta = pd.DataFrame(columns=[*NAMES, "t"], dtype=float)
    return dd.from_delayed([load(np.zeros(ROWS)) for _ in range(CHUNKS)], meta=meta)


def _pieces(source):
    load = dask.delayed(source.array(), pure=False)
    return [load(np.zeros(ROWS)) for _ in range(CHUNKS)]


FROM_ONE_SOURCE = {
    "slices of an array": lambda source: (lambda A: (A[:, :3], A[:, 3]))(_array(source)),
    "targets in other chunks": lambda source: (lambda A: (A[:, :3], A[:, 3].rechunk(80)))(_array(source)),
    "chunks of columns": lambda source: (lambda A: (A.rechunk((ROWS, 2))[:, :3], A[:, 3]))(_array(source)),
    "unknown chunks": lambda source: (lambda A: (A[:, :3], A[:, 3]))((lambda A: A[A[:, 0] > -1.0])(_array(source))),
    "values of a frame": lambda source: (lambda F: (F[NAMES].values, F["t"].values))(_table(source)),
    "arrays of a frame": lambda source: (lambda F: (F[NAMES].to_dask_array(), F["t"].to_dask_array()))(_table(source)),
    "frame and series": lambda source: (lambda F: (F[NAMES], F["t"]))(_table(source)),
    "frame and array": lambda source: (lambda F: (F[NAMES], F["t"].values))(_delayed_table(source)),
    "array and series": lambda source: (lambda F: (F[NAMES].values, F["t"]))(_delayed_table(source)),
    "delayed parts of a frame": lambda source: (lambda F: (F[NAMES].to_delayed(), F["t"].to_delayed()))(_table(source)),
    "delayed": lambda source: (lambda pieces: ([p[:, :3] for p in pieces], [p[:, 3] for p in pieces]))(_pieces(source)),
    "frame and column": lambda source: (_table(source), "t"),
}


@pytest.mark.filterwarnings("ignore:X has .* chunks of columns")
@pytest.mark.parametrize("given", FROM_ONE_SOURCE.values(), ids=FROM_ONE_SOURCE.keys())
def test_a_source_of_features_and_targets_is_loaded_once(anywhere, given, tmp_path):
    source = Impure(tmp_path / "loads")
    X, y = given(source)
    source.path.write_text("", encoding="utf-8")
    model = LinearRegression().fit(X, y)
    assert source.loads() == CHUNKS
    np.testing.assert_allclose(model.coef_, BETA, atol=1e-9)
    assert model.score(X, y) == pytest.approx(1.0)  # a second load, of other rows
    assert source.loads() == CHUNKS


N = CHUNKS * ROWS


@pytest.fixture(scope="module")
def table():
    """Rows whose targets are exact, with an index in no order."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3))
    return pd.DataFrame(np.c_[X, X @ BETA], columns=[*NAMES, "t"], index=rng.permutation(N) * 10)


def exact(X, y, **more):
    """Check that a fit and a score pair the rows: the targets are then exact."""
    model = LinearRegression().fit(X, y, **more)
    np.testing.assert_allclose(model.coef_, BETA, atol=1e-8)
    assert model.score(X, y, **more) == pytest.approx(1.0)


def test_targets_of_this_process_go_by_the_index_of_a_frame(anywhere, table):
    frame = dd.from_pandas(table[NAMES], npartitions=CHUNKS)  # which sorts
    exact(frame, table["t"])
    exact(frame, table[["t"]])
    wrong = np.arange(N) % 3 == 0
    exact(frame, table["t"] + 5.0 * wrong, sample_weight=pd.Series(np.where(wrong, 0.0, 2.0), index=table.index))


def test_series_with_other_divisions(anywhere, table):
    frame = dd.from_pandas(table[NAMES], npartitions=CHUNKS)
    exact(frame, dd.from_pandas(table["t"], npartitions=7))
    exact(
        frame, dd.from_pandas(table["t"], npartitions=1), sample_weight=dd.from_pandas(table["t"] ** 2, npartitions=3)
    )
    later = frame.loc[500:]  # its bounds are not those of the series
    exact(later, dd.from_pandas(table["t"].sort_index().loc[500:], npartitions=3))


def test_partitions_of_other_sizes_without_divisions(anywhere, table):
    frame = dd.from_pandas(table[NAMES], npartitions=CHUNKS, sort=False)
    exact(frame, dd.from_pandas(table["t"], npartitions=7, sort=False))
    exact(frame, dd.from_pandas(table["t"], npartitions=7, sort=False).to_dask_array())
    exact(frame, table["t"])
    exact(frame, table["t"].to_numpy())
    exact(frame, da.from_array(table["t"].to_numpy(), chunks=30))


def test_rows_in_another_order_within_their_partitions(anywhere, table):
    frame = dd.from_pandas(table, npartitions=CHUNKS, sort=False)
    exact(frame[NAMES], frame["t"].map_partitions(lambda series: series.iloc[::-1], meta=frame["t"]._meta))


def test_an_index_that_does_not_tell_is_refused(anywhere, table):
    frame = dd.from_pandas(table[NAMES], npartitions=CHUNKS)
    other = dd.from_pandas(table["t"], npartitions=CHUNKS, sort=False)
    with pytest.raises(DataError, match=r"partition \d: rows of a data frame and of y go by their index, .* not in y"):
        LinearRegression().fit(frame, other)
    plain = table.reset_index(drop=True)
    twice = dd.concat(
        [dd.from_pandas(plain[NAMES][:100], npartitions=1), dd.from_pandas(plain[NAMES][:100], npartitions=1)]
    )
    y = pd.concat([plain["t"][:100]] * 2, ignore_index=True)
    with pytest.raises(DataError, match=r"partition 1: .* y\.to_numpy\(\)"):
        LinearRegression().fit(twice, y)
    exact(twice, y.to_numpy())
    repeated = plain["t"][:100].set_axis([0, 1] * 50)
    with pytest.raises(DataError, match="more than once, in another order"):
        LinearRegression().fit(dd.from_pandas(plain[NAMES][:100].set_axis([0, 1] * 50), npartitions=1), repeated)


def test_targets_of_another_length(anywhere, table):
    X, y = table[NAMES].to_numpy(), table["t"].to_numpy()
    lazy = da.from_array(X, chunks=(ROWS, 3))
    pieces = [dask.delayed(X[i : i + ROWS]) for i in range(0, N, ROWS)]
    unknown = lazy[lazy[:, 0] > -np.inf]
    message = "X has 200 rows, y has 100"
    for features in (lazy, unknown, pieces, dd.from_pandas(table[NAMES], npartitions=3)):
        for targets in (y[:100], da.from_array(y[:100], chunks=40), [dask.delayed(y[:60]), dask.delayed(y[60:100])]):
            with pytest.raises(DataError, match=message):
                LinearRegression().fit(features, targets)


def test_chunks_that_are_cut_elsewhere(anywhere, table):
    X, y = table[NAMES].to_numpy(), table["t"].to_numpy()
    lazy, targets = da.from_array(X, chunks=(ROWS, 3)), da.from_array(y, chunks=30)
    unknown = targets[targets > -np.inf]
    series = dd.from_pandas(table["t"], npartitions=3, sort=False)
    pieces = [dask.delayed(X[:70]), dask.delayed(X[70:70]), dask.delayed(X[70:])]
    few = [dask.delayed(y[:120]), dask.delayed(y[120:])]
    for given in (targets, unknown, series, few, dask.delayed(y), [y[:3], y[3:]], y[:, None]):
        exact(lazy, given)
    for given in (targets, few, [dask.delayed(y)], list(y)):
        exact(pieces, given)
    exact(dask.delayed(X), targets)
    exact(lazy[lazy[:, 0] > -np.inf], unknown, sample_weight=da.from_array(y**2, chunks=60))


def test_one_delayed_array_and_what_is_no_matrix(anywhere, table):
    X, y = table[NAMES].to_numpy(), table["t"].to_numpy()
    exact(dask.delayed(X), dask.delayed(y))
    exact([dask.delayed(X)], dask.delayed(y))
    exact([X[:120], dask.delayed(X[120:])], [dask.delayed(y[:120]), y[120:]])
    exact([da.from_array(X[:100], chunks=(30, 3)), da.from_array(X[100:], chunks=(80, 3))], y)
    bag = db.from_sequence(X.tolist(), npartitions=2)
    with pytest.raises(DataError, match=r"X is a dask Bag, .* give X\.to_dataframe\(\), or a Dask array"):
        LinearRegression().fit(bag, y)
    with pytest.raises(DataError, match=r"y is a dask Bag, .* give y\.to_dataframe\(\), or a Dask array"):
        LinearRegression().fit(da.from_array(X), db.from_sequence(y.tolist()))
    with pytest.raises(DataError, match=r"partition 0: expected rows, got float: 3\.0"):
        LinearRegression().fit([dask.delayed(3.0), dask.delayed(X)], y)
    with pytest.raises(DataError, match="y should be a 1d array, got an array of shape"):
        LinearRegression().fit(da.from_array(X), da.from_array(X))


def test_features_of_this_process_and_targets_from_dask(table):
    X, y = table[NAMES].to_numpy(), table["t"].to_numpy()
    exact(X, da.from_array(y, chunks=30))
    for model in (Ridge(), LogisticRegression()):
        with pytest.raises(TargetError, match=r"y is of Dask, and X is data of this process: give y\.compute"):
            model.fit(X, dask.delayed(y))
        with pytest.raises(DataError, match=r"sample_weight is of Dask"):
            model.fit(X, y > 0.0, sample_weight=dask.delayed(y))
    with pytest.raises(TargetError, match="y is of Dask"):
        Ridge().fit(X, db.from_sequence(y.tolist()))


def test_futures(workers, table):
    X, y = table[NAMES].to_numpy(), table["t"].to_numpy()
    parts = workers.scatter([X[:120], X[120:]])
    targets = workers.scatter([y[:80], y[80:]])
    with workers.as_current():
        exact(parts, targets)
        exact(parts, y)
        exact(workers.submit(np.copy, X), targets)
        assert Ridge().fit(parts, y).predict(parts).compute().shape == (N,)
    exact(parts, targets)  # of the client that they have
