"""The line that shows how a running fit is doing. Short fits and programs without a terminal never see it."""

from __future__ import annotations

import html
import logging
import math
import sys
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from offbeat.diagnostics.formatting import duration
from offbeat.sideways.messages import Row

if TYPE_CHECKING:
    from rich.live import Live

logger = logging.getLogger("offbeat")

QUIET = 2.0  # seconds of a fit before anything is shown
_EVERY = 0.1  # seconds between two drawings
_LINE_EVERY = 2.0  # seconds between two plain lines, where nothing can be redrawn
_BAR = 24  # characters


class Progress:
    """Live line of a fit: solver, passes, objective, relative gap on its way to the tolerance, time and rows.

    Nothing is shown during the first two seconds, nor where standard error is neither a terminal nor a notebook.
    Time is that of the rows, so what is shown depends on the rows alone. Each update is also logged to the logger
    ``offbeat`` (level INFO; steps at DEBUG).

    Parameters
    ----------
    solver : str
        Name to show.
    tolerance : float
        Relative gap at which the fit stops.
    rows : int
        Rows of data, to show.
    verbose : bool, optional
        True shows the line at once and anywhere (plain lines where it cannot be redrawn), False never.
    scale : float, optional
        Gap that counts as 1 (the objective at zero); by default the first known primal value. May be set later.
    stream : file object, optional
        Where to draw; by default standard error.

    Examples
    --------
    >>> import io
    >>> nan, out = float("nan"), io.StringIO()
    >>> with Progress("newton", 1e-6, rows=1000, verbose=True, scale=1.0, stream=out) as progress:
    ...     progress.update(Row(0.5, 0.0, "update", 3.0, -1, -1, 1, 0, 0.4, 0.3, 1e-3, nan, nan, 0, ""))
    >>> print(out.getvalue().strip())
    newton  3 passes  objective 0.400000  gap 1.0e-03 / 1e-06 (50 %)  500 ms  1,000 rows
    """

    def __init__(
        self,
        solver: str,
        tolerance: float,
        rows: int,
        *,
        verbose: bool | None = None,
        scale: float = math.nan,
        stream: TextIO | None = None,
    ) -> None:
        self.scale = scale
        self._solver, self._tolerance, self._rows = solver, tolerance, rows
        self._verbose, self._stream = verbose, stream
        self._display: _Terminal | _Notebook | _Lines | None = None
        self._next = 0.0 if verbose else QUIET
        self._never = verbose is False
        self._last: Row | None = None
        self._passes, self._primal, self._gap = 0.0, math.nan, math.nan
        self._best = self._worst = math.nan

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def update(self, row: Row) -> None:
        """Take note of ``row``, and redraw if the last drawing is old enough by the time of the rows."""
        if row.kind == "update":
            self._note(row)
            if logger.isEnabledFor(logging.INFO):
                logger.info("%s", self.line(row))
        elif logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "step: worker %d, shard %d, clock %d, staleness %d, %.3g s, began at %.3f s",
                row.worker, row.shard, row.clock, row.staleness, row.duration, row.time,
            )  # fmt: skip
        self._last = row
        if not self._never and row.time >= self._next:
            self._draw(row)

    def close(self) -> None:
        """Draw the last state, if anything was drawn, and give the terminal back. Further calls do nothing."""
        display, self._display, self._never = self._display, None, True
        if display is not None:
            try:
                if self._last is not None:
                    display.draw(self, self._last)
            finally:
                display.close()

    def line(self, row: Row) -> str:
        """One line of plain text for the state at ``row``."""
        gap = f"gap {self._gap:.1e} / {self._tolerance:.0e}" if math.isfinite(self._gap) else ""
        if gap and math.isfinite(self.fraction):
            gap += f" ({math.floor(100 * self.fraction)} %)"
        return "  ".join(part for part in (self._solver, *self._figures(row)[:2], gap, *self._figures(row)[2:]) if part)

    @property
    def fraction(self) -> float:
        """Way done from the first gap to the tolerance, on a log scale, from 0 to 1; NaN while no gap is known."""
        if not (math.isfinite(self._best) and self._tolerance > 0):
            return math.nan
        if self._best <= self._tolerance:
            return 1.0
        start = max(self._worst, 1.0)
        return max(0.0, math.log(start / self._best) / math.log(start / self._tolerance))

    def _note(self, row: Row) -> None:
        """Keep the newest known values: an update need not know them all."""
        self._passes = row.passes if math.isfinite(row.passes) else self._passes
        if math.isfinite(row.primal):
            self._primal = row.primal
            if not math.isfinite(self.scale) and row.primal > 0:
                self.scale = row.primal
        if math.isfinite(row.gap):
            relative = self.scale if self.scale > 0 else 1.0
            self._gap = max(row.gap / relative, 0.0)
            self._best = min(self._gap, self._best) if math.isfinite(self._best) else self._gap
            self._worst = self._worst if math.isfinite(self._worst) else self._gap

    def _figures(self, row: Row) -> list[str]:
        objective = f"objective {self._primal:#.6g}" if math.isfinite(self._primal) else ""
        return [f"{self._passes:.4g} passes", objective, duration(row.time), f"{self._rows:,} rows"]

    def _draw(self, row: Row) -> None:
        if self._display is None:
            self._display = self._open()
        if self._display is None:
            self._never = True
            return
        self._display.draw(self, row)
        self._next = row.time + self._display.every

    def _open(self) -> _Terminal | _Notebook | _Lines | None:
        stream = self._stream if self._stream is not None else sys.stderr
        if stream is None:  # a windowed Python has no standard error
            return None
        if self._stream is None and in_notebook():
            return _Notebook()
        if stream.isatty():
            return _Terminal(stream)
        return _Lines(stream) if self._verbose else None


class _Lines:
    """Plain lines, for logs and pipes."""

    every = _LINE_EVERY

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._written = ""

    def draw(self, progress: Progress, row: Row) -> None:
        line = progress.line(row)
        if line != self._written:
            self._stream.write(line + "\n")
            self._written = line

    def close(self) -> None:
        self._stream.flush()


class _Terminal:
    """One line of a terminal, redrawn in place by rich, which is imported only here."""

    every = _EVERY

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream)
        plain = not (self._console.encoding or "").lower().startswith("utf")
        self._full, self._empty = ("#", "-") if plain else ("━", "─")
        # No thread of its own, and standard output stays where the user sent it.
        self._live: Live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._live.start()

    def draw(self, progress: Progress, row: Row) -> None:
        self._live.update(self._render(progress, row), refresh=True)

    def close(self) -> None:
        self._live.stop()

    def _render(self, progress: Progress, row: Row) -> Any:
        from rich.text import Text

        passes, objective, elapsed, rows = progress._figures(row)
        gap, fraction = progress._gap, progress.fraction
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(progress._solver, style="bold")
        if math.isfinite(gap):
            text.append(f"  gap {gap:.1e}", style="green" if fraction >= 1 else "")
            text.append(f" / {progress._tolerance:.0e} ", style="dim")
            self._bar(text, fraction)
        for part in (objective, passes, elapsed, rows):
            text.append(f"  {part}" if part else "", style="dim" if part is rows else "")
        return text

    def _bar(self, text: Any, fraction: float) -> None:
        if self._console.width >= 90 and math.isfinite(fraction):
            done = math.floor(_BAR * fraction)
            text.append(self._full * done, style="green" if fraction >= 1 else "cyan")
            text.append(self._empty * (_BAR - done), style="dim")


class _Notebook:
    """One line below a notebook cell, replaced in place."""

    every = _EVERY

    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, progress: Progress, row: Row) -> None:
        shown: Any = import_module("IPython.display")  # surely there, in a notebook; nothing here depends on it
        done = progress.fraction
        bar = f'<progress max="1" value="{done:.3f}"></progress> ' if math.isfinite(done) else ""
        output = shown.HTML(f"{bar}<code>{html.escape(progress.line(row))}</code>")
        if self._handle is None:
            self._handle = shown.display(output, display_id=True)
        else:
            self._handle.update(output)

    def close(self) -> None:
        """Leave the last line where it is."""


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel; without importing IPython."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"
