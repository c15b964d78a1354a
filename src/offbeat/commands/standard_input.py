"""Tables on standard input: they are copied into a temporary file, as readers need to read them twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from offbeat.data.files.text_files import TemporaryFolder
from offbeat.errors import DataError, OffbeatError


@contextmanager
def as_file(table: Path) -> Iterator[Path]:
    """Yield the path of a table: of a temporary CSV file for ``-``, the standard input; any other as it is.

    Raises
    ------
    OffbeatError
        As inside the block, with the standard input called that.
    """
    if str(table) != "-":
        yield table
        return
    import shutil
    import sys

    folder = TemporaryFolder()
    file = folder.path / "standard-input.csv"
    with open(file, "wb") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
    if not file.stat().st_size:
        raise DataError("the standard input is empty: pipe a CSV file into the command")
    try:
        yield file
    except OffbeatError as error:
        raise type(error)(str(error).replace(str(file), "standard input")) from error
