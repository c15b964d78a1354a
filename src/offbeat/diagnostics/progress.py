"""The line that shows how a running fit is doing. Short fits and programs without a terminal never see it."""

from __future__ import annotations

import logging
import math
from types import TracebackType
from typing import TextIO

from offbeat.diagnostics.display import Display, Piece, StatusLine, open_display
from offbeat.diagnostics.formatting import duration
from offbeat.sideways.messages import Row

logger = logging.getLogger("offbeat")

QUIET = 2.0  # seconds of a fit before anything is shown


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
        self._display: Display | None = None
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
                    display.show(self._status(self._last))
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
            self._display = open_display(self._stream, plain=bool(self._verbose))
        if self._display is None:
            self._never = True
            return
        self._display.show(self._status(row))
        self._next = row.time + self._display.every

    def _status(self, row: Row) -> StatusLine:
        """Line for the state at ``row``: the gap comes first on a terminal, with a bar of the way done."""
        passes, objective, seconds, rows = self._figures(row)
        before = [Piece(self._solver, "bold")]
        if math.isfinite(self._gap):
            before.append(Piece(f"  gap {self._gap:.1e}", "green" if self.fraction >= 1 else ""))
            before.append(Piece(f" / {self._tolerance:.0e} ", "dim"))
        after = [Piece(f"  {part}") for part in (objective, passes, seconds) if part]
        return StatusLine(self.line(row), tuple(before), (*after, Piece(f"  {rows}", "dim")), self.fraction)
