"""Which Parquet files a path means, and what their footers say: one way for this process and for workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from offbeat.data.tables.columns import column_kind
from offbeat.data.tables.common_type import widest
from offbeat.data.tables.pandas_index import index_metadata, index_names
from offbeat.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".pq")
PARTITION_ADVICE = (
    "is named like a partition, whose value is not in the files. Write the table again with that column in its files, "
    "or read one such folder by itself, without the column."
)


class Footer(NamedTuple):
    """A file, its metadata as Parquet has it, and the names and Arrow types of its columns."""

    path: Path
    metadata: Any
    schema: pa.Schema


def is_parquet(path: Path) -> bool:
    """Whether a path is that of a Parquet file by its name, or of a folder.

    Examples
    --------
    >>> is_parquet(Path("a.PARQUET")), is_parquet(Path("a.csv"))
    (True, False)
    """
    return path.suffix.lower() in SUFFIXES or path.is_dir()


def parquet_files(path: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return the files that a path, or a list of paths, stands for, in the order of their rows.

    Parameters
    ----------
    path : str, Path or sequence of them
        Folders are searched at any depth for ``*.parquet`` and ``*.pq``, in the order of their names; names that
        start with ``_`` or ``.`` are left out, as are the files in folders of such names: what a program is still
        writing, or did not finish.

    Raises
    ------
    DataError
        A path does not exist, or a folder has no files or is partitioned by the names of its folders.

    Examples
    --------
    >>> parquet_files("no/such/file.parquet")
    Traceback (most recent call last):
        ...
    offbeat.errors.DataError: no/such/file.parquet does not exist.
    """
    given = [Path(path)] if isinstance(path, str | Path) else [Path(part) for part in path]
    if not given:
        raise DataError("The list of Parquet files is empty.")
    return [file for part in given for file in _files(part)]


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise DataError(f"{path} does not exist.")
    if not path.is_dir():
        return [path]
    found = []
    for file in sorted(path.rglob("*")):
        inner = file.relative_to(path).parts
        hidden = any(name.startswith(("_", ".")) for name in inner)
        if hidden or file.suffix.lower() not in SUFFIXES or file.is_dir():
            continue
        partition = next((name for name in inner[:-1] if "=" in name), None)
        if partition is not None:
            raise DataError(f"The folder {partition!r} in {path} {PARTITION_ADVICE}")
        found.append(file)
    if not found:
        raise DataError(f"The folder {path} holds no file named *.parquet.")
    return found


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Turn errors of the Parquet reader into a `DataError` that names the file."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).strip().replace("\n", " ")
        message = f"{path} cannot be read: it is damaged, truncated or not a Parquet file ({reason})."
        raise DataError(message) from error


def footer(path: Path) -> Footer:
    """Read the footer of a file.

    Raises
    ------
    DataError
        The file does not exist or is damaged.
    """
    import pyarrow.parquet as pq

    if not path.exists():
        raise DataError(f"{path} does not exist.")
    with parquet_errors(path), pq.ParquetFile(path) as file:
        return Footer(path, file.metadata, file.schema_arrow)


def common_schema(footers: Sequence[Footer]) -> pa.Schema:
    """Return names and types of the columns of several files: names in the order of the first, the widest types.

    Raises
    ------
    DataError
        The files have different columns, or one is of types that do not go together.

    Examples
    --------
    >>> import pyarrow as pa
    >>> types = pa.float32(), pa.float64()
    >>> common_schema([Footer(Path("a"), None, pa.schema([("x", dtype)])) for dtype in types]).field("x").type
    DataType(double)
    """
    import pyarrow as pa

    first = footers[0]
    names = set(first.schema.names)
    types: dict[str, dict[pa.DataType, Path]] = {field.name: {field.type: first.path} for field in first.schema}
    for one in footers[1:]:
        _check_names(names, first.path, set(one.schema.names), one.path)
        for field in one.schema:
            types[field.name].setdefault(field.type, one.path)
    index = frozenset().union(*(index_names(one.schema) for one in footers))
    fields = [pa.field(name, _widest(name, types[name])) for name in first.schema.names]
    return pa.schema(fields, index_metadata(index))


def _check_names(names: set[str], first: Path, others: set[str], path: Path) -> None:
    different = names ^ others
    if different:
        name = min(different)
        has, lacks = (first, path) if name in names else (path, first)
        raise DataError(f"The files have different columns: {has} has {name!r}, {lacks} does not.")


def _widest(name: str, types: dict[pa.DataType, Path]) -> pa.DataType:
    common = widest(list(types))
    if common is None and not any(_usable(name, dtype) for dtype in types):
        return next(iter(types))  # as no feature, it may be of any
    if common is None:
        (one, here), (other, there) = next(
            ((one, here), (other, there))
            for one, here in types.items()
            for other, there in types.items()
            if widest([one, other]) is None
        )
        raise DataError(f"Column {name!r} has type {one} in {here}, but {other} in {there}.")
    return common


def _usable(name: str, dtype: pa.DataType) -> bool:
    """Whether a column of this type can be a feature."""
    try:
        column_kind(name, dtype)
    except DataError:
        return False
    return True
