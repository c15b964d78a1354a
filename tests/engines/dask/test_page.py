"""The page on convergence beside those of Dask's dashboard."""

import json
import logging
import re
import time
from urllib.error import HTTPError
from urllib.request import urlopen

import dask.array as da
import numpy as np
import pytest

import offbeat
from offbeat import Problem, engines, losses, penalties, solvers, topology
from offbeat.engines.dask import page
from offbeat.engines.dask.by_value import by_value
from offbeat.engines.dask.page_server import close_page, open_page, tell_page

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-3))
RUN = {"solver": "someone", "points": [], "time": 0.0}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(page, "AFTER", 0.0)
    monkeypatch.setattr(page, "EVERY", 0.02)


@pytest.fixture
def rows(client):
    X = np.random.default_rng(0).normal(size=(600, 4))
    return da.from_array(X, chunks=(150, 4)), da.from_array((X[:, 0] > 0.2).astype(float), chunks=150)


def at(client, name):
    return f"{client.dashboard_link.rpartition('/')[0]}/{name}"


def state(client):
    """Return what the scheduler has."""

    def look(dask_scheduler):
        from distributed.dashboard.scheduler import template_variables

        applications = [str(type(app)) for app in dask_scheduler.http_application.applications]
        return applications, list(template_variables(dask_scheduler)["pages"]), sorted(dask_scheduler.plugins)

    return client.run_on_scheduler(by_value(look))


def read(address):
    with urlopen(address, timeout=10) as answer:
        return answer.status, answer.read().decode()


def when_there(client, ready):
    """Return the state that the page shows as soon as it is ready."""
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline:
        try:
            found = json.loads(read(at(client, "offbeat.json"))[1])["runs"]
            if found and ready(found[0]):
                return found[0]
        except HTTPError:
            pass
        time.sleep(0.02)
    raise AssertionError("there is no page")


@pytest.mark.parametrize("peers", [None, topology.Broadcast()], ids=["hub", "peers"])
def test_a_fit_is_shown_while_it_runs_and_nothing_is_left(client, rows, peers, caplog):
    read(at(client, "status"))  # installs something of Dask's own
    before, seen, gaps = state(client), [], []

    def callback(progress, row):
        gaps.append(progress.certificate.relative_gap)
        if len(gaps) == 2:
            seen.append(when_there(client, lambda run: len(run["points"]) >= 1))
            seen.append(read(at(client, "offbeat")))
            seen.append(read(at(client, "status"))[1])
        return False

    with caplog.at_level(logging.INFO, logger="offbeat"):
        solver = solvers.ADMM() if peers is None else solvers.GradientDescent()
        offbeat.solve(RIDGE, *rows, solver=solver, topology=peers, tol=1e-4, callback=callback, progress=False)
    run, (status, html), menu = seen
    assert (run["solver"], run["tolerance"]) == (solver.name, 1e-4)
    assert run["about"] == "600 rows, 4 columns, 2 workers"
    assert any(run["points"][-1][1] == pytest.approx(gap) for gap in gaps)
    assert status == 200 and "<h1>Convergence</h1>" in html
    embedded = json.loads(re.search(r'id="state">(.*?)</script>', html, re.DOTALL)[1])
    assert embedded["runs"][0]["points"][: len(run["points"])] == run["points"]
    assert 'href="offbeat"' in menu
    assert f"convergence can be seen at {at(client, 'offbeat')}" in caplog.text
    assert state(client) == before
    with pytest.raises(HTTPError, match="404"):
        read(at(client, "offbeat"))


def test_short_fits_and_those_without_one_have_no_page(client, rows, monkeypatch):
    asked = []
    monkeypatch.setattr(page.Page, "_open", lambda self: asked.append(self))
    offbeat.solve(RIDGE, *rows, engine=engines.Dask(client, page=False))
    monkeypatch.setattr(page, "AFTER", 60.0)
    offbeat.solve(RIDGE, *rows, engine=engines.Dask(client))
    assert asked == []


def test_two_runs_share_the_page(client):
    before = state(client)
    for run in ("a", "b"):
        assert client.run_on_scheduler(by_value(open_page), run, client.id, "<p>STATE</p>", RUN)
    client.run_on_scheduler(by_value(tell_page), "b", {"points": [[0.1, float(i)] for i in range(9)], "time": 2.0}, 4)
    client.run_on_scheduler(by_value(close_page), "a")
    (left,) = json.loads(read(at(client, "offbeat.json"))[1])["runs"]
    assert (left["run"], left["time"], left["points"]) == ("b", 2.0, [[0.1, 0.0], [0.1, 4.0], [0.1, 8.0]])
    client.run_on_scheduler(by_value(close_page), "b")
    assert state(client) == before


def test_the_page_goes_with_its_client(client):
    before = state(client)
    client.run_on_scheduler(by_value(open_page), "a", "nobody", "STATE", {**RUN, "solver": "</script>"})
    assert len(state(client)[0]) == len(before[0]) + 1
    assert json.loads(read(at(client, "offbeat.json"))[1]) == {"runs": []}
    assert state(client) == before


def test_what_is_shown_is_escaped(client):
    client.run_on_scheduler(by_value(open_page), "a", client.id, "STATE", {**RUN, "solver": "</script>"})
    try:
        assert "<" not in read(at(client, "offbeat"))[1]
    finally:
        client.run_on_scheduler(by_value(close_page), "a")


def test_a_scheduler_without_http_has_none():
    assert not open_page("a", "b", "STATE", RUN, dask_scheduler=object())


def test_a_fit_goes_on_without(client, rows, monkeypatch, caplog):
    def broken(self):
        raise OSError("not allowed")

    monkeypatch.setattr(page.Page, "_open", broken)
    with caplog.at_level(logging.INFO, logger="offbeat"):
        assert offbeat.solve(RIDGE, *rows).certificate.satisfied
    assert "the page on convergence is not shown: OSError('not allowed')" in caplog.text


def test_another_python_is_left_alone(client, monkeypatch, caplog):
    monkeypatch.setattr(page, "PYTHON", (2, 7))
    before = state(client)
    with caplog.at_level(logging.INFO, logger="offbeat"):
        shown = page.Page(client, {})
        shown._thread.join(10)
        shown.close()
    assert "the scheduler runs another Python" in caplog.text
    assert state(client) == before
