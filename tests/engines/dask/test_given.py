"""What users give from Dask: everything is loaded once and together, and rows that belong together are paired."""

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client

from offbeat.linear_model import LinearRegression

BETA = np.array([1.0, -2.0, 3.0])
NAMES = ["a", "b", "c"]
CHUNKS, ROWS = 4, 50


@pytest.fixture(scope="module")
def workers():
    with Client(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, set_as_default=False
    ) as made:
        yield made


@pytest.fixture(params=["workers", "here"])
def anywhere(request):
    """With a client, and without any."""
    if request.param == "here":
        yield None
    else:
        client = request.getfixturevalue("workers")
        with client.as_current():
            yield client


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
