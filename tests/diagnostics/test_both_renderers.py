"""Each chart is drawn by Matplotlib and by Bokeh: both show the same curves, boxes, names and axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bokeh.models import GlyphRenderer, Line, LogScale, Quad, Segment
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from offbeat.diagnostics import Trace
from offbeat.diagnostics.plots import draw_matplotlib
from offbeat.diagnostics.plots.charts import Boxes, Chart
from offbeat.diagnostics.plots.coefficient_chart import coefficient_chart
from offbeat.diagnostics.plots.comparison_charts import comparison_charts
from offbeat.diagnostics.plots.convergence_charts import convergence_charts
from offbeat.diagnostics.plots.worker_charts import worker_chart
from offbeat.diagnostics.report import draw_bokeh
from offbeat.diagnostics.series import spans_of, updates_of
from offbeat.sideways.messages import Row


def _slower(trace: Trace, factor: float) -> Trace:
    rows = [row._replace(time=row.time * factor, duration=row.duration * factor) for row in trace]
    return Trace(rows, {**trace.metadata, "clock": "virtual"})


def _convergence(trace: Trace) -> dict[str, Chart]:
    one, several = {"": trace}, {"plain": trace, "slow": _slower(trace, 2.0)}
    return {
        f"{kind} {index}": chart
        for kind, fits in (("one", one), ("several", several))
        for index, chart in enumerate(convergence_charts({name: updates_of(fit) for name, fit in fits.items()}))
    }


def _workers(trace: Trace) -> dict[str, Chart]:
    moved = Trace([*trace, Row(0.1, 0.2, "transfer", worker=1, bytes=3_000, note="shard")], trace.metadata)
    transfers = spans_of(moved, kind="transfer")
    return {
        "workers": worker_chart(spans_of(moved), transfers, updates_of(moved)),
        "joined": worker_chart(spans_of(moved, limit=8), transfers, updates_of(moved)),
    }


def _comparison(trace: Trace) -> dict[str, Chart]:
    made = {}
    for factor in (2.0, 50.0):  # on one axis of time, and on axes of their own
        gaps, workers = comparison_charts({"plain": trace, "slow": _slower(trace, factor)})
        made |= {f"{factor} {index}": chart for index, chart in enumerate((gaps, *workers))}
    return made


def _coefficients(trace: Trace) -> dict[str, Chart]:
    return {"coefficients": coefficient_chart(["wind", "rain", "x" * 60], [2.0, -1.0, 0.0], [0.5, -0.25, 0.0])}


BUILDERS = (_convergence, _workers, _comparison, _coefficients)


def _in_matplotlib(charts: dict[str, Chart]) -> dict[str, Axes]:
    panels = {name: Figure().subplots() for name in charts}
    # Each in a figure of its own: only axes of one figure can be linked.
    for name, chart in charts.items():
        draw_matplotlib.draw_charts([(chart, panels[name])])
    return panels


def _curves_of_matplotlib(axes: Axes) -> list[tuple[str, list[float], list[float]]]:
    found = []
    for line in axes.get_lines():
        x, y = np.atleast_1d(line.get_xdata()), np.atleast_1d(line.get_ydata())
        if line.get_transform() == axes.transData:  # rules are in units of the axes
            found.append((str(line.get_label()).strip("_"), x.tolist(), y.tolist()))
    return found


def _glyphs(plot: Any, kind: type) -> list[GlyphRenderer]:
    return [drawn for drawn in plot.renderers if isinstance(drawn.glyph, kind)]


def _name(plot: Any, drawn: GlyphRenderer) -> str:
    items = plot.legend[0].items if plot.legend else []
    return next((item.label.value for item in items if drawn in item.renderers), "")


def _curves_of_bokeh(plot: Any) -> list[tuple[str, list[float], list[float]]]:
    lines = [drawn for drawn in _glyphs(plot, Line) if "rule" not in drawn.glyph.tags]
    columns = [(_name(plot, drawn), drawn.data_source.data) for drawn in lines]
    found = [(name, np.asarray(each["x"]).tolist(), np.asarray(each["y"]).tolist()) for name, each in columns]
    return [curve for curve in found if not np.isnan(curve[1]).all()]  # the rest only stands in the legend


def _rules(plot: Any) -> list[tuple[str, Any]]:
    lines = [drawn for drawn in _glyphs(plot, Line) if "rule" in drawn.glyph.tags]
    return [(_name(plot, drawn), drawn.data_source.data) for drawn in lines]


def _corners(boxes: Boxes) -> np.ndarray:
    return np.stack([boxes.left, boxes.bottom, boxes.right, boxes.top], axis=1)


def _boxes_of_matplotlib(axes: Axes) -> list[np.ndarray]:
    drawn = [each for each in axes.collections if isinstance(each, PolyCollection)]
    return [np.array([[*path.vertices.min(axis=0), *path.vertices.max(axis=0)] for path in each.get_paths()])
            for each in drawn]  # fmt: skip


def _boxes_of_bokeh(plot: Any) -> list[np.ndarray]:
    sources = [drawn.data_source.data for drawn in _glyphs(plot, Quad)]
    return [np.stack([each[side] for side in ("left", "bottom", "right", "top")], axis=1) for each in sources]


@pytest.mark.parametrize("builder", BUILDERS)
def test_both_show_the_same_curves(builder: Callable[[Trace], dict[str, Chart]], trace: Trace) -> None:
    charts = builder(trace)
    panels, plots = _in_matplotlib(charts), draw_bokeh.draw_charts(charts)
    for name, chart in charts.items():
        wanted = [(curve.name, curve.x.tolist(), curve.y.tolist()) for curve in chart.curves]
        assert _curves_of_matplotlib(panels[name]) == _curves_of_bokeh(plots[name]) == wanted
    assert any(chart.curves or chart.boxes for chart in charts.values())


@pytest.mark.parametrize("builder", BUILDERS)
def test_both_show_the_same_boxes_and_marks(builder: Callable[[Trace], dict[str, Chart]], trace: Trace) -> None:
    charts = builder(trace)
    panels, plots = _in_matplotlib(charts), draw_bokeh.draw_charts(charts)
    for name, chart in charts.items():
        for drawn in (_boxes_of_matplotlib(panels[name]), _boxes_of_bokeh(plots[name])):
            assert len(drawn) == len(chart.boxes)
            for corners, boxes in zip(drawn, chart.boxes, strict=True):
                np.testing.assert_allclose(corners, _corners(boxes))
        for marks in chart.marks:
            (segments,) = _glyphs(plots[name], Segment)
            lines = panels[name].collections[-1]
            assert np.asarray(segments.data_source.data["x0"]).tolist() == marks.x.tolist()
            assert [path.vertices[0, 0] for path in lines.get_paths()] == marks.x.tolist()


@pytest.mark.parametrize("builder", BUILDERS)
def test_both_have_the_same_axes_and_names(builder: Callable[[Trace], dict[str, Chart]], trace: Trace) -> None:
    charts = builder(trace)
    panels, plots = _in_matplotlib(charts), draw_bokeh.draw_charts(charts)
    for name, chart in charts.items():
        axes, plot = panels[name], plots[name]
        assert axes.get_xlabel() == plot.xaxis[0].axis_label == chart.x.label
        assert axes.get_ylabel() == (plot.yaxis[0].axis_label or "") == chart.y.label
        assert (axes.get_xscale() == "log") == isinstance(plot.x_scale, LogScale) == chart.x.log
        assert (axes.get_yscale() == "log") == isinstance(plot.y_scale, LogScale) == chart.y.log
        if chart.y.ticks is not None:
            named = [text for _, text in chart.y.ticks]
            assert [label.get_text() for label in axes.get_yticklabels()] == named
            assert list(plot.yaxis[0].major_label_overrides.values()) == named
        in_legend = [item.label.value for item in plot.legend[0].items] if plot.legend else []
        assert list(draw_matplotlib.legend_entries(chart)) == in_legend
        assert [(rule.name, rule.at) for rule in chart.rules] == [
            (said, data["y" if rule.axis == "y" else "x"][0])
            for rule, (said, data) in zip(chart.rules, _rules(plot), strict=True)
        ]


def test_linked_axes_have_one_range_in_both(trace: Trace) -> None:
    charts = list(convergence_charts({"": updates_of(trace)}))
    panels = list(zip(charts, Figure().subplots(2, 2).flat, strict=True))
    draw_matplotlib.draw_charts(panels)
    plots = list(draw_bokeh.draw_charts({str(i): chart for i, chart in enumerate(charts)}).values())
    for i, j in ((0, 1), (2, 3)):  # a row has one axis of values
        assert panels[i][1].get_ylim() == panels[j][1].get_ylim()
        assert plots[i].y_range is plots[j].y_range
    for i, j in ((0, 2), (1, 3)):  # a column has one of time or passes
        assert panels[i][1].get_xlim() == panels[j][1].get_xlim()
        assert plots[i].x_range is plots[j].x_range
    assert plots[0].x_range is not plots[1].x_range
    assert panels[0][1].get_xlim()[0] == 0.0


def test_an_empty_chart_says_why_in_both() -> None:
    chart = convergence_charts({"": updates_of(Trace())})[0]
    (axes,), (plot,) = _in_matplotlib({"": chart}).values(), draw_bokeh.draw_charts({"": chart}).values()
    assert [text.get_text() for text in axes.texts] == ["No gap was recorded."]
    assert [label.text for label in plot.center if hasattr(label, "text")] == ["No gap was recorded."]


def test_details_of_boxes_are_said_with_their_units(trace: Trace) -> None:
    charts = _workers(trace)
    (plot,) = draw_bokeh.draw_charts({"workers": charts["workers"]}).values()
    tips = dict(plot.hover[0].tooltips)
    assert tips["began"] == "@{left}{0.000} ms"
    assert tips["duration"] == "@{duration}{0.000} ms"
    assert tips["clock"] == "@{clock}"
    assert set(plot.hover[0].renderers[0].data_source.data) >= {"left", "duration", "clock", "shard", "staleness"}
    (joined,) = draw_bokeh.draw_charts({"joined": charts["joined"]}).values()
    assert dict(joined.hover[0].tooltips)["steps in this bar"] == "@{steps in this bar}"


def test_pages_let_the_reader_zoom_as_the_chart_says(trace: Trace) -> None:
    chart = _workers(trace)["workers"]
    plots = draw_bokeh.draw_charts({zoom: replace(chart, zoom=zoom) for zoom in ("x", "both", "none")})
    tools = {zoom: [type(tool).__name__ for tool in plot.tools] for zoom, plot in plots.items()}
    assert "BoxZoomTool" not in tools["none"]
    assert {"BoxZoomTool", "WheelZoomTool", "PanTool"} <= set(tools["x"])
    assert (plots["x"].toolbar.active_drag.dimensions, plots["both"].toolbar.active_drag.dimensions) == (
        "width",
        "both",
    )
