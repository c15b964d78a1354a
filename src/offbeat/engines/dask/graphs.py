"""One graph of all collections that a fit is given: what they have in common is computed once.

Dask fuses tasks of each collection by itself when a data frame becomes an array or a list of delayed objects. Two
arrays of one frame then have its partitions inside their tasks, each for itself: a source that does not give the same
rows twice would give them other rows. Such tasks are taken apart again where they have anything in common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dask.array.optimization import optimize
from dask.core import flatten
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

Tasks = dict[Any, Any]


def joint_graph(collections: Sequence[Any]) -> tuple[Mapping[Any, Any], list[list[Any]]]:
    """Return one graph of some collections, optimised as a whole, and the keys of the parts of each.

    Parameters
    ----------
    collections : sequence of Dask collections

    Examples
    --------
    >>> import dask.array as da
    >>> X = da.ones((4, 3), chunks=(2, 3))
    >>> graph, keys = joint_graph([X[:, :2], X[:, 2]])
    >>> [len(each) for each in keys]
    [2, 2]
    """
    frames = [each for each in collections if is_planned(each)]
    others = [each for each in collections if not is_planned(each)]
    graphs, planned = _planned(frames)
    plain = [list(flatten(each.__dask_keys__())) for each in others]
    graph = _apart(_merged([*graphs, *(each.__dask_graph__() for each in others)]))
    wanted = [key for each in (*planned, *plain) for key in each]
    arrays = any(not isinstance(each, Delayed) for each in others)
    graph = optimize(graph, wanted) if arrays else graph.cull(wanted)  # the latter with what was annotated
    found = iter(planned), iter(plain)
    return graph, [next(found[0] if is_planned(each) else found[1]) for each in collections]


def is_planned(collection: Any) -> bool:
    """Whether a collection has a plan instead of a graph, as data frames do; a delayed object has any attribute."""
    return not isinstance(collection, Delayed) and hasattr(collection, "expr")


def _planned(frames: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
    """Return the graphs of data frames, and the keys of the partitions of each: columns are chosen for all together."""
    if not frames:
        return [], []
    try:
        from dask.base import collections_to_expr
    except ImportError:  # Dask before 2025.4
        alone = [frame.optimize() for frame in frames]
        return [each.__dask_graph__() for each in alone], [list(flatten(each.__dask_keys__())) for each in alone]
    together = collections_to_expr(list(frames)).optimize()
    return [together.__dask_graph__()], [list(flatten(keys)) for keys in together.__dask_keys__()]


def _merged(graphs: Iterable[Any]) -> HighLevelGraph:
    """Return graphs as one; many delayed objects have the same."""
    each = {id(graph): graph for graph in graphs}
    return HighLevelGraph.merge(
        *(
            graph
            if isinstance(graph, HighLevelGraph)
            else HighLevelGraph.from_collections(f"offbeat-{number}", graph, dependencies=())
            for number, graph in each.items()
        )
    )


def _apart(graph: HighLevelGraph) -> HighLevelGraph:
    """Return a graph in which no task that others have need of is hidden in a fused one."""
    plain = {name: dict(layer) for name, layer in graph.layers.items() if isinstance(layer, MaterializedLayer)}
    changed: set[str] = set()
    while True:
        seen: Counter[Any] = Counter()
        for tasks in plain.values():
            for key, task in tasks.items():
                seen.update({key, *_hidden(task)})
        found = [
            (name, key)
            for name, tasks in plain.items()
            for key, task in tasks.items()
            if any(seen[inner] > 1 for inner in _hidden(task) if inner != key)
        ]
        if not found:
            break
        for name, key in found:
            _unfuse(plain[name], key)
            changed.add(name)
    layers = {
        name: MaterializedLayer(plain[name], layer.annotations) if name in changed else layer
        for name, layer in graph.layers.items()
    }
    return HighLevelGraph(layers, graph.dependencies) if changed else graph


def _hidden(task: Any) -> Iterator[Any]:
    """Yield the keys of the tasks within a fused one, at any depth."""
    for key, inner in _inner(task).items():
        yield key
        yield from _hidden(inner)


def _inner(task: Any) -> Mapping[Any, Any]:
    """Return the tasks within a fused one; nothing of any other."""
    if getattr(getattr(task, "func", None), "__name__", "") != "_execute_subgraph":
        return {}
    inner: Mapping[Any, Any] = task.args[0]
    return inner


def _unfuse(tasks: Tasks, key: Any) -> None:
    """Put the tasks within a fused one in its place."""
    task = tasks.pop(key)
    inner, last = task.args[:2]
    tasks.update({name: each for name, each in inner.items() if name not in tasks})
    if last != key:
        tasks[key] = last
