"""The flights: exact size, nothing that is known only after departure, matrix and table in agreement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from offbeat.datasets import Data, flights_table, load_flights, write_flights
from offbeat.errors import DataError

N_ROWS = 325_724


@pytest.fixture(scope="module")
def dense() -> Data:
    return load_flights()


@pytest.fixture(scope="module")
def one_hot() -> Data:
    return load_flights(one_hot=True, dtype=np.float32)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return flights_table()


def test_dense_flights(dense: Data) -> None:
    assert dense.X.shape == (N_ROWS, 45)
    assert dense.X.dtype == np.float64
    assert dense.X.flags.c_contiguous
    assert np.isfinite(dense.X).all()
    assert dense.y.dtype == np.int64
    assert dense.y.mean() == pytest.approx(0.237, abs=5e-4)
    assert len(set(dense.feature_names)) == 45
    assert {"carrier=UA", "origin=JFK", "month=Jul", "wind speed, mph"} <= set(dense.feature_names)


def test_every_category_adds_up_to_one(dense: Data) -> None:
    for name in ("month", "origin", "carrier"):
        columns = [j for j, feature in enumerate(dense.feature_names) if feature.startswith(name + "=")]
        assert (dense.X[:, columns].sum(axis=1) == 1).all()


def test_one_hot_flights_begin_with_the_dense_columns(dense: Data, one_hot: Data) -> None:
    assert one_hot.X.shape == (N_ROWS, 4_236)
    assert one_hot.X.dtype == np.float32
    assert one_hot.X.has_canonical_format
    assert one_hot.feature_names[:45] == dense.feature_names
    assert len(set(one_hot.feature_names)) == 4_236
    rows = slice(1_000, 1_200)
    np.testing.assert_array_equal(one_hot.X[rows, :45].toarray(), dense.X[rows].astype(np.float32))
    assert (one_hot.X[rows, 45:].sum(axis=1) == 4).all()


def test_no_feature_gives_the_delay_away(dense: Data) -> None:
    delay = load_flights(target="arr_delay")
    assert delay.y.dtype == np.float64
    np.testing.assert_array_equal(delay.y > 15, dense.y == 1)
    X, y = dense.X[::10], delay.y[::10]
    correlation = (X - X.mean(axis=0)).T @ (y - y.mean()) / (len(y) * X.std(axis=0) * y.std())
    # The departure delay, which must not be there, correlates by 0.9; the best honest feature by 0.17.
    assert np.abs(correlation).max() < 0.3


def test_derived_columns_follow_the_table(dense: Data, table: pd.DataFrame) -> None:
    column = dict(zip(dense.feature_names, dense.X.T, strict=True))
    np.testing.assert_array_equal(column["Saturday"] == 1, table["weekday"] == "Sat")
    np.testing.assert_array_equal(column["Thursday or Friday"] == 1, table["weekday"].isin(["Thu", "Fri"]))
    np.testing.assert_allclose(column["scheduled hour"], table["hour"] + table["minute"] / 60)
    np.testing.assert_array_equal(column["month=Feb"] == 1, table["month"] == "Feb")
    np.testing.assert_array_equal(column["carrier=UA"] == 1, table["carrier"] == "UA")
    np.testing.assert_array_equal(dense.y, table["late"])


def test_table_has_plain_columns(table: pd.DataFrame) -> None:
    assert table.shape == (N_ROWS, 17)
    assert not table.isna().any().any()
    assert list(table["month"].cat.categories[:3]) == ["Jan", "Feb", "Mar"]
    # 1 January 2013 was a Tuesday.
    assert table["weekday"].iloc[0] == "Tue"
    assert table["tailnum"].nunique() == 4_037
    assert not {"dep_delay", "dep_time", "arr_time", "air_time", "arr_delay"} & set(table.columns)


def test_a_written_table_comes_back(table: pd.DataFrame, tmp_path: Path) -> None:
    path = write_flights(tmp_path / "flights.parquet")
    assert [file.name for file in tmp_path.iterdir()] == ["flights.parquet"]
    back = pyarrow.parquet.read_table(path).to_pandas()
    assert back["dest"].dtype == "category"
    assert list(back.columns) == list(table.columns)
    assert all((back[name].to_numpy() == table[name].to_numpy()).all() for name in table.columns)


def test_an_unwritable_path_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Cannot write"):
        write_flights(tmp_path / "missing" / "flights.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("load", [load_flights, flights_table])
def test_an_unknown_target_names_the_choices(load: object) -> None:
    assert callable(load)
    with pytest.raises(DataError, match="'late', 'arr_delay'"):
        load(target="delayed")
