"""Run the experiments of some seeds again and say how they end: ``python tests/simulation/replay.py 123``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' own packages

from simulation.cases import Case, draw, judge, run
from support.replay import replay


def timed(case: Case) -> str:
    """Return how an experiment ended, after how many events and seconds."""
    started = time.perf_counter()
    solution, watch = run(case)
    return f"{judge(case, solution)}: {watch.events} events, {time.perf_counter() - started:.2f} s"


if __name__ == "__main__":
    raise SystemExit(replay(sys.argv[1:], draw, timed))
