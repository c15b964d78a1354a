"""What all pages have: one file that works offline, made from a template in which everything is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from offbeat.diagnostics.report.tables import text

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = "templates"


def render_page(template: str, title: str, models: Mapping[str, Any], **shown: object) -> str:
    """Text of a page that works offline.

    Parameters
    ----------
    template : str
        File of the folder ``templates``. It finds the HTML of each model as ``charts``, by its name.
    title : str
    models : mapping of str to Bokeh model
    **shown : object
        What else the template shows. It is escaped there.
    """
    from bokeh.embed import components
    from bokeh.resources import Resources
    from markupsafe import Markup

    script, places = components(dict(models)) if models else ("", {})
    return environment().get_template(template).render(
        shown,
        title=title,
        version=_version(),
        # Only what Bokeh and this package wrote is put into the page as it is.
        charts={name: Markup(place) for name, place in places.items()},
        script=Markup(script),
        resources=Markup(Resources(mode="inline", components=["bokeh", "bokeh-widgets", "bokeh-tables"]).render()),
        style=Markup(_asset("style.css")),
        theme=Markup(_asset("theme.js")),
    )  # fmt: skip


@cache
def environment() -> Environment:
    """Return the templates: every value is escaped, and one that is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("offbeat.diagnostics.report", TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["text"] = text
    return made


def _asset(name: str) -> str:
    from importlib.resources import files

    return (files("offbeat.diagnostics.report") / TEMPLATES / name).read_text(encoding="utf-8")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("offbeat")
    except PackageNotFoundError:  # run from a folder of sources
        return ""
