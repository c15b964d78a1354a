"""Parquet files and folders, in memory and streamed."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from offbeat.data.arrays.in_memory import CSRSource, DenseSource
from offbeat.data.files import parquet
from offbeat.data.files.parquet import ParquetSource, ParquetTable, parquet_table
from offbeat.data.source import CSR, Source
from offbeat.data.tables.encoding import Encoder, EncoderOptions
from offbeat.data.tables.table import Tabular, column_values, count_missing, encoded_bytes, feature_columns, fit_encoder
from offbeat.errors import DataError

N = 1000
BIG = 1 << 30


@pytest.fixture
def table(rng: np.random.Generator) -> pa.Table:
    codes = rng.integers(0, 45, N)
    return pa.table({"x": rng.normal(size=N), "c": [f"v{code:02d}" for code in codes], "i": np.arange(N),
                     "d": pa.array([f"w{code % 3}" for code in codes]).dictionary_encode()})  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, table: pa.Table) -> Path:
    """Three files, also one without rows, with row groups that fit nothing."""
    pq.write_table(table[:330], tmp_path / "a.parquet", row_group_size=97)
    pq.write_table(table[:0], tmp_path / "b.parquet")
    (tmp_path / "inner").mkdir()
    pq.write_table(table[330:600], tmp_path / "inner" / "a.parquet", row_group_size=64)
    pq.write_table(table[600:], tmp_path / "inner" / "z.parquet")
    (tmp_path / "_metadata.parquet").write_text("not one of the files")
    (tmp_path / "notes.txt").write_text("nor this")
    return tmp_path


def toarray(block: object, n_columns: int) -> np.ndarray:
    if isinstance(block, CSR):
        return sparse.csr_array((block.data, block.indices, block.indptr), shape=(block.n_rows, n_columns)).toarray()
    assert isinstance(block, np.ndarray)
    return block


def expected(table: pa.Table, encoder: Encoder) -> np.ndarray:
    return toarray(encoder.transform(table), len(encoder.feature_names))


def test_small_tables_are_decoded_once(folder: Path, table: pa.Table) -> None:
    files = parquet_table(folder)
    assert isinstance(files, Tabular) and files.n_rows == N
    encoder = fit_encoder(files, ["x", "d"])
    source = files.source(encoder, BIG)
    assert isinstance(source, DenseSource) and encoder.feature_names == ["x", "d=w0", "d=w1", "d=w2"]
    np.testing.assert_array_equal(source.read(0, N), expected(table, encoder))
    encoder = fit_encoder(files, ["x", "c", "i", "d"])
    source = files.source(encoder, BIG)
    assert isinstance(source, CSRSource) and source.shape == (N, 50)
    np.testing.assert_array_equal(toarray(source.read(0, N), 50), expected(table, encoder))


def test_the_budget_decides(folder: Path) -> None:
    files = parquet_table(folder)
    encoder = fit_encoder(files, ["x", "d"])
    size = encoded_bytes(encoder, N)
    assert size == N * 4 * 8
    assert files.source(encoder, size).resident and not files.source(encoder, size - 1).resident


@pytest.mark.parametrize("sparse_", [False, True])
@pytest.mark.parametrize("batch", [7, 50, 10**6])
def test_streams_the_same_rows(
    folder: Path, table: pa.Table, sparse_: bool, batch: int, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(parquet, "batch_rows", lambda n_columns: batch)
    files = parquet_table(folder)
    encoder = fit_encoder(files, ["x", "c", "i", "d"], EncoderOptions(sparse=sparse_))
    source = files.source(encoder, 0)
    assert isinstance(source, ParquetSource) and isinstance(source, Source)
    assert source.shape == (N, 50) and source.sparse == sparse_ and source.dtype == np.float64
    X = expected(table, encoder)
    np.testing.assert_array_equal(toarray(source.read(0, N), 50), X)
    for start in range(0, N, 130):  # in order
        stop = min(start + 130, N)
        np.testing.assert_array_equal(toarray(source.read(start, stop), 50), X[start:stop])
    for start, stop in np.sort(rng.integers(0, N + 1, (15, 2)), axis=1):  # anywhere
        np.testing.assert_array_equal(toarray(source.read(int(start), int(stop)), 50), X[start:stop])


def test_dense_rows_land_in_the_callers_memory(folder: Path, table: pa.Table) -> None:
    files = parquet_table(folder)
    encoder = fit_encoder(files, ["x", "i"])
    out = np.full(500, -1.0)
    block = files.source(encoder, 0).read(300, 500, out)
    assert isinstance(block, np.ndarray) and np.shares_memory(block, out) and (out[400:] == -1).all()
    np.testing.assert_array_equal(block, expected(table, encoder)[300:500])


def test_reading_on_does_not_decode_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "batch_rows", lambda n_columns: 10)
    opened = []
    original = ParquetTable.read_fragment
    monkeypatch.setattr(
        ParquetTable, "read_fragment", lambda *args: opened.append(args[1].path.name) or original(*args)
    )
    files = parquet_table(folder)
    source = files.source(fit_encoder(files, ["x"]), 0)
    for start in range(0, N, 20):
        source.read(start, start + 20)
    assert opened == ["a.parquet", "a.parquet", "z.parquet"]


def test_two_shards_go_on_where_they_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "batch_rows", lambda n_columns: 10)
    path = folder / "inner" / "z.parquet"  # one row group of 400 rows
    files = parquet_table(path)
    source = files.source(fit_encoder(files, ["i"]), 0)
    decoded = []
    original = parquet._Reader.take

    def take(self, start: int, stop: int):  # type: ignore[no-untyped-def]
        decoded.append(stop - self.row)
        return original(self, start, stop)

    monkeypatch.setattr(parquet._Reader, "take", take)
    for _ in range(3):
        for start in range(0, 200, 20):
            for shard in (0, 200):
                block = source.read(shard + start, shard + start + 20)
                assert block[0, 0] == 600 + shard + start
    assert sum(decoded) <= 3 * 400 + 200  # the second shard skipped the first once at most


def test_idle_readers_are_few_and_closed(folder: Path) -> None:
    files = parquet_table(folder / "inner" / "z.parquet")
    source = files.source(fit_encoder(files, ["i"]), 0)
    assert isinstance(source, ParquetSource)
    for start in range(390, 0, -1):
        assert source.read(start, start + 1)[0, 0] == 600 + start
        assert len(source._idle) <= source._max_idle
    source.close()
    assert source._idle == [] and source.read(3, 4)[0, 0] == 603


def test_threads_read_side_by_side(folder: Path, table: pa.Table) -> None:
    files = parquet_table(folder)
    encoder = fit_encoder(files, ["x", "c"])
    source = files.source(encoder, 0)
    X, width = expected(table, encoder), len(encoder.feature_names)

    def shard(first: int) -> np.ndarray:
        return np.concatenate([toarray(source.read(a, a + 25), width) for a in range(first, first + 250, 25)])

    for _ in range(3):
        with ThreadPoolExecutor(4) as pool:
            np.testing.assert_array_equal(np.concatenate(list(pool.map(shard, range(0, N, 250)))), X)


def test_pickles(folder: Path, table: pa.Table) -> None:
    files = parquet_table(folder)
    encoder = fit_encoder(files, ["x", "d"])
    source = files.source(encoder, 0)
    source.read(0, 10)
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy.read(5, 15), expected(table, encoder)[5:15])


def test_only_columns_that_are_used_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    original = ParquetTable.read_fragment
    monkeypatch.setattr(ParquetTable, "read_fragment", lambda *args: seen.append(tuple(args[3])) or original(*args))
    files = parquet_table(folder)
    encoder = fit_encoder(files, ["x", "d"])
    assert set(seen) == {("d",)}
    seen.clear()
    files.source(encoder, 0).read(0, N)
    assert set(seen) == {("x", "d")}
    seen.clear()
    assert column_values(files, "i").tolist() == list(range(N)) and set(seen) == {("i",)}


def test_lists_of_files_keep_their_order(folder: Path, table: pa.Table) -> None:
    files = parquet_table([folder / "inner" / "z.parquet", str(folder / "a.parquet")])
    assert column_values(files, "i").tolist() == [*range(600, N), *range(330)]


def test_written_by_others(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1.0, 2.0], "c": pd.Categorical(["u", "v"])}).to_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"x": [3.0, 4.0], "c": ["v", "u"]}).write_parquet(tmp_path / "b.parquet")
    files = parquet_table(tmp_path)
    source = files.source(fit_encoder(files, ["x", "c"]), 0)
    assert source.read(0, 4).tolist() == [[1, 1, 0], [2, 0, 1], [3, 0, 1], [4, 1, 0]]


def test_nulls_are_known_from_the_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"x": [1.0, None, 2.0], "c": ["u", None, None], "ok": [1, 2, 3]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    files = parquet_table(tmp_path)
    monkeypatch.setattr(ParquetTable, "batches", None)
    with pytest.raises(DataError, match=r"'x' \(1 rows\), 'c' \(2 rows\)"):
        fit_encoder(files, ["ok", "x", "c"])
    assert fit_encoder(files, ["ok"]).feature_names == ["ok"]


@pytest.mark.parametrize("budget", [0, BIG])
def test_missing_values_found_while_reading(tmp_path: Path, budget: int) -> None:
    x = np.ones(500)
    x[[7, 400, 401]] = np.nan
    table = pa.table({"x": x, "z": pa.array([None] * 2 + [1.0] * 498), "ok": x.size * [1]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=100, write_statistics=False)
    files = parquet_table(tmp_path)
    encoder = fit_encoder(files, ["x", "z", "ok"])
    with pytest.raises(DataError, match=r"'x' \(3 rows\), 'z' \(2 rows\)"):
        files.source(encoder, budget).read(0, 50)
    assert count_missing(files, ["x", "z", "ok"]) == {"x": 3, "z": 2}


def test_threads_count_missing_values_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"x": [np.nan] * 100}), tmp_path / "a.parquet")
    files = parquet_table(tmp_path)
    source = files.source(fit_encoder(files, ["x"]), 0)
    calls, barrier = [], threading.Barrier(4)
    original = parquet.count_missing
    monkeypatch.setattr(parquet, "count_missing", lambda *args: calls.append(1) or original(*args))

    def read(start: int) -> str:
        barrier.wait()
        with pytest.raises(DataError) as caught:
            source.read(start, start + 10)
        return str(caught.value)

    with ThreadPoolExecutor(4) as pool:
        messages = set(pool.map(read, range(4)))
    assert len(calls) == 1 and len(messages) == 1 and "(100 rows)" in messages.pop()


def test_unknown_level_in_a_later_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"c": ["u", "v"]}), tmp_path / "a.parquet")
    encoder = fit_encoder(parquet_table(tmp_path), ["c"])
    pq.write_table(pa.table({"c": ["u", "w"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match="'w'"):
        parquet_table(tmp_path).source(encoder, 0).read(0, 4)


def _damage_footer(content: bytes) -> bytes:
    return content[:-48] + b"\xff" * 32 + content[-16:]


def _damage_page(content: bytes) -> bytes:
    return content[:4] + b"\xff" * 60 + content[64:]


DAMAGES = [lambda c: b"", lambda c: b"hello", lambda c: c[: len(c) // 2], _damage_footer, _damage_page]


@pytest.mark.parametrize("damage", DAMAGES, ids=["empty", "short", "half", "footer", "page"])
@pytest.mark.parametrize("budget", [0, BIG])
def test_damaged_files(folder: Path, damage, budget: int) -> None:  # type: ignore[no-untyped-def]
    path = folder / "inner" / "a.parquet"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"inner/a\.parquet.*(damaged|truncated)"):
        files = parquet_table(folder)
        files.source(fit_encoder(files, ["x"]), budget).read(0, N)


def test_file_that_disappears(folder: Path) -> None:
    files = parquet_table(folder)
    source = files.source(fit_encoder(files, ["x"]), 0)
    (folder / "a.parquet").unlink()
    with pytest.raises(DataError, match=r"a\.parquet cannot be read"):
        source.read(0, 10)


def test_files_that_do_not_fit_together(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0], "c": ["u"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [1], "c": ["u"]}), tmp_path / "b.parquet")
    assert parquet_table(tmp_path).n_rows == 2
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "d.parquet")
    with pytest.raises(DataError, match=r"a\.parquet has 'c', .*d\.parquet does not"):
        parquet_table(tmp_path)
    pq.write_table(pa.table({"c": ["u"], "x": ["1"]}), tmp_path / "d.parquet")
    with pytest.raises(DataError, match=r"'x' has type double in .*a\.parquet, but string in .*d\.parquet"):
        parquet_table(tmp_path)


def test_columns_in_another_order(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0], "z": [2.0]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"z": [4.0], "x": [3.0]}), tmp_path / "b.parquet")
    files = parquet_table(tmp_path)
    assert files.source(fit_encoder(files, ["x", "z"]), 0).read(0, 2).tolist() == [[1, 2], [3, 4]]


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no file named \*\.parquet"):
        parquet_table(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        parquet_table(tmp_path / "none")
    with pytest.raises(DataError, match="list of Parquet files is empty"):
        parquet_table([])
    (tmp_path / "year=2013").mkdir()
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "year=2013" / "a.parquet")
    with pytest.raises(DataError, match=r"'year=2013'.*partition"):
        parquet_table(tmp_path)
    assert parquet_table([tmp_path / "year=2013" / "a.parquet"]).n_rows == 1


@pytest.mark.parametrize("budget", [0, BIG])
def test_the_type_is_the_widest_of_all_files(tmp_path: Path, budget: int) -> None:
    seconds = 1.7e9 + np.arange(6.0)  # float32 has steps of 128 here
    exact = {"a": seconds[:2].astype(np.float32), "b": seconds[2:4], "c": seconds[4:].astype(np.int64)}
    for names in (["a", "b", "c"], ["c", "b", "a"], ["b", "a", "c"], ["a", "c"]):
        for name in names:
            pq.write_table(pa.table({"t": exact[name]}), tmp_path / f"{name}.parquet")
        files = parquet_table([tmp_path / f"{name}.parquet" for name in names])
        source = files.source(fit_encoder(files, ["t"]), budget)
        assert source.dtype == np.float64
        rows = np.concatenate([exact[name].astype(np.float64) for name in names])
        np.testing.assert_array_equal(toarray(source.read(0, len(rows)), 1).ravel(), rows)
        np.testing.assert_array_equal(column_values(files, "t"), rows)


def test_a_column_without_values_in_one_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"c": pa.nulls(2)}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"c": ["u", "v"]}), tmp_path / "b.parquet")
    files = parquet_table(tmp_path)
    with pytest.raises(DataError, match=r"missing in 'c' \(2 rows\)"):
        files.source(fit_encoder(files, ["c"]), BIG)


def test_columns_that_are_no_features_may_be_of_any_type(tmp_path: Path) -> None:
    for name, dtype, items in (("a", "us", pa.int8()), ("b", "ns", pa.string())):
        when, nested = pa.array([0], pa.timestamp(dtype)), pa.array([None], pa.list_(items))
        pq.write_table(pa.table({"x": [1.0], "when": when, "nested": nested}), tmp_path / f"{name}.parquet")
    files = parquet_table(tmp_path)
    assert files.source(fit_encoder(files, ["x"]), BIG).read(0, 2).tolist() == [[1], [1]]
    with pytest.raises(DataError, match="'when' has type timestamp"):
        fit_encoder(files, ["x", "when"])
    pq.write_table(pa.table({"x": [1.0], "when": [2.0], "nested": [3.0]}), tmp_path / "c.parquet")
    with pytest.raises(DataError, match=r"'when' has type timestamp\[us\] in .*a\.parquet, but"):
        parquet_table(tmp_path)


def test_the_index_of_pandas_is_no_feature(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0]}, index=[7, 5, 6])
    frame.to_parquet(tmp_path / "a.parquet")
    frame.rename_axis("id").to_parquet(tmp_path / "d.parquet")
    for name in ("a", "d"):
        files = parquet_table(tmp_path / f"{name}.parquet")
        assert feature_columns(files, []) == ["x"] and len(files.schema) == 2
    pq.write_table(pq.read_table(tmp_path / "a.parquet").replace_schema_metadata(None), tmp_path / "e.parquet")
    assert feature_columns(parquet_table(tmp_path / "e.parquet"), []) == ["x"]
    pq.write_table(pa.table({"x": [1.0], "__null_dask_index__": [7]}), tmp_path / "g.parquet")
    assert feature_columns(parquet_table(tmp_path / "g.parquet"), []) == ["x"]
    pq.write_table(pa.table({"x": [1.0]}, metadata={b"pandas": b"not json"}), tmp_path / "f.parquet")
    assert feature_columns(parquet_table(tmp_path / "f.parquet"), []) == ["x"]
    assert column_values(parquet_table(tmp_path / "d.parquet"), "id").tolist() == [7, 5, 6]


def test_nested_column_beside(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0], "s": [{"a": None}], "when": pa.array([0], pa.timestamp("s"))}),
                   tmp_path / "a.parquet")  # fmt: skip
    files = parquet_table(tmp_path)
    assert fit_encoder(files, ["x"]).feature_names == ["x"]
    with pytest.raises(DataError, match="Column 's'"):
        fit_encoder(files, ["x", "s"])


def test_memory_does_not_grow_with_the_row_group(tmp_path: Path, rng: np.random.Generator) -> None:
    n = 1_000_000
    pq.write_table(
        pa.table({"x": rng.normal(size=n), "z": rng.normal(size=n)}), tmp_path / "a.parquet", row_group_size=n
    )
    files = parquet_table(tmp_path)
    source = files.source(fit_encoder(files, ["x", "z"]), 0)
    out, most, before = np.empty(2 * 10_000), 0, pa.total_allocated_bytes()
    for start in range(0, n, 10_000):
        source.read(start, start + 10_000, out)
        most = max(most, pa.total_allocated_bytes() - before)
    assert 0 < most < 0.6 * n * 2 * 8
