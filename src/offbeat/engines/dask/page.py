"""A page beside those of Dask's dashboard that shows how far a running fit is: the gap against time."""

from __future__ import annotations

import logging
import math
import sys
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from importlib.resources import files
from typing import Any
from uuid import uuid4

from distributed import Client

from offbeat.engines.dask.by_value import by_value
from offbeat.engines.dask.page_server import POINTS, close_page, open_page, tell_page
from offbeat.sideways.messages import Row

AFTER = 1.0  # seconds of a fit before it is shown: short fits pay nothing
EVERY = 1.0  # seconds between news
TIDY = 5.0  # seconds that the scheduler has to take the page away
PYTHON = tuple(sys.version_info[:2])
log = logging.getLogger("offbeat")


class Page:
    """Shows a run from a thread of its own, which waits for the scheduler so that the fit need not.

    Parameters
    ----------
    client : Client
    about : mapping of str to str
        Of the fit: ``solver``, ``tolerance``, ``gap_scale``, ``rows``, ``columns``, ``workers``.

    Attributes
    ----------
    shown : bool
        Whether it can be opened now.
    """

    def __init__(self, client: Client, about: Mapping[str, str]) -> None:
        self._client, self._about = client, about
        self._run, self.shown = uuid4().hex, False
        self._rows: deque[Row] = deque()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="offbeat_page", daemon=True)
        self._thread.start()

    def add(self, row: Row) -> None:
        """Take note of a row of the trace."""
        if row.kind == "update":
            self._rows.append(row)

    def close(self) -> None:
        """Take the page away, if it was there."""
        self._over.set()
        self._thread.join(TIDY if self._client.status == "running" else 0.0)

    def _work(self) -> None:
        if self._over.wait(AFTER):
            return
        try:
            self._open()
            while self.shown and not self._over.wait(EVERY):
                self._tell()
        except Exception as error:  # the fit goes on without
            log.info("the page on convergence is not shown: %r", error)
        finally:
            if self.shown:
                self.shown = False
                with suppress(Exception):
                    self._client.run_on_scheduler(by_value(close_page), self._run)

    def _open(self) -> None:
        there = tuple(self._client.run_on_scheduler(eval, "__import__('sys').version_info[:2]"))
        if there != PYTHON:  # whose code it could not run
            log.info("no page on convergence: the scheduler runs another Python, %s.%s", *there)
            return
        html = (files("offbeat.engines.dask") / "page.html").read_text(encoding="utf-8")
        news = {**_spoken(self._about), **self._news()}
        self.shown = bool(self._client.run_on_scheduler(by_value(open_page), self._run, self._client.id, html, news))
        link = str(self._client.dashboard_link or "").rpartition("/")[0]
        if self.shown:
            log.info("convergence can be seen at %s/offbeat", link)
        else:
            log.info("no page on convergence: the scheduler has no dashboard")

    def _tell(self) -> None:
        if self._rows:
            self._client.run_on_scheduler(by_value(tell_page), self._run, self._news(), POINTS)

    def _news(self) -> dict[str, Any]:
        rows = [self._rows.popleft() for _ in range(len(self._rows))]
        scale = _number(self._about.get("gap_scale")) or 1.0
        news: dict[str, Any] = {"points": [[row.time, max(row.gap / scale, 0.0)] for row in rows if row.gap == row.gap]}
        if rows:
            news.update(time=rows[-1].time, passes=rows[-1].passes, updates=rows[-1].clock)
        known = [row.primal for row in rows if math.isfinite(row.primal)]
        return news | ({"primal": known[-1]} if known else {})


def _spoken(about: Mapping[str, str]) -> dict[str, Any]:
    """Return what is said of a fit before it has begun."""
    names = ("rows", "columns", "workers")
    facts = [f"{int(about[name]):,} {name}" for name in names if name in about]
    return {
        "solver": about.get("solver", "fit"), "about": ", ".join(facts), "tolerance": _number(about.get("tolerance")),
        "time": 0.0, "passes": 0.0, "updates": 0, "primal": None,
    }  # fmt: skip


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0.0 else None
