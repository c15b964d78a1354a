"""A directory for Numba's cache that changes when a loss, a penalty or a kernel does.

Numba compares the file that holds a kernel with its cached machine code, not the files of the losses and
penalties inlined into it: after such an edit it would run the old code. So the directory is named by a hash
of all three packages. ``python tests/support/numba_cache.py`` prints it, for the Makefile.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("losses", "penalties", "kernels")
KEEP_SECONDS = 3 * 24 * 3600


def source_hash(repository: Path) -> str:
    """Hash of the names and contents of all sources that end up in a kernel."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((repository / "src" / "offbeat" / package).rglob("*.py")):
            digest.update(path.relative_to(repository).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def numba_cache_dir(repository: Path = REPOSITORY) -> Path:
    """Make the directory for the sources as they are, and drop those unused for three days."""
    root = repository / ".numba-cache"
    current = root / source_hash(repository)
    current.mkdir(parents=True, exist_ok=True)
    os.utime(current)
    for other in root.iterdir():
        # Another run may use a directory just now, or come back to it with the branch: only old ones go.
        if other != current and time.time() - other.stat().st_mtime > KEEP_SECONDS:
            shutil.rmtree(other, ignore_errors=True)
    return current


if __name__ == "__main__":
    print(numba_cache_dir())
