"""Set-up of all tests, those in docstrings included."""

from __future__ import annotations

import os

from support.numba_cache import numba_cache_dir

# Numba reads the variable when it is first imported, so this cannot wait for a fixture.
os.environ.setdefault("NUMBA_CACHE_DIR", str(numba_cache_dir()))
