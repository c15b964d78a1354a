"""Parquet folders: the workers read the rows that this process would read, and in the same types."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import offbeat
from offbeat import Problem, engines, losses, penalties
from offbeat.data.files.parquet import parquet_table, read_groups, row_groups
from offbeat.engines.placing import lies_elsewhere
from offbeat.errors import DataError

LEAST_SQUARES = Problem(losses.Squared(), penalties.Zero())


@pytest.fixture
def folder(tmp_path):
    """Files at several depths, of several types and orders of columns, beside some that are not to be read."""
    rng = np.random.default_rng(0)
    seconds = 1.7e9 + np.arange(400.0)  # float32 has steps of 128 here
    pieces = []
    for i, name in enumerate(["a.parquet", "b/c/d.parquet", "x.parquet/part-0.parquet", "z.PQ"]):
        t = seconds[i * 100 : (i + 1) * 100].astype("f4" if i == 0 else "f8")
        x = rng.normal(size=100)
        y = 1e-3 * (t.astype("f8") - 1.7e9) + 2.0 * x
        table = pd.DataFrame({"t": t, "x": x, "y": y}, index=rng.permutation(100))
        pieces.append(table)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table[["y", "x", "t"] if i == 1 else ["t", "x", "y"]].to_parquet(path, row_group_size=30)
    unfinished = pa.table({"t": [0.0], "x": [0.0], "y": [1e9]})
    for name in [".part.parquet", "_temporary/0/e.parquet", ".spark/f.parquet"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(unfinished, tmp_path / name)
    return tmp_path, pd.concat(pieces)


def test_a_folder_is_the_same_rows_on_the_workers_and_here(client, folder):
    path, table = folder
    A = np.column_stack([table["t"] - 1.7e9, table["x"], np.ones(len(table))])
    right = np.linalg.lstsq(A, table["y"], rcond=None)[0]
    for engine in (engines.Dask(client), "auto"):
        fit = offbeat.solve(LEAST_SQUARES, str(path), "y", engine=engine, tol=1e-12)
        np.testing.assert_allclose(fit.coef, right[:2], rtol=1e-6)


def test_row_groups_come_with_the_columns_of_the_table(folder):
    path, table = folder
    files = parquet_table(path)
    runs = row_groups(files, rows=60)
    assert [groups for _, groups in runs] == [[0, 1], [2, 3]] * 4
    parts = [read_groups(file, groups, files.schema) for file, groups in runs]
    assert all(part.schema.names == files.schema.names for part in parts)
    np.testing.assert_array_equal(np.concatenate([part["t"] for part in parts]), table["t"])


def test_what_workers_read():
    cluster = engines.Dask()
    assert all(lies_elsewhere(X, cluster) for X in ("a.parquet", "a.PARQUET", ["a.parquet", "b.pq"]))
    assert not any(lies_elsewhere(X, cluster) for X in ("a.csv", ["a.parquet", "b.csv"], [], [[1.0]]))
    assert not lies_elsewhere("a.parquet")


def test_a_partitioned_folder_is_the_same_error_on_the_workers(client, tmp_path):
    (tmp_path / "year=2013").mkdir()
    pq.write_table(pa.table({"x": [1.0], "y": [1.0]}), tmp_path / "year=2013" / "a.parquet")
    for engine in (engines.Dask(client), "auto"):
        with pytest.raises(DataError, match=r"'year=2013'.*partition.*Write the table again with that column"):
            offbeat.solve(LEAST_SQUARES, str(tmp_path), "y", engine=engine)
