"""The same data in any container gives the same model, and tables, files and names work to the end."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from offbeat.data.files.read_options import ReadOptions
from offbeat.data.opening import open_data
from offbeat.errors import DataError, TargetError
from offbeat.linear_model import Lasso, LogisticRegression, Ridge

N = 150


@pytest.fixture
def matrix(rng: np.random.Generator) -> NDArray[np.float64]:
    X = rng.standard_normal((N, 5)) + 1
    X[rng.random((N, 5)) < 0.5] = 0.0
    return X


@pytest.fixture
def target(matrix: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(matrix @ np.array([1.0, -1.0, 0.5, 0.0, 2.0]) + rng.standard_normal(N))


@pytest.fixture
def flights(rng: np.random.Generator) -> pd.DataFrame:
    distance, carrier = rng.uniform(0.1, 2.5, N), rng.choice(["AA", "B6", "UA"], N)
    chance = distance + (carrier == "B6") + rng.standard_normal(N)
    return pd.DataFrame({"distance": distance, "carrier": carrier, "late": np.where(chance > 1.5, "yes", "no")})


CONTAINERS: dict[str, Any] = {
    "fortran": np.asfortranarray,
    "float32": lambda X: X.astype(np.float32),
    "list": lambda X: X.tolist(),
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "csr": sparse.csr_array,
    "csc": sparse.csc_matrix,
    "coo": sparse.coo_array,
    "csr64": lambda X: _long(sparse.csr_array(X)),
    "pandas": lambda X: pd.DataFrame(X, columns=list("abcde")),
    "polars": lambda X: pl.DataFrame(X, schema=list("abcde")),
    "lazy": lambda X: pl.LazyFrame(X, schema=list("abcde")),
    "pyarrow": lambda X: pa.table({name: X[:, j] for j, name in enumerate("abcde")}),
}


def _long(X: Any) -> Any:
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


@pytest.mark.filterwarnings("ignore:Resolving the schema of a LazyFrame")
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("model", [LogisticRegression(), Ridge(), Lasso(alpha=0.05)], ids=lambda m: type(m).__name__)
def test_same_coefficients(
    matrix: NDArray[np.float64], target: NDArray[np.float64], container: str, model: Any
) -> None:
    y = target > 0 if isinstance(model, LogisticRegression) else target
    plain = clone(model).set_params(tol=1e-10).fit(matrix, y)
    X = CONTAINERS[container](matrix)
    other = clone(model).set_params(tol=1e-6 if container == "float32" else 1e-10).fit(X, y)
    tolerance = 1e-3 if container == "float32" else 1e-7
    np.testing.assert_allclose(other.coef_, plain.coef_, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(other.predict(X).astype(float), plain.predict(matrix), rtol=10 * tolerance, atol=1e-3)
    assert other.n_features_in_ == 5
    if container in ("pandas", "polars", "pyarrow"):
        assert other.feature_names_in_.tolist() == list("abcde")


def test_data_is_not_copied_or_changed(matrix: NDArray[np.float64], target: NDArray[np.float64]) -> None:
    before, y = matrix.copy(), target.copy()
    matrix.flags.writeable = target.flags.writeable = False
    weight = np.ones(N)
    weight.flags.writeable = False
    Ridge().fit(matrix, target, sample_weight=weight)
    np.testing.assert_array_equal(matrix, before)
    np.testing.assert_array_equal(target, y)


def test_float32_predictions_stay_float32(matrix: NDArray[np.float64], target: NDArray[np.float64]) -> None:
    X = matrix.astype(np.float32)
    assert Ridge().fit(X, target).predict(X).dtype == np.float32
    assert LogisticRegression().fit(X, target > 0).predict_proba(X).dtype == np.float32


@pytest.mark.parametrize("table", [lambda f: f, pl.from_pandas, lambda f: pa.Table.from_pandas(f)])
def test_categories(flights: pd.DataFrame, table: Any) -> None:
    X = table(flights[["distance", "carrier"]])
    model = LogisticRegression().fit(X, flights["late"])
    assert model.feature_names_in_.tolist() == ["distance", "carrier"]
    assert model.n_features_in_ == 2
    assert model.encoder_.feature_names == ["distance", "carrier=AA", "carrier=B6", "carrier=UA"]
    assert model.coef_.shape == (1, 4)
    by_hand = np.column_stack(
        [flights["distance"], *(flights["carrier"] == level for level in ("AA", "B6", "UA"))]
    ).astype(float)
    np.testing.assert_allclose(model.coef_, LogisticRegression().fit(by_hand, flights["late"]).coef_, rtol=1e-9)
    assert set(model.predict(X)) <= {"no", "yes"}
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_target_by_name_and_files(flights: pd.DataFrame, tmp_path: Path) -> None:
    flights.to_parquet(tmp_path / "flights.parquet")
    flights.to_csv(tmp_path / "flights.csv", index=False)
    expected = LogisticRegression().fit(flights[["distance", "carrier"]], flights["late"])
    for X in (flights, tmp_path / "flights.parquet", str(tmp_path / "flights.csv"), [tmp_path / "flights.parquet"]):
        model = LogisticRegression().fit(X, "late")
        assert model.target_ == "late"
        assert model.classes_.tolist() == ["no", "yes"]
        assert model.feature_names_in_.tolist() == ["distance", "carrier"]
        np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-12)
        np.testing.assert_array_equal(model.predict(X), expected.predict(flights[["distance", "carrier"]]))
        np.testing.assert_array_equal(model.predict(flights), model.predict(X))
        assert model.score(X, "late") == expected.score(flights[["distance", "carrier"]], flights["late"])


def test_weights_by_name(flights: pd.DataFrame, rng: np.random.Generator) -> None:
    weighted = flights.assign(importance=rng.uniform(0.5, 2.0, N))
    for rule in (None, "balanced"):
        named = LogisticRegression(class_weight=rule).fit(weighted, "late", sample_weight="importance")
        given = LogisticRegression(class_weight=rule).fit(
            flights.drop(columns="late"), flights["late"], sample_weight=weighted["importance"]
        )
        np.testing.assert_allclose(named.coef_, given.coef_, rtol=1e-12)


def test_npy_file(matrix: NDArray[np.float64], target: NDArray[np.float64], tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", matrix)
    streamed = Ridge(memory_budget=2000).fit(tmp_path / "X.npy", target)
    expected = Ridge().fit(matrix, target)
    np.testing.assert_allclose(streamed.coef_, expected.coef_, rtol=1e-9)
    np.testing.assert_allclose(streamed.predict(tmp_path / "X.npy"), expected.predict(matrix), rtol=1e-9)


def test_prediction_refuses_other_tables(flights: pd.DataFrame) -> None:
    model = LogisticRegression().fit(flights[["distance", "carrier"]], flights["late"])
    with pytest.raises(ValueError, match="same order"):
        model.predict(flights[["carrier", "distance"]])
    with pytest.raises(DataError, match="not there when the model was fitted"):
        model.predict(flights[["distance", "carrier"]].assign(carrier="XX"))
    with (
        pytest.warns(UserWarning, match="valid feature names"),
        pytest.raises(DataError, match="fitted on a table with categories"),
    ):
        model.predict(np.zeros((3, 2)))
    plain = Ridge().fit(flights[["distance"]].to_numpy(), np.arange(N))
    with (
        pytest.warns(UserWarning, match="fitted without feature names"),
        pytest.raises(DataError, match="columns of categories"),
    ):
        plain.predict(flights[["carrier"]])
    by_name = LogisticRegression().fit(flights, "late")
    with pytest.raises(DataError, match="lacks the column 'distance'"):
        by_name.predict(flights[["carrier", "late"]])


def test_prediction_on_bad_numbers(matrix: NDArray[np.float64], target: NDArray[np.float64]) -> None:
    model = Ridge().fit(matrix, target)
    bad = matrix.copy()
    bad[3, 2] = np.nan
    with pytest.raises(DataError, match=r"NaN: column 2 \(1 NaN\); the first is in row 3"):
        model.predict(bad)
    assert np.isinf(LogisticRegression().fit(matrix, target > 0).decision_function(np.full((1, 5), 1e308))).all()


def test_single_class(matrix: NDArray[np.float64]) -> None:
    with pytest.raises(TargetError, match="only one class, 'a'"):
        LogisticRegression().fit(matrix, np.full(N, "a"))
    y = np.arange(N) % 2
    with pytest.raises(TargetError, match="only one class"):
        LogisticRegression().fit(matrix, y, sample_weight=y)


def test_grid_search_in_pipeline(matrix: NDArray[np.float64], target: NDArray[np.float64]) -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).set_output(transform="pandas")
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.01, 1.0, 100.0]}, cv=3)
    search.fit(pd.DataFrame(matrix, columns=list("abcde")), target > 0)
    assert search.best_score_ > 0.8
    assert search.best_estimator_[-1].feature_names_in_.tolist() == list("abcde")


def test_types_of_a_csv_file_come_from_the_model(tmp_path: Path) -> None:
    levels = np.array(["007", "1", "true", "2020-01-01"])
    code = np.tile([0, 1, 2, 3], 40)
    x = np.random.default_rng(0).normal(size=160)
    y = x + code
    path = tmp_path / "rows.csv"
    pd.DataFrame({"x": x, "c": levels[code], "y": y}).to_csv(path, index=False)
    frame = pd.DataFrame({"x": x, "c": levels[code]})
    fits = [
        Ridge(alpha=1e-9, tol=1e-9).fit(open_data(path, read_options=ReadOptions(categorical=("c",))), "y"),
        Ridge(alpha=1e-9, tol=1e-9).fit(frame, y),
    ]
    for model in fits:
        for i, level in enumerate(levels):
            path.write_text(f"x,c\n0.5,{level}\n")
            np.testing.assert_allclose(model.predict(path), 0.5 + i, atol=1e-6)


def test_labels_of_a_csv_file_come_from_the_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, path = rng.normal(size=200), tmp_path / "rows.csv"
    label = np.where(x > 0, "01", "none")
    pd.DataFrame({"x": x, "y": label}).to_csv(path, index=False)
    model = LogisticRegression(C=1e6).fit(path, "y")
    path.write_text("x,y\n3,01\n2,01\n")
    assert model.score(path, "y") == 1.0


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("budget", [None, 1])
def test_index_base_and_width_of_a_libsvm_file_come_from_the_model(
    tmp_path: Path, base: int, budget: int | None
) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)) + 1.0
    y = X @ [1.0, 2.0, 3.0, 4.0]

    def write(rows: Any, targets: Any, columns: list[int]) -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.svm"
        entries = [" ".join(f"{j + base}:{row[j]:.17g}" for j in columns) for row in rows]
        path.write_text("".join(f"{t:.17g} {e}\n" for t, e in zip(targets, entries, strict=True)))
        return path

    model = Ridge(alpha=1e-9, tol=1e-9, memory_budget=budget).fit(write(X, y, [0, 1, 2, 3]))
    by_hand = np.linalg.lstsq(np.column_stack([X, np.ones(60)]), y, rcond=None)[0]
    np.testing.assert_allclose(model.coef_, by_hand[:4], atol=1e-6)
    for columns in ([1, 2], [0], [3], [1]):
        kept = np.where(np.isin(np.arange(4), columns), X, 0.0)
        path = write(X, y, columns)
        np.testing.assert_allclose(model.predict(path), kept @ by_hand[:4] + by_hand[4], atol=1e-5)
    with pytest.raises(DataError, match="X has 6 features, but Ridge is expecting 4"):
        path = tmp_path / "wide.svm"
        path.write_text(f"1 {5 + base}:1\n")
        model.predict(path)
    if base:
        path.write_text("1 0:1\n")
        with pytest.raises(DataError, match="has the index 0"):
            model.predict(path)


def test_a_libsvm_file_that_is_open_already(tmp_path: Path) -> None:
    path = tmp_path / "a.svm"
    path.write_text("".join(f"{i} 0:{i}.5 1:{i % 3} 2:1\n" for i in range(20)))
    model = Ridge(alpha=1e-9, tol=1e-9).fit(open_data(path))
    path.write_text("0 1:1\n")
    with pytest.raises(DataError, match=r"taken to start at 1, and the model .* start at 0"):
        model.predict(open_data(path))
    right = model.coef_[1] + model.intercept_
    np.testing.assert_allclose(model.predict(open_data(path, read_options=ReadOptions(index_base=0))), [right])
    dense = Ridge(alpha=1e-9, tol=1e-9).fit(np.eye(20, 3), np.arange(20.0))
    with pytest.raises(DataError, match="does not show whether its indices start at 0 or at 1"):
        dense.predict(path)
    np.testing.assert_allclose(
        dense.predict(open_data(path, read_options=ReadOptions(index_base=0))), dense.coef_[1] + dense.intercept_
    )


def test_scores_of_a_csv_file_by_names_of_columns(tmp_path: Path, rng: np.random.Generator) -> None:
    x, v = rng.normal(size=60), rng.integers(1, 4, 60)
    y, path = 2 * x + rng.normal(size=60), tmp_path / "a.csv"
    pd.DataFrame({"x": x, "y": y, "v": v}).to_csv(path, index=False, sep=";", decimal=",")
    german = ReadOptions(separator=";", decimal=",")
    model = Ridge(tol=1e-9).fit(open_data(path, read_options=german), "y", sample_weight="v")
    residual, total = (np.sum(v * (y - about) ** 2) for about in (model.predict(x[:, None]), np.average(y, weights=v)))
    assert model.score(path, "y", sample_weight="v") == pytest.approx(1 - residual / total)


def test_later_batches_of_a_stream_are_read_as_the_first(tmp_path: Path) -> None:
    first, later, table = tmp_path / "a.svm", tmp_path / "b.svm", tmp_path / "c.csv"
    first.write_text("".join(f"{i} 0:{i}.5 1:{i % 3} 2:1\n" for i in range(20)))
    later.write_text("".join(f"{i} 1:{i % 2}\n" for i in range(20)))
    model = Ridge(tol=1e-9).partial_fit(first).partial_fit(later)
    X = np.zeros((40, 3))
    X[:20] = np.column_stack([np.arange(20) + 0.5, np.arange(20) % 3, np.ones(20)])
    X[20:, 1] = np.arange(20) % 2
    whole = Ridge(tol=1e-9).fit(X, np.tile(np.arange(20.0), 2))
    np.testing.assert_allclose(model.coef_, whole.coef_, atol=1e-4)
    table.write_text("x,c,y\n1,a1,1\n2,7,2\n3,7,4\n")
    model = Ridge().partial_fit(table, "y")
    table.write_text("x,c,y\n1,7,1\n2,7,2\n3,7,4\n")
    assert model.partial_fit(table, "y").n_samples_seen_ == 6
