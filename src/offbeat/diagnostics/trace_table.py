"""What charts and pages read of a trace. They know this protocol, not `Trace`: its methods draw them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy.typing as npt

from offbeat.sideways.messages import Row


class TraceTable(Protocol):
    """The rows of a fit as a table, with facts about the whole fit. `offbeat.diagnostics.Trace` is one."""

    metadata: dict[str, str]

    def __len__(self) -> int:
        """Return how many rows there are."""

    def __iter__(self) -> Iterator[Row]:
        """Return the rows in the order in which they were appended."""

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Columns as arrays of shape (n_rows,)."""
