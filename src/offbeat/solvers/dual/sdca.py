"""Stochastic dual coordinate ascent (SDCA); with several shards, CoCoA+.

Each shard owns the dual variables of its rows and maximises the dual along one at a time. It assumes that the other
shards do not move, and divides its steps by ``sigma`` because they do. Contributions are ``sum v theta x``; the
coefficients follow from their sum.

An unpenalised intercept implies a constraint in the dual, ``sum v theta = 0``, which steps along single coordinates
cannot keep. So the intercept is found by a proximal point iteration: a squared distance from its last value, the pull
to the *anchor*, is added. With the pull it has a dual like any column, and the pull vanishes as the iteration
converges. If the ridge is weak relative to the rows, all coefficients have such a pull, to an extrapolated anchor
(accelerated proximal points: Shalev-Shwartz & Zhang 2016).

Sources: Shalev-Shwartz & Zhang 2013 (J. Mach. Learn. Res. 14:567) and 2016 (Math. Program. 155:105, elastic net); Ma,
Smith, Jaggi et al. 2015 (arXiv 1502.03508, CoCoA+: adding updates is safe with ``sigma`` the number of shards).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from offbeat.data.shards import Shard, Workspace
from offbeat.losses import questions as questions_of_loss
from offbeat.penalties import questions
from offbeat.problem import Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import DataInfo, Step
from offbeat.solvers._common.needs import BOUNDED_OR_DUAL_STEP, ONE_OUTPUT, RIDGE, check_needs
from offbeat.solvers._common.parameters import check_count
from offbeat.solvers.dual import delays, hub
from offbeat.solvers.dual import shard as dual_rows
from offbeat.solvers.dual.hub import SDCAState
from offbeat.solvers.dual.shard import SdcaContribution, SdcaLocal, SdcaQuery


@dataclass(frozen=True)
class SDCA:
    """Stochastic dual coordinate ascent (SDCA), for penalties with a ridge on every column.

    Several shards add their updates (CoCoA+), with or without a barrier. It is fast to a moderate accuracy if the
    penalty is strong. With a weak penalty and a smooth loss `NewtonCG` is faster.

    Parameters
    ----------
    epochs : int
        Passes over a shard in one step.
    threads : int, optional
        Number of threads that share all rows as one shard, whatever the engine. None makes a shard for each worker of
        the engine. Several shards take shorter steps, which costs many more passes if the loss has a kink.

    Raises
    ------
    ProblemError
        If a parameter is below 1.

    Notes ----- With several threads, the rows are split among them, and no locks are used (Hsieh, Yu & Dhillon 2015,
    ICML: PASSCoDe). Threads race on the shared point: an update of a coefficient may be lost, and a row may read
    coefficients that are partly updated. Dual variables are not shared, as each belongs to one row. After every epoch
    the point and the lower bound are computed from them. So lost updates cost some progress, but leave no error and
    cannot make a certificate wrong. The first epoch uses one thread, because all rows move in the same direction there.
    Fits with several threads are not reproducible to the last digit.

    Without a barrier, shards compute with old moves of the others. Each shortens its steps in proportion to the moves
    that it does not know of, and to how often it contributes, so a slow shard takes long steps. Dual variables are
    valid for any age, and so are certificates. In simulated clusters with arbitrary delays, lost messages and restarts
    all fits converge; no theorem covers unbounded delays.

    References
    ----------
    Shalev-Shwartz & Zhang 2013, J. Mach. Learn. Res. 14:567; Ma et al. 2015, arXiv 1502.03508.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_sparse_classification
    >>> X, y = make_sparse_classification(500, 200, seed=0)
    >>> solve(Problem(losses.Hinge(), penalties.L2(1e-2)), X, y, solver=solvers.SDCA(), tol=1e-4).status
    'converged'
    """

    epochs: int = 1
    threads: int | None = None

    name = "sdca"
    max_staleness = math.inf
    early = True
    needs = (ONE_OUTPUT, BOUNDED_OR_DUAL_STEP, RIDGE)

    @property
    def whole(self) -> bool:
        """Whether all rows are one shard."""
        return self.threads is not None

    def __post_init__(self) -> None:
        """Raise `ProblemError` for parameters below 1."""
        check_count("SDCA", "epochs", self.epochs)
        check_count("SDCA", "threads", self.threads, optional=True)

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> SdcaLocal:
        """Return a new local state, or the one that a contribution was made from."""
        size = shard.source.shape[1] + 1
        return SdcaLocal(
            Workspace(), None if contribution is None else SdcaContribution.unflat(contribution.copy(), size)
        )

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[SDCAState, SdcaQuery]:
        """Return the first state and query, in which shards set their dual variables at the start of the fit."""
        x, rule = evaluation.start(info), info.penalty.rule
        l2 = np.append(info.penalty.curvature() * info.scale**2, 0.0)
        l1 = (questions.l1(rule) or 0.0) * info.penalty.weight * info.penalty.factor * info.scale
        w = x.u / info.scale
        at = np.append(w, float(x.b[0] - info.center @ w) if info.reference.fit_intercept else 0.0)
        sigma = float(info.n_shards)
        smooth = questions_of_loss.smooth(problem.loss)
        signs = info.reference.fit_intercept and info.reference.conjugate_zero == 0.0
        shrink = np.append(1.0 / (info.n_rows * l2[:-1]), 0.0)
        room = info.longest or info.n_rows
        alone = info.n_shards == 1 and not smooth and not l1.any()
        exact = np.append(shrink[:-1], float(info.reference.fit_intercept)) if alone else np.empty(0)
        query = SdcaQuery(
            at, shrink, np.empty(0), sigma, info.warm and smooth, signs, info.seed, self.epochs, room, exact, at,
            self.threads or 1,
        )  # fmt: skip
        if delays.without_rounds(info):
            query = delays.first_query(query, info)
        return SDCAState(info, query, l2, l1, np.zeros_like(l2), at, at), query

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Run epochs of coordinate ascent over a shard."""
        return dual_rows.local_step(problem, shard, local, query)

    def global_step(self, problem: Problem, state: SDCAState, board: Board) -> tuple[SDCAState, SdcaQuery]:
        """Return the state and query at the point that the sum of the contributions implies."""
        total, info, query = board.total(), state.info, state.query
        state = replace(state, progress=None, note="")
        if not np.all(np.isfinite(total)):
            return replace(state, status="not finite", note="a contribution is not finite"), query
        sums = SdcaContribution.unflat(total, state.l2.size)
        state = replace(state, passes=sums.facts.passes / info.n_rows)
        if delays.without_rounds(info):
            state = delays.move_point(state, sums)
        elif state.candidate is None and sums.facts.first == info.n_shards:
            state = hub.certify_start(problem, state, sums)
        else:
            state = hub.move_point(state, sums)
        lower, gap = hub.lower_bound(state, sums), sums.facts.gap / info.n_rows
        if delays.without_rounds(info):
            gap += delays.shared_gap(state, sums, lower)
        state = replace(state, candidate=hub.candidate(state, sums, gap, lower))
        state = hub.adapt_epochs(state)
        query = state.query._replace(point=hub.dual_point(state, sums.gradient), anchor=state.anchor)
        return hub.accept_start(replace(state, query=query)), query
