"""Text files: how large they are in memory, and how compressed ones are opened."""

from __future__ import annotations

import codecs
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from offbeat.errors import DataError

COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
"""Names of compressions, by the suffix of a file."""
COMPRESSION_RATIO = 6
"""Size of a text over its compressed size, about."""


class TemporaryFolder:
    """A folder that disappears with this object.

    Examples
    --------
    >>> folder = TemporaryFolder()
    >>> path = folder.path
    >>> del folder
    >>> path.exists()
    False
    """

    def __init__(self) -> None:
        import shutil
        import tempfile

        self.path = Path(tempfile.mkdtemp(prefix="offbeat-"))
        self.remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def compression(path: Path) -> str | None:
    """Return how a file is compressed, by its name.

    Examples
    --------
    >>> compression(Path("a.csv.GZ")), compression(Path("a.csv"))
    ('gzip', None)
    """
    return COMPRESSED.get(path.suffix.lower())


def in_memory_bytes(path: Path) -> int:
    """Estimate the memory that the content of a text file takes while it is read, in bytes.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    # A text takes about as much memory as its numbers. While it is parsed, both are in memory.
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    return 2 * size * (COMPRESSION_RATIO if compression(path) else 1)


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file that may be compressed (gzip, bzip2), after its byte-order mark if it has one."""
    import bz2
    import gzip

    openers: dict[str | None, Callable[..., Any]] = {"gzip": gzip.open, "bz2": bz2.open}
    file: IO[bytes] = openers.get(compression(path), open)(path, "rb")
    try:
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
    except BaseException:
        file.close()
        raise
    return file
