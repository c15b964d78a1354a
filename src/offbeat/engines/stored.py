"""Engines of a cluster in pickles: they name the scheduler, and can be read where Dask is not installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from offbeat.errors import ProblemError


def dask_engine(settings: Mapping[str, Any]) -> Any:
    """Return the engine that was stored, or what stands for it where there is no Dask.

    Parameters
    ----------
    settings : mapping of str to object
        Parameters of `offbeat.engines.Dask`, with the address of the scheduler as the client.
    """
    try:
        from offbeat.engines.dask import Dask
    except ImportError:
        return WithoutDask(settings)
    return Dask(**settings)


class WithoutDask:
    """Stands for an engine of a Dask cluster where Dask is not installed: models that have it predict, none is fitted.

    Parameters
    ----------
    settings : mapping of str to object
        See `dask_engine`.

    Examples
    --------
    >>> WithoutDask({"client": "tcp://10.0.0.1:8786"})
    Dask(client='tcp://10.0.0.1:8786')
    """

    name = "dask, not installed"

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = dict(settings)

    def __reduce__(self) -> tuple[Any, ...]:
        """Store what it stands for."""
        return dask_engine, (self._settings,)

    def __repr__(self) -> str:
        """Return the call that makes the engine."""
        return f"Dask(client={self._settings.get('client')!r})"

    @property
    def n_workers(self) -> int:
        """Number of workers: raises `ProblemError`."""
        self.run()

    def run(self, *args: Any, **settings: Any) -> NoReturn:
        """Raise `ProblemError`."""
        raise ProblemError(
            f"the engine is {self!r}, and Dask is not installed here: install offbeat[dask], or set another engine, as "
            'with set_params(engine="auto")'
        )
