"""Shards on a cluster know which rows of the whole they are: programs write their own, and draw their own numbers."""

import math
import sys
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

import offbeat
from offbeat import Problem, engines, losses, penalties, solvers
from offbeat.data.load import as_dataset
from offbeat.datasets import make_classification
from offbeat.errors import DataError

sys.path.insert(0, str(Path(__file__).parents[3] / "examples"))
RIDGE = Problem(losses.Logistic(), penalties.L2(1e-2))
HINGE = Problem(losses.Hinge(), penalties.L2(1e-2))
DRAWING = [
    (solvers.SAGA(), RIDGE),
    (solvers.SDCA(), HINGE),
    (solvers.ADMM(), HINGE),
    (solvers.ADMM(variant="asip"), RIDGE),
    (solvers.SGD(), RIDGE),
    (solvers.DualAveraging(), RIDGE),
    (solvers.ModelAveraging(), RIDGE),
]


def test_every_rank_has_its_own_rows(client):
    def place(port, shard):
        yield
        return shard.row_slice.start, shard.row_slice.stop

    X = np.arange(12.0).reshape(6, 2)
    assert engines.Dask(client).run(place, X) == [(0, 3), (3, 6)]
    found = engines.Dask(client).run(place, da.from_array(X, chunks=(3, 2)))
    assert sorted(row for start, stop in found for row in range(start, stop)) == list(range(6))


def test_pagerank_ends_on_a_cluster(client):
    from pagerank import link_matrix, pagerank, power_iteration, some_web

    edges = some_web(300)
    links, dangling = link_matrix(edges, 300)
    blocks = engines.Dask(client).run(pagerank(dangling, tol=1e-10), links)
    ranks = np.concatenate([block for block, _ in blocks])
    np.testing.assert_allclose(ranks, power_iteration(edges, 300), atol=1e-8)


@pytest.mark.filterwarnings("ignore::offbeat.errors.ConvergenceWarning")
@pytest.mark.parametrize(("solver", "problem"), DRAWING, ids=lambda value: getattr(value, "name", ""))
def test_random_rows_are_the_same_on_every_engine(client, solver, problem):
    X, y = make_classification(400, 4, seed=0)
    how = {"solver": solver, "tol": 1e-3, "max_iter": 5.0, "random_state": 3}
    here = offbeat.solve(problem, X, y, engine=engines.Simulated(2), **how)
    there = offbeat.solve(problem, da.from_array(X, chunks=(200, 4)), da.from_array(y, chunks=200), **how)
    sent = offbeat.solve(problem, X, y, engine=engines.Dask(client), **how)
    # Centres and scales are summed in another order; other rows would be seen in the first digits.
    np.testing.assert_allclose(there.coef, here.coef, rtol=1e-9)
    np.testing.assert_allclose(sent.coef, here.coef, rtol=1e-9)


def test_rows_that_do_not_follow_each_other_have_no_place():
    (shard,) = as_dataset(np.ones((4, 1))).shards(1)
    from dataclasses import replace

    with pytest.raises(DataError, match="rows 0 to 1, 6 to 7 of the data, which do not follow each other"):
        _ = replace(shard, spans=((0, 2), (6, 8))).row_slice
    assert math.isclose(replace(shard, spans=((6, 10),)).first_row, 6)
