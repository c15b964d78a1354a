"""One line that changes while something runs: on a terminal, below a notebook cell, or as plain lines of a log."""

from __future__ import annotations

import html
import math
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TextIO

if TYPE_CHECKING:
    from rich.live import Live

REDRAW_SECONDS = 0.1  # between two drawings in place
LINE_SECONDS = 2.0  # between two plain lines, where nothing can be redrawn
BAR_WIDTH = 24  # characters
MIN_WIDTH_FOR_BAR = 90  # characters of the terminal


class Piece(NamedTuple):
    """A part of a line and how a terminal shows it, in words of rich."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class StatusLine:
    """What is shown.

    Parameters
    ----------
    text : str
        The whole line, where nothing can be styled.
    before, after : tuple of Piece
        What a terminal shows before and after the bar; by default the text and nothing.
    done : float
        Length of the bar, from 0 to 1; NaN: no bar.
    """

    text: str
    before: tuple[Piece, ...] = ()
    after: tuple[Piece, ...] = ()
    done: float = math.nan


class Display(Protocol):
    """Where lines are shown. ``every`` is how long a line should stay before the next one (s)."""

    every: float

    def show(self, line: StatusLine) -> None:
        """Show ``line`` instead of the last one."""

    def close(self) -> None:
        """Give the terminal back."""


def open_display(stream: TextIO | None = None, *, plain: bool = False, spinner: bool = False) -> Display | None:
    """Return the display that suits where the program runs; None where nothing should be shown.

    Parameters
    ----------
    stream : file object, optional
        By default standard error, or the cell of a notebook.
    plain : bool
        Whether plain lines are written where nothing can be redrawn.
    spinner : bool
        Whether a terminal shows that something goes on, and takes the line away at the end.
    """
    if stream is None and in_notebook():
        return _NotebookCell()
    out = stream if stream is not None else sys.stderr
    if out is None:  # a windowed Python has no standard error
        return None
    if out.isatty():
        return _Terminal(out, spinner=spinner)
    return _PlainLines(out) if plain else None


class Activity:
    """Shows on a terminal what is going on, and takes it away at the end. Nothing is shown elsewhere.

    Parameters
    ----------
    message : str, optional
        Shown at once; by default nothing is shown before `say`.
    quiet : bool
        Show nothing.
    after : float
        Seconds before `say` shows anything.

    Examples
    --------
    >>> with Activity("reading ...", quiet=True) as activity:
    ...     activity.say("still reading ...")
    """

    def __init__(self, message: str = "", *, quiet: bool = False, after: float = 0.0) -> None:
        self._message = message
        self._shown = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._start = time.perf_counter() + after
        self._display: Display | None = None

    def __enter__(self) -> Activity:
        if self._message:
            self.say(self._message)
        return self

    def __exit__(self, *about: object) -> None:
        if self._display is not None:
            self._display.close()

    @property
    def due(self) -> bool:
        """Whether a message would be shown now."""
        return self._shown and time.perf_counter() >= self._start

    def say(self, message: str) -> None:
        """Show ``message`` instead of the last one."""
        if self.due:
            self._display = self._display or open_display(sys.stderr, spinner=True)
            if self._display is not None:
                self._display.show(StatusLine(message))


class _PlainLines:
    """Plain lines, for logs and pipes."""

    every = LINE_SECONDS

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._written = ""

    def show(self, line: StatusLine) -> None:
        if line.text != self._written:
            self._stream.write(line.text + "\n")
            self._written = line.text

    def close(self) -> None:
        self._stream.flush()


class _Terminal:
    """One line of a terminal, redrawn in place by rich, which is imported only here."""

    every = REDRAW_SECONDS

    def __init__(self, stream: TextIO, *, spinner: bool) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner

        self._console = Console(file=stream)
        ascii_only = not (self._console.encoding or "").lower().startswith("utf")
        self._full, self._empty = ("#", "-") if ascii_only else ("━", "─")
        self._spinner = Spinner("line" if ascii_only else "dots", style="status.spinner") if spinner else None
        # Only a spinner has a thread, which turns it. Standard output stays where the user sent it.
        self._live: Live = Live(
            self._spinner, console=self._console, auto_refresh=spinner, refresh_per_second=12.5, transient=spinner,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip

    def show(self, line: StatusLine) -> None:
        if self._spinner is None:
            self._live.update(self._rendered(line))
        else:
            self._spinner.update(text=self._rendered(line))
        if not self._live.is_started:
            self._live.start(refresh=True)
        elif self._spinner is None:
            self._live.refresh()

    def close(self) -> None:
        self._live.stop()

    def _rendered(self, line: StatusLine) -> Any:
        from rich.text import Text

        text = Text(no_wrap=True, overflow="ellipsis")
        for piece in line.before or (Piece(line.text),):
            text.append(*piece)
        if self._console.width >= MIN_WIDTH_FOR_BAR and math.isfinite(line.done):
            full = math.floor(BAR_WIDTH * line.done)
            text.append(self._full * full, style="green" if line.done >= 1 else "cyan")
            text.append(self._empty * (BAR_WIDTH - full), style="dim")
        for piece in line.after:
            text.append(*piece)
        return text


class _NotebookCell:
    """One line below a notebook cell, replaced in place."""

    every = REDRAW_SECONDS

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, line: StatusLine) -> None:
        shown: Any = import_module("IPython.display")  # surely there, in a notebook; nothing here depends on it
        bar = f'<progress max="1" value="{line.done:.3f}"></progress> ' if math.isfinite(line.done) else ""
        output = shown.HTML(f"{bar}<code>{html.escape(line.text)}</code>")
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
