"""Run the experiments of some seeds again and say how they end: ``python tests/simulation/replay.py 123``."""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' own packages

from simulation.cases import draw, judge, run


def main(arguments: list[str]) -> int:
    """Run seeds, given one by one or as ranges ``0:100``; return how many failed."""
    found: Counter[str] = Counter()
    for argument in arguments:
        first, _, last = argument.partition(":")
        for seed in range(int(first), int(last) if last else int(first) + 1):
            case = draw(seed)
            started = time.perf_counter()
            try:
                solution, watch = run(case)
                status = judge(case, solution)
            except Exception as error:
                status = "failed"
                print(f"{case}\n    {type(error).__name__}: {error}")
                if not last:
                    traceback.print_exc()
            else:
                if not last:
                    print(f"{case}\n    {status}, {watch.events} events, {time.perf_counter() - started:.2f} s")
            found[status] += 1
    print(dict(found))
    return found["failed"]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
