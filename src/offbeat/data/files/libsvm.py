"""The sparse text format of svmlight and libsvm: ``label index:value index:value ...``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.in_memory import sparse_source
from offbeat.data.arrays.spill import SpilledSource, spill_rows
from offbeat.data.files.read_options import ReadOptions
from offbeat.data.files.text_files import TemporaryFolder, in_memory_bytes, open_bytes
from offbeat.data.source import Source
from offbeat.data.tables.numeric_text import is_number
from offbeat.errors import DataError

_LINE = re.compile(r"\s*[-+.,\w]+(\s+qid:\d+)?(\s+\d+:[-+.\w]+)*\s*(#.*)?")


def libsvm_source(
    path: Path, budget: int, read_options: ReadOptions | None = None
) -> tuple[Source, NDArray[np.float64], int]:
    r"""Read a file of ``label index:value index:value ...`` lines; ``.gz`` and ``.bz2`` too.

    Parameters
    ----------
    path : Path
        The file. A byte-order mark is skipped.
    budget : int
        Bytes. A file that would take more is converted, once, to temporary binary files, which are removed
        when the source is forgotten.
    read_options : ReadOptions, optional
        At which index columns start, and how many a model has. Where only the latter is known, the file must show
        the former: by an index 0, or by one that is the number of columns.

    Returns
    -------
    source : Source
        Sparse, float64; with at least the columns of the model.
    labels : ndarray of float64, shape (n_rows,)
    index_base : int
        The index of the first column.

    Raises
    ------
    DataError
        The file is missing or cannot be parsed: names the line. Or it has an index 0 where indices start at 1, or does
        not show at which they start.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.svm").write_text("1 1:0.5 3:2\n-1 2:1\n")
    ...     source, labels, index_base = libsvm_source(Path(folder, "a.svm"), budget=1 << 20)
    >>> source.shape, labels, index_base
    ((2, 3), array([ 1., -1.]), 1)
    """
    wanted = read_options or ReadOptions()
    large = in_memory_bytes(path) > budget
    with _libsvm_errors(path):
        source, labels, used = _spilled(path, budget) if large else _loaded(path)
    base = _index_base(path, used, wanted)
    width = max(used[1] + 1 - base if used else 0, wanted.n_columns or 0)
    return _shifted(source, base, width), labels, base


def _spilled(path: Path, budget: int) -> tuple[SpilledSource, NDArray[np.float64], tuple[int, int] | None]:
    folder = TemporaryFolder()
    with open_bytes(path) as file:
        return spill_rows(file, folder.path, folder, piece_bytes=max(budget // 8, 1 << 16))


def _loaded(path: Path) -> tuple[object, NDArray[np.float64], tuple[int, int] | None]:
    from sklearn.datasets import load_svmlight_file

    with open_bytes(path) as file:
        X, labels = load_svmlight_file(file, zero_based=True)
    return X, labels, (int(X.indices.min()), int(X.indices.max())) if X.nnz else None


def _index_base(path: Path, used: tuple[int, int] | None, read_options: ReadOptions) -> int:
    """Return the index of the first column; ``used`` has the lowest and the highest index of the file."""
    lowest, highest = used or (1, 1)
    base = read_options.index_base
    if base == 1 and lowest == 0:
        raise DataError(
            f"{path} has the index 0, and its indices are said to start at 1, as those of the fit did. If they start "
            "at 0, say so when the model is fitted (--index-base 0)."
        )
    if base is not None:
        return base
    if read_options.n_columns is not None and used and lowest > 0 and highest != read_options.n_columns:
        raise DataError(
            f"{path} does not show whether its indices start at 0 or at 1 (they go from {lowest} to {highest}, and the "
            f"model has {read_options.n_columns} features): say so (--index-base, or ReadOptions(index_base=...))."
        )
    return min(lowest, 1)


def _shifted(source: object, base: int, width: int) -> Source:
    """Return rows whose columns count from 0."""
    if isinstance(source, SpilledSource):
        return source.counted_from(base, width)
    from scipy import sparse

    X: sparse.csr_matrix = source  # type: ignore[assignment]
    X.indices -= X.indices.dtype.type(base)
    return sparse_source(sparse.csr_array((X.data, X.indices, X.indptr), shape=(X.shape[0], width)))


@contextmanager
def _libsvm_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except (ValueError, OverflowError, EOFError, OSError) as error:
        raise DataError(f"{path} cannot be read as libsvm{_bad_line(path)}: {error}.") from error


def _bad_line(path: Path) -> str:
    try:
        with open_bytes(path) as lines:
            for number, line in enumerate(lines, start=1):
                text = line.decode(errors="replace").rstrip("\n")
                if text.strip() and not text.startswith("#") and _is_bad(text):
                    return f", line {number} ({text[:60]!r})"
    except (OSError, EOFError):
        pass
    return ""


def _is_bad(line: str) -> bool:
    if not _LINE.fullmatch(line):
        return True
    fields = line.partition("#")[0].split()
    pairs = [field.split(":") for field in fields[1:] if not field.startswith("qid:")]
    columns = [int(column) for column, _ in pairs]
    values = [value for _, value in pairs] + fields[0].split(",")
    return columns != sorted(set(columns)) or not all(is_number(value) for value in values)
