"""From what a user passes to a data set."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from offbeat.data.arrays.in_memory import ConvertedSource, DenseSource
from offbeat.data.arrays.npy import NpySource
from offbeat.data.files.parquet import ParquetSource
from offbeat.data.load import Opened, as_dataset, open_data, target_values, with_columns
from offbeat.data.source import CSR
from offbeat.data.tables.encoding import EncoderOptions
from offbeat.errors import DataError, TargetError

TABLE = {
    "distance": [2.5, 1.0, 1.5, 2.0], "dest": ["SFO", "LAX", "SFO", "LAX"], "late": [1, 0, 0, 1],
    "w": [1.0, 2.0, 0.0, 1.0], "hours": [0.1, 0.2, 0.3, 0.4], "label": ["no", "yes", "no", "yes"],
}  # fmt: skip
FRAMES = {"pandas": pd.DataFrame(TABLE), "polars": pl.DataFrame(TABLE), "arrow": pa.table(TABLE)}


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    pq.write_table(pa.table(TABLE), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_arrays(rng: np.random.Generator) -> None:
    X, y, weight = rng.normal(size=(6, 2)), rng.normal(size=6), np.ones(6)
    dataset = as_dataset(X, y, sample_weight=weight, offset=list(range(6)))
    assert isinstance(dataset.source, DenseSource) and np.shares_memory(dataset.source.array, X)
    assert np.shares_memory(dataset.y, y) and np.shares_memory(dataset.weight, weight)
    assert dataset.offset.tolist() == list(range(6)) and dataset.offset.dtype == np.float64
    assert dataset.feature_names is None and dataset.encoder is None and dataset.target is None


def test_prediction_needs_no_target() -> None:
    dataset = as_dataset(np.ones((3, 2)))
    assert dataset.y.size == dataset.weight.size == dataset.offset.size == 0 and dataset.n_rows == 3


@pytest.mark.parametrize("kind", ["numpy", "memmap", "csr"])
def test_arrays_are_never_copied(tmp_path: Path, rng: np.random.Generator, kind: str) -> None:
    X = rng.normal(size=(50_000, 10))
    y = np.ones(50_000)
    given = {"numpy": lambda: X, "csr": lambda: sparse.csr_array(X), "memmap": lambda: _mapped(tmp_path, X)}[kind]()
    tracemalloc.start()
    dataset = as_dataset(given, y)
    dataset.source.read(0, 50_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert dataset.source.resident and peak < (0.2 if kind == "csr" else 0.01) * X.nbytes


def _mapped(folder: Path, X: np.ndarray) -> np.memmap:
    X.tofile(folder / "X")
    return np.memmap(folder / "X", X.dtype, "r", shape=X.shape)


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_tables_with_named_columns(frame: object) -> None:
    dataset = as_dataset(frame, "late", sample_weight="w", offset="hours", columns=["dest", "distance"])
    assert dataset.feature_names == ["dest=LAX", "dest=SFO", "distance"] and dataset.target == "late"
    assert dataset.source.read(0, 4).tolist() == [[0, 1, 2.5], [1, 0, 1], [0, 1, 1.5], [1, 0, 2]]
    assert dataset.y.tolist() == TABLE["late"] and dataset.weight.tolist() == TABLE["w"]
    assert dataset.offset.tolist() == TABLE["hours"]
    assert as_dataset(frame, "late", sample_weight="w", offset="hours").feature_names == [
        "distance", "dest=LAX", "dest=SFO", "label=no", "label=yes",
    ]  # fmt: skip


def test_table_with_separate_target() -> None:
    dataset = as_dataset(FRAMES["pandas"][["distance"]], FRAMES["pandas"]["late"])
    assert dataset.y.tolist() == TABLE["late"] and dataset.feature_names == ["distance"] and dataset.target is None


def test_classes_that_the_caller_encodes() -> None:
    opened = open_data(FRAMES["polars"])
    classes, codes = np.unique(target_values(opened, "label"), return_inverse=True)
    dataset = as_dataset(opened, codes, target="label")
    assert classes.tolist() == ["no", "yes"] and dataset.y.tolist() == [0, 1, 0, 1] and dataset.target == "label"
    assert dataset.feature_names is not None and not any(name.startswith("label") for name in dataset.feature_names)
    with pytest.raises(TargetError, match="y holds text"):
        as_dataset(opened, "label")


def test_encoder_of_the_fit_is_used_for_prediction() -> None:
    encoder = as_dataset(FRAMES["arrow"], "late", columns=["distance", "dest"]).encoder
    assert encoder is not None
    new = pd.DataFrame({"dest": ["LAX", "SFO"], "other": ["?", "!"], "distance": [1, 2]})
    dataset = as_dataset(new, encoder=encoder)
    assert dataset.source.read(0, 2).tolist() == [[1, 1, 0], [2, 0, 1]] and dataset.encoder is encoder
    with pytest.raises(DataError, match="lacks the column 'dest'"):
        as_dataset(new[["distance"]], encoder=encoder)
    with pytest.raises(DataError, match="'JFK'"):
        as_dataset(new.assign(dest="JFK"), encoder=encoder)
    loose = replace(encoder, unknown="ignore")
    assert as_dataset(new.assign(dest="JFK"), encoder=loose).source.read(0, 2).tolist() == [[1, 0, 0], [2, 0, 0]]
    with pytest.raises(DataError, match="table with categories"):
        as_dataset(np.ones((2, 3)), encoder=encoder)


def test_array_for_a_model_of_a_plain_table() -> None:
    encoder = as_dataset(pd.DataFrame({"a": [1.0, 2], "b": [3.0, 4]}), [0, 1]).encoder
    assert as_dataset(np.ones((2, 2)), encoder=encoder).feature_names == ["a", "b"]
    with pytest.raises(DataError, match="X has 3 features, but the model was fitted with 2 features: a, b"):
        as_dataset(np.ones((2, 3)), encoder=encoder)


def test_encoder_options() -> None:
    dataset = as_dataset(
        FRAMES["arrow"], "late", columns=["dest"], encoder=EncoderOptions(drop_first=True, sparse=True)
    )
    assert dataset.feature_names == ["dest=SFO"] and dataset.source.sparse


@pytest.mark.parametrize("budget", [None, 1])
def test_files_give_what_arrays_give(tmp_path: Path, rng: np.random.Generator, budget: int | None) -> None:
    X = np.round(rng.normal(size=(30, 3)), 3) + 5
    y = rng.integers(0, 2, 30)
    frame = pd.DataFrame(X, columns=list("abc")).assign(y=y)
    np.save(tmp_path / "X.npy", X)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.csv.gz", index=False)
    lines = [f"{y[i]} " + " ".join(f"{j + 1}:{X[i, j]!s}" for j in range(3)) for i in range(30)]
    for name in ("t.svm", "t.libsvm", "t.txt"):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    (tmp_path / "folder").mkdir()
    frame.to_parquet(tmp_path / "folder" / "t.parquet")
    targets = {"X.npy": y, "t.svm": None, "t.libsvm": None, "t.txt": None}
    for name in ("X.npy", "t.parquet", "t.csv", "t.csv.gz", "t.svm", "t.libsvm", "t.txt", "folder"):
        for path in (tmp_path / name, str(tmp_path / name)):
            dataset = as_dataset(path, targets.get(name, "y"), memory_budget=budget)
            block = dataset.source.read(0, 30)
            if isinstance(block, CSR):
                block = block.data[block.indptr[0] : block.indptr[-1]].reshape(30, 3)
            np.testing.assert_array_equal(block, X)
            np.testing.assert_array_equal(dataset.y, y)
            assert dataset.source.resident == (budget is None)


def test_large_files_are_streamed(tmp_path: Path, parquet: Path) -> None:
    np.save(tmp_path / "X.npy", np.ones((100, 5)))
    assert isinstance(as_dataset(tmp_path / "X.npy", memory_budget="1kB").source, NpySource)
    dataset = as_dataset(parquet, "late", columns=["distance"], memory_budget=8)
    assert isinstance(dataset.source, ParquetSource) and dataset.memory_budget == 8
    assert as_dataset([parquet, parquet], "late", columns=["distance"]).n_rows == 8


def test_opened_files_are_not_opened_again(parquet: Path) -> None:
    opened = open_data(parquet)
    parquet.rename(parquet.with_suffix(".moved"))
    assert isinstance(opened, Opened) and opened.n_rows == 4
    assert open_data(opened) is opened
    with pytest.raises(DataError, match="does not exist"):
        open_data(parquet)


def test_sources_and_tables_pass() -> None:
    source = as_dataset(np.ones((3, 2))).source
    assert as_dataset(source, [1, 2, 3]).source is source
    table = open_data(FRAMES["arrow"]).table
    assert as_dataset(table, "late").n_rows == 4


def test_labels_of_libsvm(tmp_path: Path) -> None:
    path = tmp_path / "a.svm"
    path.write_text("1 1:0.5 3:2\n-1 2:1\n")
    assert target_values(path).tolist() == [1, -1]
    assert as_dataset(path, [5, 6]).y.tolist() == [5, 6]
    source = with_columns(as_dataset(path).source, 9)
    assert source.shape == (2, 9) and with_columns(source, 4) is source
    spilled = with_columns(as_dataset(path, memory_budget=1).source, 9)
    assert spilled.shape == (2, 9) and not spilled.resident
    dense = as_dataset(np.ones((2, 2))).source
    assert with_columns(dense, 9) is dense


@pytest.mark.parametrize(
    ("X", "message"),
    [(np.ones((0, 3)), r"0 sample\(s\) \(shape=\(0, 3\)\) while a minimum of 1 is required"),
     (np.ones((3, 0)), r"0 feature\(s\) \(shape=\(3, 0\)\) while a minimum of 1 is required"),
     (sparse.csr_array((0, 3)), r"0 sample\(s\)"), (pd.DataFrame({"a": []}), r"0 sample\(s\)"), ([], "1D array"),
     (pd.DataFrame(index=range(3)), r"0 (feature|sample)\(s\)"), (np.ones(3), "Reshape your data"),
     (np.ones((2, 2, 2)), "dim 3"), (np.ones((2, 2), complex), "Complex data not supported"),
     ([[1, 2], [3]], "same length"), ([["a", "b"]], "real numbers"), (5, "X has shape|dim"), (None, "X|dim"),
     (np.array([[1, "LAX"]], object), "'LAX' in column 1, row 0 is not a number.*Pass a table"),
     (np.ma.masked_invalid([[1.0, np.nan]]), "1 masked values"), (Path("none.parquet"), "does not exist"),
     ("none.csv", "does not exist"), (pd.Series([1.0]), "Reshape your data")],
)  # fmt: skip
def test_what_cannot_be_features(X: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_dataset(X)


def test_objects_that_are_numbers() -> None:
    dataset = as_dataset(np.array([[1, 2.5], [True, np.float32(3)]], object))
    assert dataset.source.read(0, 2).tolist() == [[1, 2.5], [1, 3]]


def test_objects_that_are_not_are_a_type_error_too() -> None:
    with pytest.raises(TypeError, match=r"argument must be .* string.* number, not 'dict'") as caught:
        as_dataset(np.array([[1, {"foo": "bar"}]], object))
    assert isinstance(caught.value, DataError)


def test_lists_integers_and_masks_without_masked_values() -> None:
    assert as_dataset([[1, 2], [3, 4]]).source.read(0, 2).tolist() == [[1, 2], [3, 4]]
    assert isinstance(as_dataset(np.ones((2, 2), np.int64)).source, ConvertedSource)
    assert as_dataset(np.ma.array([[1.0]])).source.read(0, 1).tolist() == [[1]]


@pytest.mark.parametrize("role", ["sample_weight", "offset"])
def test_lengths_that_differ(role: str) -> None:
    with pytest.raises(TargetError, match="X has 3 rows, y has 2"):
        as_dataset(np.ones((3, 2)), [1, 2])
    with pytest.raises(TargetError, match="X has 3 rows, y has 2"):
        target_values(np.ones((3, 2)), [1, 2])
    with pytest.raises(DataError, match=f"X has 3 rows, {role} has 4"):
        as_dataset(np.ones((3, 2)), [1, 2, 3], **{role: [1, 2, 3, 4]})


def test_names_where_there_are_none() -> None:
    with pytest.raises(TargetError, match="y='late' names a column, but X is a matrix"):
        as_dataset(np.ones((2, 2)), "late")
    with pytest.raises(DataError, match="sample_weight='w' names a column"):
        as_dataset(np.ones((2, 2)), [1, 2], sample_weight="w")
    with pytest.raises(DataError, match="without names"):
        as_dataset(np.ones((2, 2)), [1, 2], columns=["a"])
    with pytest.raises(TargetError, match="There is no target"):
        target_values(np.ones((2, 2)))


def test_types_of_a_csv_file_are_those_of_the_encoder(tmp_path: Path) -> None:
    encoder = as_dataset(pa.table({"c": ["007", "true"], "x": [1.0, 2.0]})).encoder
    path = tmp_path / "a.csv"
    path.write_text("x,c\n3,007\n")
    assert as_dataset(path, encoder=encoder).source.read(0, 1).tolist() == [[1, 0, 3]]


@pytest.mark.parametrize("kwargs", [{"y": "nope"}, {"sample_weight": "nope"}, {"offset": "nope"}, {"columns": ["nope"]},
                                    {"target": "nope"}])  # fmt: skip
def test_columns_that_do_not_exist(kwargs: dict[str, object]) -> None:
    with pytest.raises(DataError, match="no column 'nope'; the table has distance, dest"):
        as_dataset(FRAMES["arrow"], **{"y": "late", **kwargs})


def test_columns_must_be_a_list() -> None:
    with pytest.raises(DataError, match="pass a list"):
        as_dataset(FRAMES["arrow"], "late", columns="dest")


@pytest.mark.parametrize("name", ["a.xlsx", "a", "a.npy.gz", "a.svm.zst"])
def test_unknown_kinds_of_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("?")
    with pytest.raises(DataError, match=r"no known type. Known are \.parquet"):
        as_dataset(tmp_path / name)


def test_nan_in_features_is_left_for_the_first_pass() -> None:
    X = np.array([[1.0, np.nan]])
    assert as_dataset(X, [1]).source.read(0, 1) is not None
