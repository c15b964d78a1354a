"""Runs random cases of some seeds again, and says how they end."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

Case = TypeVar("Case")


def replay(
    arguments: list[str],
    draw: Callable[[int], Case],
    run: Callable[[Case], str],
    worth_showing: Callable[[str], bool] = lambda status: False,
) -> int:
    """Run seeds, given one by one (``123``) or as ranges (``0:100``); return how many failed.

    ``run`` returns a status: a word, or a word, a colon and details; it raises where the case fails. Cases that fail
    are printed, and so are those that were given one by one or whose status is ``worth_showing``.
    """
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
                if not last or worth_showing(status):
                    print(f"{case}\n    {status}", flush=True)
            found[status.partition(":")[0]] += 1
    print(dict(found))
    return found["failed"]
