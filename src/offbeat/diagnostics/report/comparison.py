"""The page, or the picture, that compares several fits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from offbeat._utils.atomic import atomic_write
from offbeat._utils.extras import require_plot
from offbeat.diagnostics.plots.comparison_charts import comparison_charts
from offbeat.diagnostics.plots.figures import comparison_figure, save_figure
from offbeat.diagnostics.plots.palette import fit_color
from offbeat.diagnostics.report.draw_bokeh import draw_charts
from offbeat.diagnostics.report.page import render_page
from offbeat.diagnostics.report.tables import Table
from offbeat.diagnostics.trace_table import TraceTable
from offbeat.errors import DataError

PAGES = (".html", ".htm")
PICTURES = (".png", ".pdf", ".svg")


@dataclass(frozen=True)
class Comparison:
    """What a page that compares fits shows.

    Parameters
    ----------
    title, subtitle : str
    traces : mapping of str to Trace
        By the names to show.
    head, rows : sequence
        Of the table of results.
    facts : mapping of str to object
        What all fits have in common.
    """

    title: str
    subtitle: str
    traces: Mapping[str, TraceTable]
    head: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


def write_comparison(comparison: Comparison, path: str | os.PathLike[str]) -> None:
    """Write a page that compares fits, or the figure alone: by the ending of the file.

    Parameters
    ----------
    comparison : Comparison
    path : str or path-like
        ``.html`` or ``.htm`` for a page that works offline; ``.png``, ``.pdf``, ``.svg`` for the figure.

    Raises
    ------
    DataError
        The ending is another.
    MissingPackageError
        What draws it is not installed.
    OSError
        The folder is missing, not writable or full.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from offbeat.diagnostics import Trace
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_comparison(Comparison("Two fits", "", {"a": Trace(), "b": Trace()}), Path(folder) / "two.html")
    ...     "<h1>Two fits</h1>" in (Path(folder) / "two.html").read_text(encoding="utf-8")
    True
    """
    check_format(path)
    if _is_page(path):
        page = render(comparison).encode("utf-8")
        with atomic_write(path) as file:
            file.write(page)
    else:
        save_figure(comparison_figure(comparison.traces), path)


def check_format(path: str | os.PathLike[str]) -> None:
    """Raise unless the ending is that of a page or picture, and what draws it is installed.

    Raises
    ------
    DataError
        The ending is another.
    MissingPackageError
        What draws it is not installed.
    """
    if not os.fspath(path).lower().endswith((*PAGES, *PICTURES)):
        raise DataError(f"{os.fspath(path)!r} should end in one of {', '.join((*PAGES, *PICTURES))}")
    require_plot("page" if _is_page(path) else "picture")


def _is_page(path: str | os.PathLike[str]) -> bool:
    return os.fspath(path).lower().endswith(PAGES)


def render(comparison: Comparison) -> str:
    """Text of the page.

    Parameters
    ----------
    comparison : Comparison
    """
    require_plot("page")
    gaps, workers = comparison_charts(comparison.traces)
    charts = {"gaps": gaps, **{f"workers{index}": chart for index, chart in enumerate(workers)}}
    models = draw_charts({name: chart for name, chart in charts.items() if not chart.empty})
    fits = [{"title": w.title, "color": fit_color(i), "chart": f"workers{i}"} for i, w in enumerate(workers)]
    return render_page(
        "comparison.html",
        comparison.title,
        models,
        subtitle=comparison.subtitle,
        results=Table(comparison.head, comparison.rows, len(comparison.rows)),
        fits=fits,
        facts=comparison.facts,
    )
