"""Writing a file so that a reader sees the old one or the new one, never half of either."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path`` and move it into place when the block ends well.

    Parameters
    ----------
    path : str or path-like
        The file to write; an existing one is replaced.

    Yields
    ------
    file : binary file object

    Raises
    ------
    OSError
        The folder is missing, cannot be written or is full. ``path`` is then as it was.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(Path(folder) / "a.txt") as file:
    ...         n = file.write(b"whole")
    ...     (Path(folder) / "a.txt").read_bytes()
    b'whole'
    """
    target = Path(path)
    # Not tempfile.mkstemp: its files are private to their owner, and reports are made to be shared.
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # a full disk shows here, before the old file is given up
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
