"""CSV and libsvm files."""

from __future__ import annotations

import bz2
import gc
import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import dump_svmlight_file

from offbeat.data import text
from offbeat.data.arrays import CSRSource
from offbeat.data.parquet import ParquetTable
from offbeat.data.source import CSR, Source
from offbeat.data.spill import SpilledSource
from offbeat.data.tables import MemoryTable
from offbeat.data.tabular import column_values, fit_encoder
from offbeat.data.text import csv_table, libsvm_source
from offbeat.errors import DataError

BIG = 1 << 30
CSV = "x,dest,n\n1.5,LAX,1\n2.5,SFO,2\n3.5,LAX,3\n"


def write(folder: Path, content: str | bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("budget", [BIG, 1])
def test_csv(tmp_path: Path, budget: int) -> None:
    table = csv_table(write(tmp_path, CSV), budget)
    assert isinstance(table, MemoryTable if budget == BIG else ParquetTable)
    encoder = fit_encoder(table, ["x", "dest", "n"])
    assert encoder.feature_names == ["x", "dest=LAX", "dest=SFO", "n"]
    X = table.source(encoder, budget).read(0, 3)
    assert X.tolist() == [[1.5, 1, 0, 1], [2.5, 0, 1, 2], [3.5, 1, 0, 3]]


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
@pytest.mark.parametrize("budget", [BIG, 1])
def test_compressed_csv(tmp_path: Path, suffix: str, pack, budget: int) -> None:  # type: ignore[no-untyped-def]
    table = csv_table(write(tmp_path, pack(CSV.encode()), f"a.csv{suffix}"), budget)
    assert column_values(table, "dest").tolist() == ["LAX", "SFO", "LAX"]


def test_large_csv_is_converted_once_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_BLOCK_BYTES", 1000)
    rows = [f"{i},{'ab'[i % 2]}" for i in range(2000)]
    rows[1500] = "1500.5,a"  # decimals long after whole numbers
    table = csv_table(write(tmp_path, "\n".join(["x,c", *rows])), budget=100)
    assert isinstance(table, ParquetTable)
    folder = table.paths[0].parent
    source = table.source(fit_encoder(table, ["x", "c"]), 100)
    assert source.read(1499, 1501).tolist() == [[1499, 0, 1], [1500.5, 1, 0]]
    assert folder.exists()
    del table
    gc.collect()
    assert source.read(3, 4).tolist() == [[3, 0, 1]]
    del source
    gc.collect()
    assert not folder.exists()


@pytest.mark.parametrize("budget", [BIG, 1])
def test_missing_values_in_csv(tmp_path: Path, budget: int) -> None:
    table = csv_table(write(tmp_path, "x,c,k\n1,u,1\n,NA,2\nNaN,,3\n"), budget)
    with pytest.raises(DataError, match=r"'x' \(2 rows\), 'c' \(2 rows\)"):
        fit_encoder(table, ["x", "c", "k"])


@pytest.mark.parametrize("budget", [BIG, 1])
@pytest.mark.parametrize(
    ("content", "message"),
    [("", "cannot be read as CSV"), ("a,b\n1,2\n3\n", "cannot be read as CSV.*Expected 2 columns, got 1"),
     ("1,2\n3,4\n", "no header: its first line is 1,2"), ("a,a\n1,2\n", "'a' appears more than once"),
     (b"a,b\n1,\xff\xfe\n", None)],
)  # fmt: skip
def test_bad_csv(tmp_path: Path, content: str | bytes, message: str | None, budget: int) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=message if message is None else rf"a\.csv.*{message}"):
        table = csv_table(path, budget)
        fit_encoder(table, table.schema.names)


def test_type_that_changes_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_BLOCK_BYTES", 1000)
    path = write(tmp_path, "\n".join(["x,y", *["1,2"] * 1000, "oops,3"]))
    with pytest.raises(DataError, match=r"a\.csv.*oops"):
        csv_table(path, budget=100)


def test_missing_file(tmp_path: Path) -> None:
    for read in (csv_table, libsvm_source):
        with pytest.raises(DataError, match="No such file"):
            read(tmp_path / "none.csv", BIG)


def toarray(source: Source, start: int, stop: int) -> np.ndarray:
    block = source.read(start, stop)
    assert isinstance(block, CSR)
    low, high = block.indptr[0], block.indptr[-1]
    arrays = (block.data[low:high], block.indices[low:high], block.indptr - low)
    return sparse.csr_array(arrays, shape=(stop - start, source.shape[1])).toarray()


@pytest.mark.parametrize("zero_based", [True, False])
@pytest.mark.parametrize("budget", [BIG, 1])
def test_libsvm(tmp_path: Path, rng: np.random.Generator, zero_based: bool, budget: int) -> None:
    X = rng.normal(size=(7000, 30)) * (rng.random((7000, 30)) < 0.2)
    X[0, [0, 29]] = 1.0
    y = rng.integers(0, 2, 7000).astype(float)
    path = tmp_path / "a.svm"
    dump_svmlight_file(X, y, str(path), zero_based=zero_based)
    assert path.stat().st_size > 1 << 17  # several pieces
    source, labels = libsvm_source(path, budget)
    assert isinstance(source, CSRSource if budget == BIG else SpilledSource) and isinstance(source, Source)
    assert source.shape == X.shape and source.resident == (budget == BIG)
    np.testing.assert_array_equal(labels, y)
    np.testing.assert_allclose(toarray(source, 0, 7000), X, rtol=1e-14)
    np.testing.assert_allclose(toarray(source, 6500, 6600), X[6500:6600], rtol=1e-14)


def test_large_libsvm_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write(tmp_path, "1 1:0.5 3:2\n-1 2:1\n", "a.svm")
    source, labels = libsvm_source(path, budget=1)
    assert isinstance(source, SpilledSource) and labels.tolist() == [1, -1]
    folder, copy = source.data.path.parent, pickle.loads(pickle.dumps(source))
    assert toarray(copy, 0, 2).tolist() == [[0.5, 0, 2], [0, 1, 0]]
    wide = source.widened(5)
    assert wide.shape == (2, 5)
    del source
    gc.collect()
    assert toarray(wide, 1, 2).tolist() == [[0, 1, 0, 0, 0]]
    del wide
    gc.collect()
    assert not folder.exists()


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_compressed_libsvm(tmp_path: Path, suffix: str, pack) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path, pack(b"1 1:0.5\n0 2:1\n"), f"a.svm{suffix}")
    source, _ = libsvm_source(path, BIG)
    assert toarray(source, 0, 2).tolist() == [[0.5, 0], [0, 1]]
    with pytest.raises(DataError, match="Decompress it first"):
        libsvm_source(path, 1)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match="cannot be read as libsvm"):
        libsvm_source(path, BIG)


@pytest.mark.parametrize("budget", [BIG, 1])
@pytest.mark.parametrize(
    "line", ["abc 1:2", "1 1:x", "1 2:1 1:1", "1 1:1 1:2", "1 1", "1 :3", "1 a:3", "\x00\x01", "1 -1:3"]
)
def test_bad_libsvm_names_the_line(tmp_path: Path, line: str, budget: int) -> None:
    path = write(tmp_path, f"# made by hand\n1 1:0.5\n\n{line}\n0 2:1\n", "a.svm")
    with pytest.raises(DataError, match=r"a\.svm cannot be read as libsvm, line 4"):
        libsvm_source(path, budget)
