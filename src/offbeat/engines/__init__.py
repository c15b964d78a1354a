"""Where steps run: one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offbeat._utils.lazy import lazily

if TYPE_CHECKING:
    from offbeat.engines import faults as faults
    from offbeat.engines.dask import Dask
    from offbeat.engines.serial import Serial
    from offbeat.engines.simulated import Simulated
    from offbeat.engines.threads import Threads

__all__ = ["Dask", "Serial", "Simulated", "Threads"]

_HOMES = {
    "Dask": "dask",
    "Serial": "serial",
    "Simulated": "simulated",
    "Threads": "threads",
}
__getattr__, __dir__ = lazily(__name__, _HOMES, ("faults",))
