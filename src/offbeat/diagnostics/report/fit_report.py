"""The page of one fit: verdict, key figures, convergence, workers, coefficients, settings."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from offbeat._utils.atomic import atomic_write
from offbeat._utils.extras import require_plot
from offbeat.diagnostics.formatting import counted, duration, significant
from offbeat.diagnostics.plots.charts import Chart
from offbeat.diagnostics.plots.coefficient_chart import coefficient_chart
from offbeat.diagnostics.plots.convergence_charts import convergence_charts
from offbeat.diagnostics.plots.worker_charts import worker_chart
from offbeat.diagnostics.report import tables
from offbeat.diagnostics.report.coefficient_table import coefficient_table
from offbeat.diagnostics.report.draw_bokeh import draw_charts
from offbeat.diagnostics.report.page import render_page
from offbeat.diagnostics.report.verdict import certificate_of, verdict
from offbeat.diagnostics.series import Spans, Updates, elapsed, number, passes_of, spans_of, updates_of
from offbeat.diagnostics.trace_table import TraceTable

if TYPE_CHECKING:
    from offbeat.problem import Certificate

MAX_BARS = 30  # coefficients drawn as bars


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
    trace: TraceTable
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
    MissingPackageError
        Bokeh or Jinja2 is not installed.
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


class Tile(NamedTuple):
    """One of the key figures."""

    name: str
    value: str
    more: str = ""


def render(report: Report) -> str:
    """Text of the page.

    Parameters
    ----------
    report : Report
    """
    require_plot("page")
    if report.certificate is None:
        report = replace(report, certificate=certificate_of(report.trace))
    trace = report.trace
    updates, spans = updates_of(trace, _scale(report)), spans_of(trace)
    charts = _charts(report, updates, spans)
    models = draw_charts(charts)
    if report.coefficients:
        models["table"] = coefficient_table(*_ranked(report.coefficients))
    return render_page(
        "fit.html",
        report.title,
        models,
        verdict=verdict(report.certificate, report.status or trace.metadata.get("status", "")),
        tiles=_tiles(report, updates),
        convergence=[name for name in charts if name.startswith("convergence")],
        milestones=tables.milestones(updates),
        moved=any(row.kind == "transfer" for row in trace),
        joined=_joined(spans),
        workers=tables.workers(trace),
        coefficients=_about(report.coefficients),
        facts=_facts(report),
    )


def _scale(report: Report) -> float:
    """Gap that counts as 1: of the metadata, or else as the certificate tells."""
    scale, certificate = number(report.trace.metadata.get("gap_scale")), report.certificate
    if math.isnan(scale) and certificate is not None and certificate.gap > 0 and certificate.relative_gap > 0:
        return float(certificate.gap / certificate.relative_gap)
    return scale


def _charts(report: Report, updates: Updates, spans: Spans) -> dict[str, Chart]:
    """Charts by the names of their places in the page. Where there is nothing to draw, there is no chart."""
    charts: dict[str, Chart] = {}
    if len(updates.time):
        charts.update({f"convergence{i}": chart for i, chart in enumerate(convergence_charts({"": updates}))})
    if len(spans):
        charts["workers"] = worker_chart(spans, spans_of(report.trace, kind="transfer"), updates)
    names, values, effects = _ranked(report.coefficients)
    known = min(MAX_BARS, int(np.isfinite(effects).sum()))
    if known:
        charts["coefficients"] = coefficient_chart(names[:known], values[:known], effects[:known])
    return charts


def _ranked(coefficients: Sequence[tuple[str, float, float]]) -> tuple[list[str], list[float], list[float]]:
    """Names, values and effects, largest effect first and unknown ones last."""
    order = sorted(coefficients, key=lambda c: -abs(c[2]) if math.isfinite(c[2]) else math.inf)
    return [str(c[0]) for c in order], [float(c[1]) for c in order], [float(c[2]) for c in order]


def _tiles(report: Report, updates: Updates) -> list[Tile]:
    certificate, trace = report.certificate, report.trace
    tiles: list[Tile] = []
    if certificate is not None:
        dual = f"dual {significant(certificate.dual)}" if math.isfinite(certificate.dual) else ""
        tiles.append(Tile("Objective", significant(certificate.primal), dual))
        name = "Relative gradient" if certificate.kind == "gradient" else "Relative gap"
        tiles.append(Tile(name, f"{certificate.relative_gap:.1e}", f"tolerance {certificate.tolerance:.0e}"))
    if len(trace):
        tiles.append(
            Tile("Passes over the data", significant(passes_of(trace), 4), counted(len(updates.time), "update"))
        )
        workers = len({row.worker for row in trace if row.kind == "step"})
        on = counted(workers, "worker") if workers else ""
        tiles.append(Tile("Virtual time" if updates.virtual else "Time", duration(elapsed(trace)), on))
    return [*tiles, *(Tile(name, significant(float(value), 4)) for name, value in report.metrics.items())]


def _joined(spans: Spans) -> str:
    """What is said where a bar stands for several steps; empty where each has its own."""
    if not spans.resolution:
        return ""
    steps, pause = int(spans.steps.sum()), duration(spans.resolution)
    return (
        f"{steps:,} steps are drawn as {len(spans):,} bars: steps of one worker less than {pause} apart are "
        "joined, and paler the more of their time was idle. The table counts every step."
    )


def _about(coefficients: Sequence[tuple[str, float, float]]) -> str:
    """What is said above the coefficients; empty when there are none."""
    if not coefficients:
        return ""
    count, zero = len(coefficients), sum(1 for c in coefficients if c[1] == 0)
    said = counted(count, "coefficient") + (f", {zero:,} of them exactly zero" if zero else "")
    known = any(math.isfinite(c[2]) for c in coefficients)
    top = f" The {MAX_BARS} largest are drawn." if count > MAX_BARS and known else ""
    effect = (
        "A standardised effect is the change of the linear predictor when a feature grows by one standard deviation."
    )
    return f"{said}. {effect}{top}"


def _facts(report: Report) -> dict[str, Mapping[str, object]]:
    """Tables of names and values, by their titles."""
    facts = {"Data": report.data_summary, "Settings": {**_chosen(report), **report.settings}}
    return {title: values for title, values in facts.items() if values}


def _chosen(report: Report) -> dict[str, Any]:
    """Metadata of the trace that the page does not show elsewhere, with numbers read as numbers."""
    elsewhere = {"status", "gap_scale", "clock"} | ({"tolerance", "certificate"} if report.certificate else set())
    metadata = report.trace.metadata
    return {k: v if math.isnan(number(v)) else number(v) for k, v in metadata.items() if k not in elsewhere}
