"""Run the problems of some seeds again and say how they end: ``python tests/soak/replay.py 123`` or ``0:500``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' own packages

from soak.cases import draw, run
from support.replay import replay

if __name__ == "__main__":
    raise SystemExit(replay(sys.argv[1:], draw, run, lambda status: status.startswith("uncertified")))
