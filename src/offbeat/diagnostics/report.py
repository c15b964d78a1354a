"""The HTML report: one file that shows a whole fit and needs no network."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from offbeat._utils.atomic import atomic_write
from offbeat.diagnostics import report_tables as tables
from offbeat.diagnostics.progress import duration
from offbeat.diagnostics.series import Bars, Curves, curves, number, passes_of, span_of, step_bars
from offbeat.diagnostics.trace import Trace
from offbeat.diagnostics.verdict import certificate_of, verdict

if TYPE_CHECKING:
    from offbeat.problem import Certificate

TOP = 30  # coefficients drawn as bars


@dataclass(frozen=True)
class Report:
    """What a report shows. Everything but the title and the trace may be left out.

    Parameters
    ----------
    title : str
    trace : Trace
    certificate : Certificate, optional
        Distance from the optimum; by default that of the last update of the trace.
    settings, data_summary : mapping of str to object
        Shown as tables, in their order.
    coefficients : sequence of (str, float, float)
        Name, value on the original scale, standardised effect (NaN when unknown).
    metrics : mapping of str to float
        Shown among the key figures, e.g. ``{"test AUC": 0.73}``.
    status : str
        Why the fit stopped; by default ``status`` of the trace's metadata.
    """

    title: str
    trace: Trace
    certificate: Certificate | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    data_summary: Mapping[str, object] = field(default_factory=dict)
    coefficients: Sequence[tuple[str, float, float]] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    status: str = ""


def write_report(report: Report, path: str | os.PathLike[str]) -> None:
    """Write ``report`` as one HTML file that works offline, whole or not at all.

    Parameters
    ----------
    report : Report
    path : str or path-like
        File to write. Its folder must exist.

    Raises
    ------
    OSError
        The folder is missing, not writable or full.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from offbeat.diagnostics import Report, Trace, write_report
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(Report("Late flights", Trace()), Path(folder) / "report.html")
    ...     "<title>Late flights</title>" in (Path(folder) / "report.html").read_text(encoding="utf-8")
    True
    """
    page = render(report).encode("utf-8")
    with atomic_write(path) as file:
        file.write(page)


def render(report: Report) -> str:
    """Text of the page.

    Parameters
    ----------
    report : Report
    """
    if report.certificate is None:
        report = replace(report, certificate=certificate_of(report.trace))
    curve = curves(report.trace, _scale(report))
    bars = step_bars(report.trace)

    def body(places: Mapping[str, str]) -> list[str]:
        return [
            _convergence(curve, places),
            _stream(report.trace, bars, places),
            _coefficients(report.coefficients, places),
            _facts(report),
        ]

    said = verdict(report.certificate, report.status or report.trace.metadata.get("status", ""))
    return page(report.title, said, _tiles(report, curve), _charts(report, curve, bars), body)


def page(
    title: str, said: str, tiles: str, charts: Mapping[str, Any], body: Callable[[Mapping[str, str]], Sequence[str]]
) -> str:
    """Text of a page that works offline.

    Parameters
    ----------
    title : str
    said, tiles : str
        HTML below the title.
    charts : mapping of str to Bokeh model
    body : callable
        Is given the HTML of the place of each chart, by its name; returns the sections.
    """
    from bokeh.embed import components
    from bokeh.resources import Resources

    script, places = components(dict(charts)) if charts else ("", {})
    return Template(_asset("page.html")).substitute(
        title=html.escape(title),
        version=_version(),
        style=_asset("style.css"),
        theme=_asset("theme.js"),
        resources=Resources(mode="inline", components=["bokeh", "bokeh-widgets", "bokeh-tables"]).render(),
        verdict=said,
        tiles=tiles,
        body="\n".join(body(places)),
        script=script,
    )


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("offbeat")
    except PackageNotFoundError:  # run from a folder of sources
        return ""


def _asset(name: str) -> str:
    return (files("offbeat.diagnostics") / "assets" / name).read_text(encoding="utf-8")


def _scale(report: Report) -> float:
    """Gap that counts as 1: of the metadata, or else as the certificate tells."""
    scale, certificate = number(report.trace.metadata.get("gap_scale")), report.certificate
    if math.isnan(scale) and certificate is not None and certificate.gap > 0 and certificate.relative_gap > 0:
        return float(certificate.gap / certificate.relative_gap)
    return scale


def _charts(report: Report, curve: Curves, bars: Bars) -> dict[str, Any]:
    """Bokeh models by the name of their place in the page."""
    from offbeat.diagnostics import report_figures as figures
    from offbeat.diagnostics.report_stream import task_stream

    charts: dict[str, Any] = {}
    if len(curve.time):
        charts.update({f"curve{i}": plot for i, plot in enumerate(figures.convergence_grid(curve))})
    if len(bars):
        moments = curve.time[np.isfinite(curve.time)]
        transfers = step_bars(report.trace, kind="transfer")
        charts["stream"] = task_stream(bars, transfers, moments, virtual=curve.virtual)
    if report.coefficients:
        names, values, effects = _ranked(report.coefficients)
        known = int(np.isfinite(effects).sum())
        if known:
            top = slice(min(TOP, known))
            charts["bars"] = figures.coefficient_bars(names[top], values[top], effects[top])
        charts["table"] = tables.coefficient_table(names, values, effects)
    return charts


def _ranked(coefficients: Sequence[tuple[str, float, float]]) -> tuple[list[str], list[float], list[float]]:
    """Names, values and effects, largest effect first and unknown ones last."""
    order = sorted(coefficients, key=lambda c: -abs(c[2]) if math.isfinite(c[2]) else math.inf)
    return [str(c[0]) for c in order], [float(c[1]) for c in order], [float(c[2]) for c in order]


def _tiles(report: Report, curve: Curves) -> str:
    certificate, trace = report.certificate, report.trace
    tiles: list[tuple[str, str, str]] = []
    if certificate is not None:
        dual = f"dual {tables.figure(certificate.dual)}" if math.isfinite(certificate.dual) else ""
        tiles.append(("Objective", tables.figure(certificate.primal), dual))
        name = "Relative gradient" if certificate.kind == "gradient" else "Relative gap"
        tiles.append((name, f"{certificate.relative_gap:.1e}", f"tolerance {certificate.tolerance:.0e}"))
    if len(trace):
        updates = f"{len(curve.time):,} update{'' if len(curve.time) == 1 else 's'}"
        tiles.append(("Passes over the data", tables.figure(passes_of(trace), 4), updates))
        virtual = "virtual " if curve.virtual else ""
        workers = len({row.worker for row in trace if row.kind == "step"})
        on = f"{workers} worker{'' if workers == 1 else 's'}" if workers else ""
        tiles.append((f"{virtual}time".capitalize(), duration(span_of(trace)), on))
    tiles += [(name, tables.figure(float(value), 4), "") for name, value in report.metrics.items()]
    if not tiles:
        return ""
    parts = [
        f'<div class="tile"><dt>{html.escape(name)}</dt><dd>{html.escape(value)}'
        f"<small>{html.escape(more)}</small></dd></div>"
        for name, value, more in tiles
    ]
    return f'<dl class="tiles">{"".join(parts)}</dl>'


def section(title: str, *parts: str) -> str:
    """Part of a page with its own title."""
    return f"<section><h2>{html.escape(title)}</h2>\n" + "\n".join(part for part in parts if part) + "</section>"


def remark(said: str, *, screen: bool = True) -> str:
    """Small print; ``screen``: left out on paper."""
    return f'<p class="hint{" screen" if screen else ""}">{said}</p>'


def _convergence(curve: Curves, places: Mapping[str, str]) -> str:
    if "curve0" not in places:
        return section("Convergence", remark("No update was recorded.", screen=False))
    grid = "".join(f'<div class="plot">{places[f"curve{i}"]}</div>' for i in range(4))
    hint = remark("Drag to zoom, double-click to reset, click a name to hide its curve.")
    passed = tables.milestones(curve)
    steps = f'<h3>When it got how close</h3><div class="narrow">{passed}</div>' if passed else ""
    return section("Convergence", hint, f'<div class="two">{grid}</div>', steps)


def _stream(trace: Trace, bars: Bars, places: Mapping[str, str]) -> str:
    if "stream" not in places:
        return section("Workers", remark("No step was recorded.", screen=False))
    moved = any(row.kind == "transfer" for row in trace)
    below = "What was moved to a worker lies below them, as it works meanwhile. " if moved else ""
    hint = f"One bar is one step of a worker on a shard. {below}Drag to zoom in on a time, Ctrl and wheel to zoom, "
    joined = ""
    if bars.resolution:
        steps, pause = int(bars.steps.sum()), duration(bars.resolution)
        joined = remark(
            f"{steps:,} steps are drawn as {len(bars):,} bars: steps of one worker less than {pause} apart are "
            "joined, and paler the more of their time was idle. The table counts every step.",
            screen=False,
        )
    table = f"<h3>Each worker</h3>{tables.workers(trace)}"
    return section("Workers", remark(hint + "double-click to reset."), joined, places["stream"], table)


def _coefficients(coefficients: Sequence[tuple[str, float, float]], places: Mapping[str, str]) -> str:
    if not coefficients:
        return ""
    count, zero = len(coefficients), sum(1 for c in coefficients if c[1] == 0)
    said = f"{count:,} coefficient{'' if count == 1 else 's'}" + (f", {zero:,} of them exactly zero" if zero else "")
    top = f" The {TOP} largest are drawn." if count > TOP and "bars" in places else ""
    effect = (
        "A standardised effect is the change of the linear predictor when a feature grows by one standard deviation."
    )
    full = f'<h3>All coefficients</h3><div class="screen">{places["table"]}</div>'
    return section("Coefficients", remark(f"{said}. {effect}{top}", screen=False), places.get("bars", ""), full)


def _facts(report: Report) -> str:
    parts = []
    if report.data_summary:
        parts.append(section("Data", tables.pairs(report.data_summary)))
    settings = {**_chosen(report), **report.settings}
    if settings:
        parts.append(section("Settings", tables.pairs(settings)))
    return f'<div class="columns">{"".join(parts)}</div>' if parts else ""


def _chosen(report: Report) -> dict[str, object]:
    """Metadata of the trace that the page does not show elsewhere, with numbers read as numbers."""
    elsewhere = {"status", "gap_scale", "clock"} | ({"tolerance", "certificate"} if report.certificate else set())
    metadata = report.trace.metadata
    return {k: v if math.isnan(number(v)) else number(v) for k, v in metadata.items() if k not in elsewhere}
