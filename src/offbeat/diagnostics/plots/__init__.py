"""Charts of fits: what each shows, described without a plotting library, and the figures that Matplotlib draws of them.

Read `charts` (the records of a description), then a builder (`convergence_charts`, `worker_charts`,
`coefficient_chart`, `comparison_charts`), `draw_matplotlib` (draws any description) and `figures` (the public
functions). `offbeat.diagnostics.report.draw_bokeh` draws the same descriptions for the pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from offbeat._utils.lazy import lazily

if TYPE_CHECKING:
    from offbeat.diagnostics.plots.figures import comparison_figure, convergence, save_figure, task_stream

__all__ = ["comparison_figure", "convergence", "save_figure", "task_stream"]

_HOMES = dict.fromkeys(__all__, "figures")
__getattr__, __dir__ = lazily(__name__, _HOMES)
