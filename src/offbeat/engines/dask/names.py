"""Names of tasks and data of a fit, as Dask's dashboard shows them."""

from __future__ import annotations

from uuid import uuid4

PREFIX = "offbeat"
SHARD, QUERY, ROWS = "shard", "query", "rows"


def task_key(name: str) -> str:
    """Return a key of its own for a task, which the dashboard shows by this name."""
    return f"{PREFIX}-{name}-{uuid4().hex}"


def kind_of(key: object) -> str:
    """Return what data with this key is: a shard, a query, or rows that shards are made of.

    Examples
    --------
    >>> kind_of(task_key("shard")), kind_of(("random_sample-0123", 0, 0))
    ('shard', 'rows')
    """
    text = str(key)
    return next((kind for kind in (SHARD, QUERY) if text.startswith(f"{PREFIX}-{kind}-")), ROWS)
