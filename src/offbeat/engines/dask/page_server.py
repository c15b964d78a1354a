"""The page on convergence as the scheduler serves it, beside those of Dask's dashboard.

The scheduler need not have Offbeat: each function travels with its code, and uses nothing else of this module.
What they keep is one Tornado application in the list of those that the scheduler's HTTP server has; it goes with the
last run that it shows, or with the last client that had one.
"""

from __future__ import annotations

from typing import Any

POINTS = 1000


def open_page(run: str, client: str, page: str, about: dict[str, Any], dask_scheduler: Any = None) -> bool:
    """Show a run; return whether this scheduler can.

    Parameters
    ----------
    run : str
    client : str
        Identity of its client: what it had open goes when it does.
    page : str
        HTML, with STATE where the state goes.
    about : dict
    """
    import json
    from contextlib import suppress

    from tornado.web import Application, RequestHandler

    server: Any = getattr(dask_scheduler, "http_application", None)
    if not hasattr(server, "add_application"):
        return False
    shown = {**about, "run": run, "client": client}
    for other in server.applications:
        if "offbeat" in getattr(other, "settings", {}):
            other.settings["offbeat"][run] = shown
            return True
    runs, menu = {run: shown}, list[str]()

    def end() -> None:
        if not runs and app in server.applications:
            server.applications.remove(app)
        if not runs and "offbeat" in menu:
            menu.remove("offbeat")

    def state() -> str:
        for name in [name for name, each in runs.items() if each["client"] not in dask_scheduler.clients]:
            del runs[name]
        end()
        return json.dumps({"runs": list(runs.values())}).replace("<", "\\u003c")

    class Page(RequestHandler):
        def get(self, data: str | None) -> None:
            if data:
                self.set_header("Content-Type", "application/json")
            self.write(state() if data else page.replace("STATE", state()))

    app = Application([(r"/(?:.*/)?offbeat(\.json)?", Page)], offbeat=runs, end=end)
    server.add_application(app)
    with suppress(Exception):  # the menu of Dask's own pages: there only with Bokeh
        if any("bokeh" in str(each).lower() for each in server.applications):
            from distributed.dashboard.scheduler import template_variables

            menu = template_variables(dask_scheduler)["pages"]
            menu.append("offbeat")
    return True


def tell_page(run: str, news: dict[str, Any], most: int, dask_scheduler: Any = None) -> None:
    """Show news of a run: values that take the place of older ones, and points that are added to the curve.

    Parameters
    ----------
    run : str
    news : dict
    most : int
        Points that are kept: of more, every other goes.
    """
    for app in dask_scheduler.http_application.applications:
        shown = getattr(app, "settings", {}).get("offbeat", {}).get(run)
        if shown is not None:
            points = shown["points"] + news["points"]
            while len(points) > most:
                points = points[:-1:2] + points[-1:]
            shown.update(news, points=points)


def close_page(run: str, dask_scheduler: Any = None) -> None:
    """Show a run no more; without any, leave nothing."""
    for app in list(dask_scheduler.http_application.applications):
        settings = getattr(app, "settings", {})
        if "offbeat" in settings:
            settings["offbeat"].pop(run, None)
            settings["end"]()
