"""Run the problems of some seeds again and say how they end: ``python tests/soak/replay.py 123`` or ``0:500``."""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' own packages

from soak.cases import draw, run


def main(arguments: list[str]) -> int:
    """Run seeds, given one by one or as ranges ``0:100``; return how many failed."""
    found: Counter[str] = Counter()
    for argument in arguments:
        first, _, last = argument.partition(":")
        for seed in range(int(first), int(last) if last else int(first) + 1):
            case = draw(seed)
            try:
                status = run(case)
            except Exception as error:
                status = "failed"
                print(f"{case}\n    {type(error).__name__}: {error}", flush=True)
                if not last and not isinstance(error, AssertionError):
                    traceback.print_exc()
            else:
                if not last or status.startswith("uncertified"):
                    print(f"{case}\n    {status}", flush=True)
            found[status.partition(":")[0]] += 1
    print(dict(found))
    return found["failed"]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
