"""``solver="auto"`` and ``engine="auto"``: what is chosen, and why. The table is in docs/solvers.md."""

from __future__ import annotations

from typing import Literal

from offbeat import engines, solvers
from offbeat.data.dataset import Data
from offbeat.engines.base import Engine
from offbeat.errors import ProblemError
from offbeat.fit import costs
from offbeat.losses.questions import constant_parts, curvature_jumps, smooth
from offbeat.penalties import questions as of_penalty
from offbeat.problem import Problem
from offbeat.sideways.protocol import Solver
from offbeat.sideways.schedule import Stealing
from offbeat.sideways.topologies import Hub, Topology
from offbeat.solvers.composite.fallback import Fallback
from offbeat.solvers.registry import all_solvers

MAX_GRAM_COLUMNS = 5000  # least squares by the Gram matrix
MAX_NEWTON_COLUMNS = 3000  # Newton's method with a Hessian
MAX_SPARSE_NEWTON_COLUMNS = 500
MAX_CHEAP_NEWTON_COLUMNS = 200  # with no more, Newton's method costs little more than any other
MAX_SPAN_ROWS = 5000  # products of all rows with each other
MAX_SPAN_VALUES = 1 << 22  # read into memory for these products, if the rows are not there as kernels read them
MAX_LBFGS_PASSES = 100  # after more, the problem is taken for a difficult one
MAX_INTERIOR_COLUMNS, MAX_INTERIOR_ROWS = 1000, 3_000_000  # memory for the systems and rows of an interior point
MAX_INTERIOR_PRODUCTS = 2e10  # of one system that is summed over the rows
INTERIOR_OVERHEAD_COLUMNS = 50  # columns whose products cost as much as the rest of a step
MIN_COLUMNS_PER_ROW = 1.0  # of data with many columns
MIN_MANY_COLUMNS = 200
MIN_WORD_COLUMNS_PER_ROW = 0.1  # of sparse data such as words: few columns are in many rows
MAX_ENTRIES_PER_ROW = 1000  # by which the size of an unknown row is guessed
MIN_VALUES_FOR_THREADS = 1 << 17  # with fewer, threads cost more than they save
MIN_STORED_VALUES_FOR_THREADS = 1 << 19  # of sparse rows


def solver(
    problem: Problem,
    dataset: Data,
    wanted: Solver | Literal["auto"],
    *,
    shared: bool = False,
    staleness: float = 0.0,
) -> tuple[Solver, str]:
    """Return the solver to use and the reason, in words.

    With ``shared`` passes, on which several models are fitted, all that a round may ask for is loss, gradient and
    Hessian at a point.

    Raises
    ------
    ProblemError
        If ``wanted`` is neither a solver nor "auto".
    """
    if wanted != "auto":
        if isinstance(wanted, (str, type)) or not hasattr(wanted, "global_step"):
            raise ProblemError(f'solver is {wanted!r}; give "auto" or an object such as offbeat.solvers.Newton()')
        if getattr(wanted, "whole", False) and dataset.cluster is not None:
            raise ProblemError(f"{wanted.name} needs all rows in one place, and these lie on a cluster: use another")
        return wanted, "asked for"
    if not smooth(problem.loss):
        return _for_kinks(problem, dataset, staleness)
    if not of_penalty.separable(problem.penalty):
        return _for_joint_penalties(problem, staleness)
    return _for_smooth_losses(problem, dataset, staleness, shared=shared)


def _for_smooth_losses(problem: Problem, dataset: Data, staleness: float, *, shared: bool) -> tuple[Solver, str]:
    """Return the solver for a loss with a derivative everywhere."""
    k, ridge = dataset.n_columns, of_penalty.smooth(problem.penalty)
    if many_columns(problem, dataset) and not shared and dataset.cluster is None:
        return solvers.ProximalNewton(), f"{k:,} columns and a penalty that selects among them: working sets"
    if not (shared or staleness or dataset.sparse or dataset.cluster is not None) and ridge:
        by_cost = _by_cost(problem, dataset)
        if by_cost is not None:
            return by_cost
    if problem.n_outputs == 1:
        if problem.loss.quadratic and k <= MAX_GRAM_COLUMNS:
            return solvers.Newton(), f"squared loss, {k:,} columns: one pass for the Gram matrix, then no data"
        limit = MAX_SPARSE_NEWTON_COLUMNS if dataset.sparse else MAX_NEWTON_COLUMNS
        if k <= limit:
            alone = shared or staleness > 0.0 or dataset.cluster is not None
            newton = solvers.Newton() if alone else _with_gradients(problem)
            return newton, f"{k:,} columns: the Hessian is cheap, Newton needs few passes"
    if _many_margins(problem, dataset) and not shared and staleness == 0.0 and dataset.cluster is None:
        return solvers.SDCA(threads=1), f"sparse, {k:,} columns, and rows beyond the margin count for nothing"
    if ridge and dataset.sparse and not shared:
        return solvers.NewtonCG(), f"sparse, {k:,} columns: Hessian products, preconditioned by the frequent columns"
    if ridge:
        return solvers.LBFGS(), f"{k:,} columns and a smooth penalty: only gradients, with curvature from their changes"
    return solvers.ProximalGradient(), f"{k:,} columns and a penalty with kinks: accelerated proximal gradient"


def _with_gradients(problem: Problem) -> Solver:
    """Return Newton's method; of a loss that is straight far out, with one that goes on where it finds no curvature."""
    if not curvature_jumps(problem.loss):
        return solvers.Newton()
    then = solvers.LBFGS() if of_penalty.smooth(problem.penalty) else solvers.ProximalGradient()
    return Fallback(solvers.Newton(), then)


def _by_cost(problem: Problem, dataset: Data) -> tuple[Solver, str] | None:
    """Return the cheapest method for dense rows, a smooth loss and a smooth penalty; None where one is as good.

    Each comes with another, should it go badly.
    """
    n, k, m = dataset.n_rows, dataset.n_columns, problem.n_outputs
    able = []
    if k <= (MAX_GRAM_COLUMNS if problem.loss.quadratic else MAX_NEWTON_COLUMNS) and m == 1:
        able.append("newton")
    at_hand = dataset.in_memory or dataset.n_values <= MAX_SPAN_VALUES
    spanned = n < k and n <= MAX_SPAN_ROWS and at_hand and _accepts(solvers.RowSpace(), problem)
    if spanned:
        able.append("row-space")
    if k <= MAX_CHEAP_NEWTON_COLUMNS:
        return None  # the same method whether rows have weights, are repeated or left out
    if problem.loss.quadratic and "newton" in able and 2 * n >= k:
        return None  # the Gram matrix, in one pass
    easy = dataset.in_memory and m == 1 and not problem.loss.quadratic and not curvature_jumps(problem.loss)
    if not able or easy or m > 1:
        able += ["lbfgs", "newton-cg"]  # which read the rows often, and know little of curvature that jumps
    name = min(able, key=lambda method: costs.seconds(method, n, k, m))
    return _with_second(name, n, k, m)


def _with_second(name: str, n: int, k: int, n_outputs: int) -> tuple[Solver, str]:
    """Return a method with the one that takes over where it goes badly."""
    shape = f"{n:,} dense rows of {k:,} columns"
    if name == "newton":
        return solvers.Newton(), f"{shape}: the Hessian is cheap, Newton needs few passes"
    if name == "row-space":
        return Fallback(solvers.RowSpace(), solvers.NewtonCG()), f"{shape}, a ridge: solved in the span of the rows"
    if name == "lbfgs":
        second = Fallback(solvers.LBFGS(), solvers.NewtonCG(), most=MAX_LBFGS_PASSES)
        return second, f"{shape}: gradients are the cheapest, if the problem is an easy one"
    newton = n_outputs == 1 and k <= MAX_NEWTON_COLUMNS
    second = Fallback(solvers.NewtonCG(), solvers.Newton() if newton else solvers.LBFGS())
    return second, f"{shape}: products with the Hessian are cheaper than the Hessian"


def _accepts(solver: Solver, problem: Problem) -> bool:
    """Whether a solver can solve a problem."""
    try:
        solver.check(problem)
    except ProblemError:
        return False
    return True


def _for_joint_penalties(problem: Problem, staleness: float) -> tuple[Solver, str]:
    """Return the solver for a smooth loss and a penalty that is not separable."""
    what = f"the {problem.penalty.name} penalty is not separable"
    if staleness > 0.0:
        return solvers.DelayedProximalGradient(), f"{what}, and there are no rounds: gradients of any age"
    return solvers.ProximalGradient(), f"{what}: accelerated proximal gradient"


def _for_kinks(problem: Problem, dataset: Data, staleness: float) -> tuple[Solver, str]:
    """Return the solver for a loss that has no derivative somewhere."""
    kink, own = f"the {problem.loss.name} loss has a kink", "each shard solves its own part of the dual"
    apart, consensus = dataset.cluster is not None or staleness > 0.0, _accepts(solvers.ADMM(), problem)
    if consensus and apart:
        return solvers.ADMM(), f"{kink}{', and there are no rounds' if staleness > 0.0 else ''}: {own}"
    if not apart and _few_for_kinks(dataset) and _accepts(solvers.InteriorPoint(), problem):
        few = f"{dataset.n_columns:,} columns: systems of that size are cheap"
        return solvers.InteriorPoint(), f"{kink}; {few}, and few are needed whatever the units"
    if _accepts(solvers.SDCA(), problem):
        chosen = solvers.SDCA() if dataset.cluster is not None else solvers.SDCA(threads=1)
        return chosen, f"{kink}: its dual is solved row by row"
    if consensus:
        return solvers.ADMM(), f"{kink}, and the penalty no ridge: {own}"
    raise ProblemError(
        f"no solver takes the {problem.loss.name} loss with the penalty {problem.penalty!r} and "
        f"{dataset.n_columns:,} columns: give the loss a dual_step, or take a loss without kinks"
    )


def _few_for_kinks(dataset: Data) -> bool:
    """Whether the columns are so few that an interior point's systems are cheap beside what they save."""
    n, k = dataset.n_rows, dataset.n_columns
    if k > (MAX_SPARSE_NEWTON_COLUMNS if dataset.sparse else MAX_INTERIOR_COLUMNS):
        return False
    return n <= MAX_INTERIOR_ROWS and n * k * (k + INTERIOR_OVERHEAD_COLUMNS) <= MAX_INTERIOR_PRODUCTS


def _many_margins(problem: Problem, dataset: Data) -> bool:
    """Whether it is a smooth support vector machine on rows such as words, which share few columns."""
    penalty = problem.penalty
    ridge = of_penalty.smooth(penalty) and of_penalty.curvature(penalty) > 0.0 and penalty.weights is None
    words = dataset.sparse and dataset.n_columns > MIN_WORD_COLUMNS_PER_ROW * dataset.n_rows
    return ridge and words and constant_parts(problem.loss)


def many_columns(problem: Problem, dataset: Data) -> bool:
    """Whether the penalty selects among so many columns that a working set of them is the thing to look at."""
    if not of_penalty.selects(problem.penalty) or not _accepts(solvers.ProximalNewton(), problem):
        return False
    k = dataset.n_columns
    return k > (
        MAX_SPARSE_NEWTON_COLUMNS if dataset.sparse else max(MIN_COLUMNS_PER_ROW * dataset.n_rows, MIN_MANY_COLUMNS)
    )


def engine(dataset: Data, wanted: Engine | Literal["auto"], n_outputs: int = 1) -> Engine:
    """Return the engine to use: threads for large local data; outputs multiply the work on sparse rows."""
    if wanted != "auto":
        if isinstance(wanted, (str, type)) or not hasattr(wanted, "run"):
            raise ProblemError(f'engine is {wanted!r}; give "auto" or an object such as offbeat.engines.Threads()')
        if dataset.cluster is not None and wanted.name != dataset.cluster.engine().name:
            raise ProblemError(f'the data lies on {dataset.cluster.engine().name}: leave engine at "auto"')
        return wanted
    if dataset.cluster is not None:
        place: Engine = dataset.cluster.engine()
        return place
    if dataset.sparse:
        large = dataset.n_values * n_outputs > MIN_STORED_VALUES_FOR_THREADS
    else:
        large = dataset.n_rows * min(dataset.n_columns, 100) > MIN_VALUES_FOR_THREADS
    threads = engines.Threads()
    return threads if large and threads.n_workers > 1 else engines.Serial()


def check_staleness(chosen: Solver, staleness: float) -> None:
    """Raise `ProblemError` when the solver needs rounds and the fit would not have them."""
    if staleness > chosen.max_staleness:
        able = [type(each).__name__ for each in all_solvers().values() if each.max_staleness > 0]
        hint = f"use one of {', '.join(able)}" if able else "no solver of this version runs without"
        raise ProblemError(f"{chosen.name} needs rounds (staleness=0): {hint}, or leave staleness at 0")


def stealing(
    wanted: Stealing | Literal["auto"] | None, staleness: float, topology: Topology, engine: Engine, dataset: Data
) -> Stealing | None:
    """Return whether shards may move: by default in asynchronous fits with a hub, and as an engine has it."""
    if wanted == "auto":
        if not isinstance(topology, Hub):
            return None
        if hasattr(engine, "stealing"):
            chosen: Stealing = engine.stealing(
                staleness, 8.0 * dataset.n_rows * min(dataset.n_columns, MAX_ENTRIES_PER_ROW)
            )
            return chosen
        return Stealing() if staleness > 0 else None
    if wanted is not None and not isinstance(topology, Hub):
        raise ProblemError("stealing needs topology=Hub(): among peers every worker keeps its own shard")
    return wanted
