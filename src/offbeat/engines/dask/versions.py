"""Whether the workers have the same Offbeat as this process, and other libraries near enough."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import version
from typing import Any
from weakref import WeakKeyDictionary

from distributed import Client

import offbeat
from offbeat.engines.dask.by_value import expression
from offbeat.errors import ProblemError

OTHERS = ("numpy", "scipy", "numba")
"""Libraries of which a release with another major or minor number is worth a warning."""
ANSWER = 10.0  # seconds that workers have to say; those that hang are found out about by the fit
NAMED = 3  # workers in a message, at most

_ASKED: WeakKeyDictionary[Client, set[str]] = WeakKeyDictionary()


def check_versions(client: Client, addresses: Iterable[str]) -> None:
    """Compare versions with those of workers that this client has not asked yet: one message to each, once.

    Parameters
    ----------
    client : Client
    addresses : iterable of str
        Workers that are there.

    Raises
    ------
    ProblemError
        A worker has another version of Offbeat, or none.

    Warns
    -----
    UserWarning
        A worker has another release of NumPy, SciPy or Numba.
    """
    asked = _ASKED.setdefault(client, set())
    new = [address for address in addresses if address not in asked]
    if not new:
        return
    found = _answers(client, new)
    _same({address: said["offbeat"] for address, said in found.items()})
    mine = {name: version(name) for name in OTHERS}
    for name in OTHERS:
        _near(name, mine[name], {address: said[name] for address, said in found.items()})
    asked.update(found)


def _same(theirs: Mapping[str, str]) -> None:
    wrong = {address: said for address, said in theirs.items() if said != offbeat.__version__}
    if not wrong:
        return
    have = "; ".join(
        f"{address} has {said}" if said[:1].isdigit() else f"{address} cannot import it ({said})"
        for address, said in list(wrong.items())[:NAMED]
    )
    more = f"; so do {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    raise ProblemError(
        f"the workers need the same Offbeat as this process, which has {offbeat.__version__}: {have}{more}. Install "
        f"offbeat=={offbeat.__version__} in the environment of the workers, and restart them"
    )


def _near(name: str, mine: str, theirs: Mapping[str, str]) -> None:
    other = {address: said for address, said in theirs.items() if said.split(".")[:2] != mine.split(".")[:2]}
    if other:
        address, said = next(iter(other.items()))
        warnings.warn(
            f"{len(other)} of {len(theirs)} workers have another {name} than this process ({mine}), as {address} has "
            f"{said}: rows and results are exchanged between them; install the same",
            UserWarning,
            stacklevel=8,
        )


def _answers(client: Client, addresses: list[str]) -> dict[str, dict[str, str]]:
    """Return what workers say within a time; without those that went or hang."""
    answers: dict[str, Any] = {}

    said = expression(_reported, OTHERS)

    def ask() -> None:
        with suppress(Exception):
            answers.update(client.run(eval, said, workers=addresses, on_error="ignore"))

    thread = threading.Thread(target=ask, name="offbeat_versions", daemon=True)
    thread.start()
    thread.join(ANSWER)
    return dict(answers)


def _reported(names: tuple[str, ...]) -> dict[str, str]:
    """Return versions as the worker has them; what went wrong for Offbeat itself where it cannot be imported.

    It is sent as text: a worker without Offbeat could not look it up.
    """
    import importlib.metadata

    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    try:
        import offbeat

        found["offbeat"] = str(offbeat.__version__)
    except Exception as error:
        found["offbeat"] = f"{type(error).__name__}: {error}"
    return found
