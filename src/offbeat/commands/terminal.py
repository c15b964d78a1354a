"""What every command does alike: exit codes, errors as one line, JSON, output that respects pipes."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from offbeat.diagnostics.display import Activity
from offbeat.errors import OffbeatError

if TYPE_CHECKING:
    from rich.console import Console

OK = 0
BAD_INPUT = 2
NOT_CERTIFIED = 3
INTERRUPTED = 130
BROKEN_PIPE = 141


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn errors that are not bugs into one line on standard error and an exit code.

    Raises
    ------
    typer.Exit
        With `BAD_INPUT`, `INTERRUPTED` or `BROKEN_PIPE`.
    """
    try:
        yield
    except OffbeatError as error:
        stop(str(error))
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(BROKEN_PIPE) from None
    except OSError as error:
        stop(_of_system(error))
    except MemoryError:
        stop("not enough memory; try a smaller --memory-budget, which streams the data from disk")
    except KeyboardInterrupt:
        stop("interrupted", INTERRUPTED)


def stop(message: str, code: int = BAD_INPUT) -> NoReturn:
    """Say why on standard error, and exit."""
    line = " ".join(message.split())
    typer.echo(f"{typer.style('error:', fg='red', bold=True)} {line}", err=True)
    raise typer.Exit(code)


def note(message: str) -> None:
    """Tell the user something that is no result, on standard error."""
    typer.echo(message, err=True)


@contextmanager
def noted_warnings() -> Iterator[None]:
    """Show warnings of the library about the data as notes."""
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for text in dict.fromkeys(str(warning.message) for warning in caught if warning.category is UserWarning):
        note(f"{typer.style('note:', bold=True)} {text}")


def print_json(result: Mapping[str, Any]) -> None:
    """Print one JSON object on standard output; numbers that JSON lacks become null."""
    typer.echo(json.dumps(finite(result), indent=2, ensure_ascii=False, allow_nan=False))


def finite(value: Any) -> Any:
    """Return the value with NaN and infinities replaced by None, at any depth, and NumPy's numbers by Python's.

    Examples
    --------
    >>> finite({"dual": float("-inf"), "names": ("a", 1)})
    {'dual': None, 'names': ['a', 1]}
    """
    if isinstance(value, Mapping):
        return {str(key): finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def console() -> Console:
    """Return the console of standard output; wide enough for tables where it is no terminal."""
    from rich.console import Console

    made = Console(highlight=False, soft_wrap=False)
    return made if made.is_terminal else Console(highlight=False, width=120)


def working(message: str, *, quiet: bool = False) -> Activity:
    """Return a context that shows on a terminal what is going on meanwhile."""
    return Activity(message, quiet=quiet)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the file in errors of the system: a full disk shows without one.

    Raises
    ------
    OSError
        As inside the block, with ``path``.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot be written: {reason}", str(error.filename or path)) from error


def check_writable(path: Path) -> None:
    """Raise `OSError` if nothing can be written at a path: better before a long fit than after.

    Examples
    --------
    >>> import tempfile
    >>> check_writable(Path(tempfile.gettempdir()) / "model")
    """
    folder = path.absolute()
    while not os.path.lexists(folder):
        folder = folder.parent
    above = folder.parent if folder == path.absolute() and not folder.is_dir() else folder
    if not above.is_dir():
        raise NotADirectoryError(20, "Not a folder", str(above))
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(13, "The folder cannot be written", str(above))


def _of_system(error: OSError) -> str:
    """Say in one line what the operating system said, and about which file."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason
