"""CSV files, by way of Arrow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from offbeat.data.files.parquet import ParquetTable
from offbeat.data.files.read_options import ReadOptions
from offbeat.data.files.text_files import TemporaryFolder, compression, in_memory_bytes
from offbeat.data.tables.in_memory import MemoryTable
from offbeat.data.tables.numeric_text import is_number
from offbeat.data.tables.pandas_index import index_metadata
from offbeat.errors import DataError

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
STREAM_BLOCK_BYTES = 16 << 20
"""Of a file that is converted block by block. Its types follow from the first block."""
PARALLEL_BLOCK_BYTES = 4 << 20
"""Of a file that is read into memory by all threads. Each row must fit; larger blocks leave threads idle."""
MAX_HEADER_BYTES = 1 << 16
MAX_MESSAGE_LENGTH = 200
_UNNAMED = re.compile(r"Unnamed: \d+")


def csv_table(path: Path, budget: int, read_options: ReadOptions | None = None) -> MemoryTable | ParquetTable:
    r"""Read a CSV file with a header; compressed ones too.

    Empty fields, ``NA``, ``NaN``, ``null`` and the like are missing values, in columns of text as well, unless
    ``read_options`` has other ones. A column without a name (the index, where pandas wrote the file) is no feature.

    Parameters
    ----------
    path : Path
        The file.
    budget : int
        Bytes. A file that would take more is converted, once, to a temporary Parquet file, which is removed
        when the table is forgotten. The types of the columns then follow from the first 16 MiB.
    read_options : ReadOptions, optional
        Separator, encoding and so on.

    Returns
    -------
    table : MemoryTable or ParquetTable

    Raises
    ------
    DataError
        The file is missing or cannot be parsed, has no header, or a column changes its type.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.csv").write_text("x,dest\n1,LAX\n2,SFO\n")
    ...     csv_table(Path(folder, "a.csv"), budget=1 << 20).names
    ('x', 'dest')
    """
    import pyarrow.csv as pc

    options = _options(path, read_options or ReadOptions())
    if in_memory_bytes(path) > budget:
        return _convert(path, options)
    with _csv_errors(path), _stream(path) as file:
        table = pc.read_csv(file, **options)
        names = table.schema.names
    _check_header(path, names)
    if table.nbytes <= STREAM_BLOCK_BYTES:
        table = table.combine_chunks()  # many columns in pieces of a few rows take long
    return MemoryTable.from_arrow(table.replace_schema_metadata(_without_name(names)))


def _options(path: Path, read_options: ReadOptions) -> dict[str, Any]:
    """Return the options of Arrow's reader, by their names."""
    import pyarrow as pa
    import pyarrow.csv as pc

    separator = read_options.separator or ("\t" if ".tsv" in map(str.lower, path.suffixes) else None)
    if separator is None:
        _check_separator(path, read_options)
    missing = {} if read_options.na_values is None else {"null_values": ["", *read_options.na_values]}
    return {
        "read_options": pc.ReadOptions(encoding=read_options.encoding, block_size=PARALLEL_BLOCK_BYTES),
        "parse_options": pc.ParseOptions(delimiter=separator or ",", newlines_in_values=True),
        "convert_options": pc.ConvertOptions(
            strings_can_be_null=True,
            decimal_point=read_options.decimal,
            column_types=dict.fromkeys(read_options.categorical, pa.string()),
            **missing,
        ),
    }


def _stream(path: Path) -> Any:
    import pyarrow as pa

    return pa.input_stream(str(path), compression=compression(path))


def _convert(path: Path, options: dict[str, Any]) -> ParquetTable:
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    options["read_options"].block_size = STREAM_BLOCK_BYTES
    with _csv_errors(path), _stream(path) as file, pc.open_csv(file, **options) as head:
        names = head.schema.names
        # Whole numbers at the start of a file are no promise that decimals will not follow.
        types = {field.name: _wider(field.type) for field in head.schema}
    _check_header(path, names)
    options["convert_options"].column_types = types
    folder = TemporaryFolder()
    target = folder.path / "rows.parquet"
    with _csv_errors(path, names), _stream(path) as file, pc.open_csv(file, **options) as rows:
        schema = rows.schema.with_metadata(_without_name(names))
        try:
            with pq.ParquetWriter(target, schema) as writer:
                for batch in rows:
                    writer.write_table(pa.Table.from_batches([batch]).replace_schema_metadata(schema.metadata))
        except OSError as error:
            raise DataError(f"{path} was being converted in {folder.path}, which failed: {error}.") from error
    return ParquetTable([target], owner=folder)


def _wider(dtype: Any) -> Any:
    import pyarrow as pa
    import pyarrow.types as at

    return pa.float64() if at.is_integer(dtype) or at.is_null(dtype) else dtype


def _without_name(names: list[str]) -> dict[bytes, bytes] | None:
    """Return the metadata that keeps columns without a name, or with what pandas calls them, from being features."""
    return index_metadata(name for name in names if not name or _UNNAMED.fullmatch(name))


def _check_separator(path: Path, read_options: ReadOptions) -> None:
    """Raise `DataError` if the first line has other separators and no comma."""
    line = ""
    with suppress(OSError), _stream(path) as file:  # what cannot be read is reported by who reads all of it
        line = file.read(MAX_HEADER_BYTES).decode(read_options.encoding, errors="replace").partition("\n")[0]
    mark = max(SEPARATORS, key=line.count)
    if "," in line or mark not in line:
        return
    raise DataError(
        f"{path}: the first line has {SEPARATORS[mark]} and no comma. If they separate the fields, say so "
        f"(--separator {mark!r}, or ReadOptions(separator={mark!r})), and give decimal ',' if numbers are written "
        "like 1,5."
    )


def _check_header(path: Path, names: list[str]) -> None:
    if all(is_number(name) for name in names):
        raise DataError(f"{path} has no header: its first line is {','.join(names[:5])}. Add the names of the columns.")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"{path}: the column name {name!r} appears more than once. Rename the columns.")
        seen.add(name)


@contextmanager
def _csv_errors(path: Path, names: list[str] | None = None) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except DataError:
        raise
    except (pa.ArrowException, OSError, UnicodeError) as error:
        message = str(error).removesuffix(".")
        if isinstance(error, UnicodeError) or "UTF8" in message:
            raise DataError(
                f"{path} is not text in the encoding that was expected ({message}). Give its encoding "
                "(--encoding latin-1, or ReadOptions(encoding='latin-1')), or convert it to UTF-8."
            ) from error
        if "straddl" in message or message.count("\n") > 1:
            message = f"{_shortened(message)} (is a quotation mark not closed?)"
        raise DataError(
            f"{path} cannot be read as CSV{_column(message, names)}: {message}. Correct the file, or convert it to "
            "Parquet."
        ) from error


def _shortened(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE_LENGTH else f"{message[:MAX_MESSAGE_LENGTH]} ..."


def _column(message: str, names: list[str] | None) -> str:
    """Return which column Arrow complains about, of which it knows the number."""
    found = re.search(r"column #(\d+)", message)
    number = int(found.group(1)) if found else -1
    if names is None or not 0 <= number < len(names):
        return ""
    return (
        f", column {names[number]!r}, whose type follows from the first rows (if it is text, say so: "
        f"--categorical {names[number]!r}, or ReadOptions(categorical=...))"
    )
