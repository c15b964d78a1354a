"""Engines of a cluster in estimators: copied, cloned, searched over, stored, and read elsewhere."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from dask.base import tokenize
from distributed import Client
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import offbeat
from offbeat import engines
from offbeat.engines.dask import connection
from offbeat.errors import ProblemError
from offbeat.linear_model import LogisticRegression
from support import tasks


@pytest.fixture(scope="module")
def model(client):
    return LogisticRegression(engine=engines.Dask(client, timeout=7.0, page=False)).fit(*tasks.rows())


def test_copies_use_the_client_of_the_first(client, model):
    for copied in (copy.copy(model), copy.deepcopy(model), clone(model)):
        assert copied.engine.client is client
        assert copied.fit(*tasks.rows()).trace_.metadata["engine"] == "dask"


def test_a_search_over_a_grid(client, model):
    found = GridSearchCV(clone(model), {"C": [0.1, 1.0]}, cv=2, error_score="raise").fit(*tasks.rows())
    assert found.best_estimator_.trace_.metadata["engine"] == "dask"


def test_a_stored_engine_names_its_scheduler_and_finds_the_client_again(client, model):
    stored = pickle.dumps(model)
    read = pickle.loads(stored)
    assert b"Client" not in stored and client.id.encode() not in stored
    assert read.engine.client == client.scheduler.address
    assert (read.engine.timeout, read.engine.page) == (7.0, False)
    assert read.engine.connect() is client
    assert pickle.loads(pickle.dumps(read)).engine.client == client.scheduler.address
    np.testing.assert_array_equal(read.fit(*tasks.rows()).coef_, model.coef_)


def test_tasks_take_estimators_with_an_engine(client, model):
    """What dask-ml's search does: the estimator is in the key, and travels."""
    twin = LogisticRegression(engine=engines.Dask(client, timeout=7.0, page=False))
    assert tokenize(clone(model)) == tokenize(twin) != tokenize(twin.set_params(engine=engines.Dask(client)))
    found = client.submit(tasks.fitted, clone(model)).result(timeout=120.0)
    assert found.engine.client == client.scheduler.address
    np.testing.assert_allclose(found.coef_, model.coef_, atol=1e-3)


def test_a_client_is_made_where_there_is_none_and_used_again(cluster, monkeypatch):
    monkeypatch.setattr(connection, "_current", lambda: None)
    monkeypatch.setattr(connection, "_SEEN", {})
    made = {}
    monkeypatch.setattr(connection, "_MADE", made)
    monkeypatch.setattr(connection.atexit, "register", lambda function: None)
    engine = engines.Dask(cluster.scheduler_address)
    found = engine.connect()
    try:
        assert found is engine.connect() is engines.Dask(cluster.scheduler_address).connect()
        assert made == {cluster.scheduler_address: found}
    finally:
        connection._close()
    assert found.status == "closed"


def test_a_scheduler_that_is_gone_is_named(monkeypatch):
    with pytest.raises(ProblemError, match=r"the Dask scheduler at tcp://127\.0\.0\.1:1 cannot be reached"):
        offbeat.solve(tasks.RIDGE, *tasks.rows(), engine=engines.Dask("tcp://127.0.0.1:1", timeout=0.2))


def test_a_client_that_is_closed_still_has_an_address(cluster):
    with Client(cluster, set_as_default=False) as closed:
        engine = engines.Dask(closed)
    assert pickle.loads(pickle.dumps(engine)).client == cluster.scheduler_address


def test_something_else_than_a_client(cluster):
    with pytest.raises(ProblemError, match=r"the client of engines\.Dask is LocalCluster"):
        offbeat.solve(tasks.RIDGE, *tasks.rows(), engine=engines.Dask(cluster))


def test_a_model_where_dask_is_not_installed(model, tmp_path):
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps(model))
    command = [sys.executable, tasks.__file__.replace("tasks.py", "apart.py"), str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split(maxsplit=1)
    assert float(said[0]) == model.predict(tasks.rows()[0]).mean()
    assert "Dask is not installed here: install offbeat[dask]" in said[1]
    assert pickle.loads(path.read_bytes()).engine.client == model.engine.client.scheduler.address
