"""What a new process pays: import, compilation, loading compiled code."""

from __future__ import annotations

import statistics
import tempfile

from benchmarks.harness.extras import Fact, Setting, probe


def measure(setting: Setting) -> list[Fact]:
    """Return import time, first fit ever, and first fit in a new process."""
    imports = [probe(setting, "import-cost") for _ in range(setting.repeats)]
    loaded = ", ".join(imports[0]["loaded"])
    with tempfile.TemporaryDirectory(dir=setting.folder) as empty:
        ever = probe(setting, "first-fit", NUMBA_CACHE_DIR=empty)
        again = [probe(setting, "first-fit", NUMBA_CACHE_DIR=empty) for _ in range(setting.repeats)]
    first = statistics.median(a["first"] for a in again)
    warm = statistics.median(a["warm"] for a in again)
    return [
        Fact(
            "import offbeat beyond numpy and scipy, CPU", statistics.median(i["cpu"] for i in imports), "s",
            f"loads {loaded}" if loaded else "loads none of the heavy libraries",
        ),
        Fact("first fit ever (compilation)", ever["first"], "s", "logistic ridge, 20,000 x 100, empty cache"),
        Fact("first fit in a new process", first, "s", "compiled code loaded from disk"),
        Fact("the same, warm", warm, "s"),
        Fact("first fit in a new process over a warm one", first - warm, "s"),
    ]  # fmt: skip
