"""Files and folders that are written whole or not at all: a reader finds the old one or the new one.

All files that the library writes for its users go through here. Only files in temporary folders of its own, which
nobody else reads, are written directly.
"""

from __future__ import annotations

import os
import secrets
import shutil
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
    temporary = _beside(target)
    try:
        with synced(temporary) as file:
            yield file
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a temporary folder beside ``path`` and move it into place when the block ends well.

    Parameters
    ----------
    path : str or path-like
        The folder to make. There is none yet, or an empty one.

    Yields
    ------
    folder : Path
        Write files in it with `synced`.

    Raises
    ------
    OSError
        The folder cannot be made, or the disk is full. There is then nothing at ``path``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     with atomic_folder(Path(parent) / "new") as folder:
    ...         with synced(folder / "a.txt") as file:
    ...             n = file.write(b"whole")
    ...     (Path(parent) / "new" / "a.txt").read_bytes()
    b'whole'
    """
    target = Path(path)
    temporary = _beside(target)
    try:
        temporary.mkdir()
        yield temporary
        os.replace(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def synced(path: Path) -> Iterator[BinaryIO]:
    """Open a new file, and have all of it on the disk when the block ends well.

    Raises
    ------
    OSError
        The file is there already, or the disk is full.
    """
    with open(path, "xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())  # a full disk shows here, before anything old is given up


def _beside(target: Path) -> Path:
    """Return a new name in the same folder.

    Not one of `tempfile.mkstemp`: its files are private to their owner, and reports are made to be shared.
    """
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
