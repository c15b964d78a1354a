"""Pages about fits: one HTML file each, which needs no network.

Read `page` (what all pages have, and their templates), `fit_report` (the page of one fit) with `tables` and `verdict`,
`comparison` (the page of several), and `draw_bokeh`, which draws the charts that `offbeat.diagnostics.plots` describes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from offbeat._utils.lazy import lazily

if TYPE_CHECKING:
    from offbeat.diagnostics.report.comparison import Comparison, check_format, write_comparison
    from offbeat.diagnostics.report.fit_report import Report, write_report

__all__ = ["Comparison", "Report", "check_format", "write_comparison", "write_report"]

_HOMES = {
    "Comparison": "comparison",
    "Report": "fit_report",
    "check_format": "comparison",
    "write_comparison": "comparison",
    "write_report": "fit_report",
}
__getattr__, __dir__ = lazily(__name__, _HOMES)
