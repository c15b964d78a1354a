"""``.npy`` files and memory maps."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from offbeat.data.arrays import row_file
from offbeat.data.arrays.in_memory import ConvertedSource, DenseSource
from offbeat.data.arrays.npy import NpySource, memmap_source, npy_source
from offbeat.data.arrays.npy_header import npy_layout
from offbeat.errors import DataError


@pytest.fixture(name="X")
def matrix(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(200, 7))


def saved(folder: Path, array: np.ndarray) -> Path:
    np.save(folder / "X.npy", array)
    return folder / "X.npy"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_streams_into_the_callers_memory(tmp_path: Path, X: np.ndarray, dtype: type) -> None:
    X = X.astype(dtype)
    source = npy_source(saved(tmp_path, X), budget=100)
    assert isinstance(source, NpySource) and not source.resident and source.shape == (200, 7) and source.dtype == dtype
    out = np.full(100, 5.0, dtype)
    block = source.read(20, 30, out)
    assert np.shares_memory(block, out) and out[70:].tolist() == [5.0] * 30
    np.testing.assert_array_equal(block, X[20:30])
    np.testing.assert_array_equal(source.read(0, 200), X)
    assert source.read(200, 200).shape == (0, 7)


def test_fits_the_budget(tmp_path: Path, X: np.ndarray) -> None:
    source = npy_source(saved(tmp_path, X), budget=X.nbytes)
    assert isinstance(source, DenseSource) and source.resident
    np.testing.assert_array_equal(source.read(0, 200), X)


@pytest.mark.parametrize("convert", [lambda X: np.round(X * 100).astype(np.int16), lambda X: X.astype(">f8"),
                                     np.asfortranarray, lambda X: X > 0, lambda X: X.astype(np.float16)])  # fmt: skip
@pytest.mark.parametrize("budget", [10, 10**6])
def test_other_types_and_orders(tmp_path: Path, X: np.ndarray, convert, budget: int) -> None:  # type: ignore[no-untyped-def]
    array = convert(X)
    source = npy_source(saved(tmp_path, array), budget)
    expected = np.float32 if array.dtype == np.float16 else np.float64
    out = np.empty(7 * 50, expected)
    block = source.read(50, 100, out)
    assert block.dtype == expected and block.flags.c_contiguous and source.dtype == expected
    np.testing.assert_array_equal(block, array[50:100].astype(expected))


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1), (0, 3), (3, 0)])
def test_odd_shapes(tmp_path: Path, shape: tuple[int, int]) -> None:
    array = np.arange(float(np.prod(shape))).reshape(shape)
    for budget in (1, 1000):
        source = npy_source(saved(tmp_path, array), budget)
        assert source.shape == shape
        np.testing.assert_array_equal(source.read(0, shape[0]), array)


@pytest.mark.parametrize("budget", [10, 10**6])
def test_truncated(tmp_path: Path, X: np.ndarray, budget: int) -> None:
    path = saved(tmp_path, X)
    whole = path.read_bytes()
    path.write_bytes(whole[:-800])
    with pytest.raises(DataError, match=rf"X\.npy is truncated.*expected {len(whole)} bytes, found {len(whole) - 800}"):
        npy_source(path, budget)


def test_shrinks_while_it_is_read(tmp_path: Path, X: np.ndarray) -> None:
    path = saved(tmp_path, X)
    source = npy_source(path, budget=10)
    with open(path, "r+b") as file:
        file.truncate(4000)
    source.read(0, 10)
    with pytest.raises(DataError, match="found 4000"):
        source.read(150, 200)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00v\x00{'descr'", b"\x93NUMPY\x09\x00\x00\x00"])
def test_damaged_header(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "X.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"X\.npy is not a \.npy file"):
        npy_source(path, 100)


@pytest.mark.parametrize("array", [np.zeros((2, 2), complex), np.array([["a"]]), np.zeros((2, 2, 2)), np.zeros(3)])
def test_not_a_matrix_of_numbers(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(DataError):
        npy_source(saved(tmp_path, array), 100)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", np.array([[1, "a"]], object), allow_pickle=True)
    with pytest.raises(DataError, match="object"):
        npy_source(tmp_path / "X.npy", 100)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        npy_source(tmp_path / "none.npy", 100)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_all_versions_of_the_format(tmp_path: Path, X: np.ndarray, version: tuple[int, int]) -> None:
    with open(tmp_path / "X.npy", "wb") as file:
        np.lib.format.write_array(file, X, version=version)
    np.testing.assert_array_equal(npy_source(tmp_path / "X.npy", 10).read(3, 5), X[3:5])


def test_threads_read_side_by_side(tmp_path: Path, X: np.ndarray) -> None:
    source = npy_source(saved(tmp_path, X), budget=10)
    with ThreadPoolExecutor(4) as pool:
        blocks = list(pool.map(lambda start: source.read(start, start + 2), range(0, 200, 2)))
    np.testing.assert_array_equal(np.concatenate(blocks), X)


def test_without_positioned_reads(tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_file, "_POSITIONED", False)
    monkeypatch.setattr(row_file, "_MAX_READ_BYTES", 100)
    source = npy_source(saved(tmp_path, X), budget=10)
    np.testing.assert_array_equal(source.read(7, 190), X[7:190])


def test_reads_of_several_calls(tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_file, "_MAX_READ_BYTES", 1000)
    np.testing.assert_array_equal(npy_source(saved(tmp_path, X), budget=10).read(0, 200), X)


def test_pickles_and_closes(tmp_path: Path, X: np.ndarray) -> None:
    source = npy_source(saved(tmp_path, X), budget=10)
    assert isinstance(source, NpySource)
    copy = pickle.loads(pickle.dumps(source))
    source.close()
    source.close()
    np.testing.assert_array_equal(copy.read(0, 3), X[:3])
    with pytest.raises(DataError, match="cannot be read"):
        source.read(0, 3)


def mapped(path: Path, X: np.ndarray, mode: str = "r+") -> np.memmap:
    X.tofile(path)
    return np.memmap(path, X.dtype, mode, shape=X.shape)


def test_memmap_within_the_budget_is_used_in_place(tmp_path: Path, X: np.ndarray) -> None:
    array = mapped(tmp_path / "X", X)
    source = memmap_source(array, budget=X.nbytes)
    assert isinstance(source, DenseSource) and np.shares_memory(source.read(0, 5), array)
    assert type(source.read(0, 5)) is np.ndarray


@pytest.mark.parametrize("part", [slice(None), slice(50, None), slice(3, 150)])
def test_memmap_beyond_the_budget_is_read(tmp_path: Path, X: np.ndarray, part: slice) -> None:
    array = mapped(tmp_path / "X", X)[part]
    source = memmap_source(array, budget=10)
    assert isinstance(source, NpySource)
    np.testing.assert_array_equal(source.read(1, 60), X[part][1:60])


def test_memmap_from_load_with_its_offset(tmp_path: Path, X: np.ndarray) -> None:
    array = np.load(saved(tmp_path, X), mmap_mode="r")[10:][5:]
    source = memmap_source(array, budget=10)
    assert isinstance(source, NpySource)
    np.testing.assert_array_equal(source.read(0, 20), X[15:35])


def test_changes_to_a_shared_memmap_are_seen(tmp_path: Path, X: np.ndarray) -> None:
    array = mapped(tmp_path / "X", X)
    array[3] = 42.0
    assert memmap_source(array, budget=10).read(3, 4).tolist() == [[42.0] * 7]


def test_private_changes_are_not_lost(tmp_path: Path, X: np.ndarray) -> None:
    array = mapped(tmp_path / "X", X, mode="c")
    array[3] = 42.0
    source = memmap_source(array, budget=10)
    assert isinstance(source, DenseSource) and source.read(3, 4).tolist() == [[42.0] * 7]


def test_memmap_with_strides_is_converted(tmp_path: Path, X: np.ndarray) -> None:
    array = mapped(tmp_path / "X", X)[::2, 1:]
    source = memmap_source(array, budget=10)
    assert isinstance(source, ConvertedSource)
    np.testing.assert_array_equal(source.read(0, 10), X[::2, 1:][:10])


def test_memmap_whose_file_is_gone(tmp_path: Path, X: np.ndarray) -> None:
    array = mapped(tmp_path / "X", X)
    (tmp_path / "X").unlink()
    np.testing.assert_array_equal(memmap_source(array, budget=10).read(0, 200), X)


def test_layout(tmp_path: Path, X: np.ndarray) -> None:
    layout = npy_layout(saved(tmp_path, np.asfortranarray(X)))
    assert layout.fortran and layout.shape == (200, 7) and layout.n_bytes == X.nbytes and layout.offset % 64 == 0
