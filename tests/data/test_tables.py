"""Tables in memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

from offbeat.data.arrays.in_memory import ConvertedSource, CSRSource, DenseSource
from offbeat.data.load import as_dataset
from offbeat.data.source import CSR
from offbeat.data.tables.encoding import Encoder, EncoderOptions
from offbeat.data.tables.in_memory import MemoryTable, memory_table
from offbeat.data.tables.table import Tabular, column_values, encoded_bytes, fit_encoder
from offbeat.errors import DataError, TargetError

COLUMNS = {"x": [1.5, 2.5, 3.5], "i": [1, 2, 3], "s": ["b", "a", "b"], "t": [True, False, True]}
EXPECTED = [[1.5, 1, 0, 1, 1], [2.5, 2, 1, 0, 0], [3.5, 3, 0, 1, 1]]
NAMES = ["x", "i", "s=a", "s=b", "t"]


def matrix(X: object, options: EncoderOptions | None = None) -> tuple[np.ndarray, list[str]]:
    table = memory_table(X)
    assert table is not None and isinstance(table, Tabular)
    encoder = fit_encoder(table, table.schema.names, options)
    source = table.source(encoder, 0)
    block = source.read(0, table.n_rows)
    assert not isinstance(block, CSR)
    return block, encoder.feature_names


def pandas_frames() -> dict[str, pd.DataFrame]:
    plain = pd.DataFrame(COLUMNS)
    return {
        "plain": plain,
        "category": plain.astype({"s": "category"}),
        "object": plain.astype({"s": object, "i": object, "t": object}),
        "masked": plain.astype({"x": "Float64", "i": "Int64", "t": "boolean"}),
        "arrow": plain.astype({"x": "double[pyarrow]", "i": "int8[pyarrow]", "s": "string[pyarrow]"}),
        "index": plain.set_index(pd.Index([5, 5, 7])),
        "decimal": plain.assign(x=[Decimal("1.5"), Decimal("2.5"), Decimal("3.5")]),
        "big-endian": plain.astype({"x": ">f8"}),
        "long double": plain.assign(x=plain["x"].to_numpy(dtype=np.longdouble)),
    }


@pytest.mark.parametrize("name", pandas_frames())
def test_pandas(name: str) -> None:
    X, names = matrix(pandas_frames()[name])
    assert X.tolist() == EXPECTED and names == NAMES


@pytest.mark.parametrize(
    "frame",
    [pl.DataFrame(COLUMNS), pl.DataFrame(COLUMNS).lazy(), pl.DataFrame(COLUMNS, schema_overrides={"s": pl.Categorical}),
     pl.DataFrame(COLUMNS, schema_overrides={"s": pl.Enum(["b", "z", "a"])}),
     pl.concat([pl.DataFrame(COLUMNS)[:1], pl.DataFrame(COLUMNS)[1:]], rechunk=False),
     pa.table(COLUMNS), pa.record_batch(COLUMNS), pa.table(COLUMNS).to_reader()],
    ids=["polars", "lazy", "categorical", "enum", "chunks", "arrow", "batch", "reader"],
)  # fmt: skip
def test_other_libraries(frame: object) -> None:
    X, names = matrix(frame)
    assert X.tolist() == EXPECTED and names == NAMES


def test_anything_that_exports_arrow() -> None:
    class Exporter:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return pa.table(COLUMNS).__arrow_c_stream__(requested_schema)

    assert matrix(Exporter())[0].tolist() == EXPECTED


def test_subclass_of_a_frame() -> None:
    class Frame(pd.DataFrame):
        pass

    assert matrix(Frame(COLUMNS))[0].tolist() == EXPECTED


@pytest.mark.parametrize("X", [np.ones((2, 2)), [[1.0]], "file.csv", None, 3])
def test_not_tables(X: object) -> None:
    assert memory_table(X) is None


@pytest.mark.parametrize("X", [pd.Series([1.0]), pl.Series([1.0]), pa.array([1.0]), pa.chunked_array([[1.0]])])
def test_one_column_is_not_a_table(X: object) -> None:
    with pytest.raises(DataError, match="Reshape your data"):
        memory_table(X)


def test_frame_that_is_one_block_is_used_in_place(rng: np.random.Generator) -> None:
    X = rng.normal(size=(50, 4))
    frame = pd.DataFrame(X, columns=list("abcd"), copy=False)
    table = memory_table(frame)
    assert table is not None
    source = table.source(fit_encoder(table, list("abcd")), 0)
    assert isinstance(source, DenseSource) and np.shares_memory(source.read(0, 50), X)


def test_frame_stored_by_columns_is_used_in_place(rng: np.random.Generator) -> None:
    X = np.asfortranarray(rng.normal(size=(50, 4)).astype(np.float32))
    table = memory_table(pd.DataFrame(X, columns=list("abcd"), copy=False))
    assert table is not None
    source = table.source(fit_encoder(table, list("abcd")), 0)
    assert isinstance(source, ConvertedSource) and np.shares_memory(source.array, X) and source.dtype == np.float32
    np.testing.assert_array_equal(source.read(5, 9), X[5:9])


def test_some_columns_of_one_block(rng: np.random.Generator) -> None:
    X = rng.normal(size=(50, 4))
    table = memory_table(pd.DataFrame(X, columns=list("abcd")))
    assert table is not None
    for names in (["b", "d"], ["d", "c", "b", "a"]):
        source = table.source(fit_encoder(table, names), 0)
        np.testing.assert_array_equal(source.read(0, 50), X[:, ["abcd".index(name) for name in names]])


@pytest.mark.parametrize("library", ["pandas dict", "pandas block", "polars", "arrow"])
def test_numbers_are_copied_at_most_once(rng: np.random.Generator, library: str) -> None:
    X = rng.normal(size=(200_000, 8))
    columns = {f"x{j}": X[:, j].copy() for j in range(8)}
    make = {
        "pandas dict": lambda: pd.DataFrame(columns), "pandas block": lambda: pd.DataFrame(X).assign(i=1),
        "polars": lambda: pl.DataFrame(columns), "arrow": lambda: pa.table(columns),
    }  # fmt: skip
    if library == "pandas block" and int(pd.__version__.partition(".")[0]) < 3:
        pytest.skip("pandas 2 copies a block of which a column is taken")
    frame = make[library]()
    arrow = pa.total_allocated_bytes()
    tracemalloc.start()
    table = memory_table(frame)
    assert table is not None
    source = table.source(fit_encoder(table, table.schema.names), 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = source.shape[0] * source.shape[1] * 8
    assert peak < 1.05 * size and pa.total_allocated_bytes() - arrow < 0.1 * size
    np.testing.assert_array_equal(source.read(0, 200_000)[:, :8], X)


def test_float32_stays() -> None:
    for frame in (pd.DataFrame(np.ones((3, 2), np.float32)), pl.DataFrame(np.ones((3, 2), np.float32))):
        assert matrix(frame)[0].dtype == np.float32


def test_sparse_matrix_of_a_table() -> None:
    table = memory_table(pd.DataFrame({"c": [f"v{i:02d}" for i in range(40)], "x": np.arange(40.0)}))
    assert table is not None
    encoder = fit_encoder(table, ["c", "x"])
    source = table.source(encoder, 0)
    block = source.read(3, 5)
    assert source.sparse and source.shape == (40, 41) and block.indptr.tolist() == [6, 8, 10]
    assert encoded_bytes(encoder, 40) == sum(part.nbytes for part in source.read(0, 40)) - 4


def test_names_that_are_not_text() -> None:
    assert matrix(pd.DataFrame(np.ones((2, 2))))[1] == ["0", "1"]


def test_names_that_repeat() -> None:
    with pytest.raises(DataError, match="column name 'a' appears more than once"):
        memory_table(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match="column name 'a' appears 2 times"):
        matrix(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))


@pytest.mark.parametrize(
    ("column", "message"),
    [([1, "a", 2.5], "holds neither only numbers nor only text"), ([{1: 2}, "a", 3], r"\{1: 2\} of type dict"),
     ([object()] * 3, "type object"), ([1 + 2j] * 3, "Complex data"),
     (pd.date_range("2020", periods=3), "timestamp"), ([[1], [2], [3]], "Spread")],
)  # fmt: skip
def test_columns_that_cannot_be_used(column: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        matrix(pd.DataFrame({"ok": [1.0, 2, 3], "odd": column}))


def test_objects_of_polars() -> None:
    with pytest.raises(DataError, match="Column 'o'"):
        matrix(pl.DataFrame({"o": [object(), object()]}))


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame, pa.table])
def test_missing_values(library) -> None:  # type: ignore[no-untyped-def]
    frame = library({"a": [1.0, None, 3.0], "b": ["u", None, None], "c": [1, 2, 3]})
    with pytest.raises(DataError, match=r"Input X contains NaN or null.*'a' \(1 rows\), 'b' \(2 rows\)|'b' \(2 rows\)"):
        matrix(frame)


def test_nan_among_numbers_only() -> None:
    for frame in (pl.DataFrame({"a": [1.0, np.nan], "b": [1, 2]}), pd.DataFrame({"a": [1.0, np.nan], "b": [1, 2]})):
        with pytest.raises(DataError, match=r"'a' \(1 rows\)"):
            matrix(frame)


def test_column_values() -> None:
    table = memory_table(pd.DataFrame({**COLUMNS, "c": pd.Categorical(["u", "v", "u"])}))
    assert table is not None
    assert column_values(table, "c").tolist() == ["u", "v", "u"]
    assert column_values(table, "t").dtype == bool and column_values(table, "i").dtype == np.int64
    with pytest.raises(DataError, match="no column 'z'; the table has x, i, s, t, c"):
        column_values(table, "z")
    table = memory_table(pa.table({"y": ["a", None, None]}))
    assert table is not None
    with pytest.raises(TargetError, match="'y' has missing values, 2 in all; the first is in row 1"):
        column_values(table, "y")


def test_many_batches(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    monkeypatch.setattr("offbeat.data.tables.in_memory.BATCH_ROWS", 7)
    x, codes = rng.normal(size=100), rng.integers(0, 3, 100)
    frame = pd.DataFrame({"x": x, "c": pd.Categorical.from_codes(codes, ["p", "q", "r"])})
    np.testing.assert_array_equal(matrix(frame)[0], np.column_stack([x, np.eye(3)[codes]]))


def test_no_library_is_imported_to_recognise_tables() -> None:
    code = (
        "import sys, numpy as np; from offbeat.data.load import as_dataset; as_dataset(np.ones((2, 2)), [0, 1]); "
        "print([m for m in ('pandas', 'polars', 'pyarrow', 'sklearn') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_empty_table_has_no_rows() -> None:
    assert MemoryTable.from_arrow(pa.table({})).n_rows == 0
    assert list(MemoryTable.from_arrow(pa.table({"x": pa.array([], pa.float64())})).batches(["x"])) == []


def sparse_frame(matrix: sparse.csr_array, **more: object) -> pd.DataFrame:
    frame = pd.DataFrame.sparse.from_spmatrix(matrix)
    return frame.rename(columns=str).assign(**more)


def test_sparse_columns_of_pandas_stay_sparse() -> None:
    matrix = sparse.random_array((200, 300), density=0.05, rng=np.random.default_rng(0), format="csr")
    frame = sparse_frame(matrix, y=np.arange(200.0))
    dataset = as_dataset(frame, "y")
    assert isinstance(dataset.source, CSRSource)
    block = dataset.source.read(0, 200)
    assert block.n_stored == matrix.nnz
    np.testing.assert_array_equal(sparse.csr_array(block[::-1], shape=matrix.shape).toarray(), matrix.toarray())
    assert dataset.encoder is not None and dataset.encoder.plain
    few = as_dataset(sparse_frame(matrix), encoder=dataset.encoder).source
    assert isinstance(few, CSRSource)
    full = as_dataset(pd.DataFrame(matrix.toarray()).rename(columns=str), encoder=dataset.encoder).source
    np.testing.assert_array_equal(full.read(3, 9), matrix.toarray()[3:9])


def test_sparse_columns_beside_others() -> None:
    values = np.array([0.0, 0.0, 1.5, 0.0, 2.5])
    frame = pd.DataFrame(
        {
            "a": pd.arrays.SparseArray(values, fill_value=0.0, kind="block"),
            "b": pd.arrays.SparseArray(values.astype(int)),
            "c": pd.arrays.SparseArray(values > 0),
            "d": pd.arrays.SparseArray(np.array(["u", "v", "u", "u", "v"], dtype=object)),
            "e": np.arange(5.0),
        }
    )
    read = as_dataset(frame, np.zeros(5)).source.read(0, 5)
    v = np.array([0.0, 1.0, 0.0, 0.0, 1.0])
    right = [values, values.astype(int), values > 0, 1.0 - v, v, np.arange(5.0)]
    np.testing.assert_array_equal(read, np.column_stack(right))
    with pytest.raises(DataError, match="missing in 'a' \\(2 rows\\)"):
        as_dataset(pd.DataFrame({"a": pd.arrays.SparseArray([np.nan, 1.0, np.nan])}), np.zeros(3))


@pytest.mark.parametrize("library", ["pandas", "arrow"])
def test_categories_of_large_whole_numbers(library: str) -> None:
    numbers = np.array([2**64 - 1, 3, 2**63 + 5, 3], dtype=np.uint64)
    column = pd.Categorical(numbers) if library == "pandas" else pa.array(numbers).dictionary_encode()
    table = pd.DataFrame({"c": column}) if library == "pandas" else pa.table({"c": column})
    dataset = as_dataset(table, np.zeros(4))
    assert dataset.feature_names == ["c=3", f"c={2**63 + 5}", f"c={2**64 - 1}"]
    np.testing.assert_array_equal(dataset.source.read(0, 4), [[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0]])
    assert dataset.encoder is not None
    again = Encoder.from_dict(json.loads(json.dumps(dataset.encoder.to_dict())))
    signed = pa.table({"c": pa.array([3, 3]).dictionary_encode()})
    np.testing.assert_array_equal(again.transform(signed), [[1, 0, 0], [1, 0, 0]])
    with pytest.raises(DataError, match=rf"a level that was not there when the model was fitted: {2**63} "):
        again.transform(pa.table({"c": pa.array(np.array([2**63], np.uint64)).dictionary_encode()}))
    below = Encoder.fit(pa.table({"c": pa.array([-1, 3]).dictionary_encode()}))
    with pytest.raises(DataError, match=str(2**63)):
        below.transform(pa.table({"c": pa.array(np.array([3, 2**63], np.uint64)).dictionary_encode()}))
