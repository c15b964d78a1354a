"""libsvm files."""

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

from offbeat.data.arrays.in_memory import CSRSource
from offbeat.data.arrays.spill import SpilledSource
from offbeat.data.files.libsvm import libsvm_source
from offbeat.data.files.read_options import ReadOptions
from offbeat.data.source import CSR, Source
from offbeat.errors import DataError

BIG = 1 << 30


def write(folder: Path, content: str | bytes, name: str = "a.svm") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


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
    source, labels, base = libsvm_source(path, budget)
    assert isinstance(source, CSRSource if budget == BIG else SpilledSource) and isinstance(source, Source)
    assert base == (0 if zero_based else 1) and source.shape == X.shape and source.resident == (budget == BIG)
    np.testing.assert_array_equal(labels, y)
    np.testing.assert_allclose(toarray(source, 0, 7000), X, rtol=1e-14)
    np.testing.assert_allclose(toarray(source, 6500, 6600), X[6500:6600], rtol=1e-14)


def test_large_libsvm_removes_its_temporary_files(tmp_path: Path) -> None:
    path = write(tmp_path, "1 1:0.5 3:2\n-1 2:1\n", "a.svm")
    source, labels, _ = libsvm_source(path, budget=1)
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
    for budget in (BIG, 1):
        source, _, _ = libsvm_source(path, budget)
        assert toarray(source, 0, 2).tolist() == [[0.5, 0], [0, 1]]
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


ROWS = {0: "1 0:5 2:1\n0 1:2\n", 1: "1 1:5 3:1\n0 2:2\n"}


@pytest.mark.parametrize("budget", [BIG, 1])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_is_no_error(tmp_path: Path, budget: int, mark: bytes) -> None:
    for base, rows in ROWS.items():
        source, labels, found = libsvm_source(write(tmp_path, mark + rows.encode()), budget)
        assert found == base and labels.tolist() == [1, 0]
        assert toarray(source, 0, 2).tolist() == [[5, 0, 1], [0, 2, 0]]
    path = write(tmp_path, mark + b"1 1:1\n1 x:1\n")
    with pytest.raises(DataError, match=r"line 2 \('1 x:1'\)"):
        libsvm_source(path, budget)


@pytest.mark.parametrize("budget", [BIG, 1])
def test_base_and_width_come_from_the_model(tmp_path: Path, budget: int) -> None:
    path = write(tmp_path, "1 1:5 2:1\n")  # in a file that starts at 0, the columns 1 and 2
    for base, row in ((0, [0, 5, 1, 0]), (1, [5, 1, 0, 0])):
        source, _, _ = libsvm_source(path, budget, ReadOptions(index_base=base, n_columns=4))
        assert toarray(source, 0, 1).tolist() == [row]
    assert libsvm_source(path, budget, ReadOptions(index_base=0))[0].shape == (1, 3)
    assert libsvm_source(path, budget, ReadOptions(index_base=1, n_columns=1))[0].shape == (1, 2)
    empty = write(tmp_path, "1\n0 # nothing\n")
    assert (
        toarray(libsvm_source(empty, budget, ReadOptions(index_base=1, n_columns=2))[0], 0, 2).tolist() == [[0, 0]] * 2
    )


@pytest.mark.parametrize("budget", [BIG, 1])
def test_a_base_is_not_guessed_for_a_model(tmp_path: Path, budget: int) -> None:
    model = ReadOptions(n_columns=3)
    assert libsvm_source(write(tmp_path, "1 0:1\n"), budget, model)[2] == 0
    assert libsvm_source(write(tmp_path, "1 3:1\n"), budget, model)[2] == 1
    assert libsvm_source(write(tmp_path, "1\n"), budget, model)[0].shape == (1, 3)
    with pytest.raises(DataError, match=r"does not show whether its indices start at 0 or at 1 \(they go from 1 to 2"):
        libsvm_source(write(tmp_path, "1 1:1 2:1\n"), budget, model)
    with pytest.raises(DataError, match=r"has the index 0, and its indices are said to start at 1"):
        libsvm_source(write(tmp_path, "1 0:1\n"), budget, ReadOptions(index_base=1))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        libsvm_source(tmp_path / "none.svm", BIG)
