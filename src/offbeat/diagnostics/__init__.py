"""What happened during a fit: the trace, its plots and reports, and the progress display.

Read `trace` (the table that users hold), `series` (the numbers taken from it), `plots` (charts), `report` (pages), and
`progress`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from offbeat._utils.lazy import lazily

if TYPE_CHECKING:
    from offbeat.diagnostics.plots import convergence, save_figure, task_stream
    from offbeat.diagnostics.progress import Progress
    from offbeat.diagnostics.report import Report, write_report
    from offbeat.diagnostics.trace import Trace

__all__ = ["Progress", "Report", "Trace", "convergence", "save_figure", "task_stream", "write_report"]

_HOMES = {
    "Progress": "progress",
    "Report": "report",
    "Trace": "trace",
    "convergence": "plots",
    "save_figure": "plots",
    "task_stream": "plots",
    "write_report": "report",
}
__getattr__, __dir__ = lazily(__name__, _HOMES)
