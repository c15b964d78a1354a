"""What the client of a gang keeps of each rank, and what it sends to all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from distributed import Future
from distributed.protocol.pickle import dumps

from offbeat.engines.dask.ranks import HERE, Report
from offbeat.engines.mailbox import Peer
from offbeat.sideways.loop import Best
from offbeat.sideways.messages import Row
from offbeat.sideways.peer_program import PeerProgram
from offbeat.sideways.port import Program
from offbeat.sideways.protocol import Progress

RETRY = 2.0  # times the usual time of a step after which a rank says again what may have been lost
USUAL = 0.02  # seconds: first guess of a step, at least
SPEED = 1e9  # numbers of a shard that a step goes through in a second, as a first guess
NONZERO = 100  # of them in a row of a sparse shard
LONGEST = 1 << 30  # bytes of a message of a user's program, at most


@dataclass
class Member:
    """A rank: its newest attempt, and the life that this led to.

    Attributes
    ----------
    rank : int
    address : str
        Of its worker; empty when it has none.
    future : Future or None
        Of its task.
    attempt : int
        Counts the tasks.
    token : str
        Of its life; empty before that is heard of.
    incarnation : int
        Counts the lives: Dask may run a task again by itself.
    peer : Peer or None
    status : str
    settled : bool
        Whether it knows where the others are, so that it can tell one that restarted.
    result : object
    """

    rank: int
    address: str = ""
    future: Future[Any] | None = None
    attempt: int = -1
    token: str = ""
    incarnation: int = -1
    peer: Peer | None = None
    status: str = ""
    settled: bool = False
    result: Any = None

    def moves(self, address: str) -> None:
        """Start anew on a worker."""
        self.goes()
        self.address = address
        self.attempt += 1

    def goes(self) -> None:
        """End."""
        if self.future is not None:
            self.future.release()
        self.address, self.future, self.token, self.status, self.settled = "", None, "", "", False

    def comes(self, report: Report) -> None:
        """Be heard of for the first time in a life."""
        self.token, self.peer, self.status, self.settled = report.token, report.peer, HERE, False
        self.incarnation += 1

    def hears(self, report: Report) -> None:
        """Go on."""
        self.status = report.status
        first = self.incarnation == 0 and report.status != HERE
        self.settled = self.settled or first or any(what == "row" for what, _ in report.events)


class Sending:
    """A program as it is sent: what belongs to the process of the client stays here.

    Parameters
    ----------
    program : callable

    Attributes
    ----------
    longest : int
        Bytes of its messages, at most.
    callback, watch : callable or None
    best : Best
        The best point of a fit.
    """

    def __init__(self, program: Program) -> None:
        self._program, self._packed = program, b""
        self.callback: Callable[..., Any] | None = None
        self.watch: Callable[..., Any] | None = None
        self.best = Best()
        self.longest = LONGEST
        if isinstance(program, PeerProgram):
            self.callback, self.watch, self.best = program.policy.callback, program.policy.watch, program.best
            self.longest = program.longest()

    def asked(self, progress: Progress, row: Row) -> bool:
        """Take note of a certified point; return whether the callback wants the fit to stop there."""
        if self.callback is None:
            return False
        best = self.best
        if best.progress is None or progress.certificate.relative_gap <= best.progress.certificate.relative_gap:
            best.progress = progress
        best.passes, best.updates = row.passes, row.clock
        return bool(self.callback(progress, row)) and not best.progress.certificate.satisfied

    def forget(self) -> None:
        """Pack the program anew for the next that asks: with the best point so far."""
        self._packed = b""

    def packed(self) -> bytes:
        """Return the program, pickled."""
        if not self._packed:
            program = self._program
            self._packed = dumps(_alone(program) if isinstance(program, PeerProgram) else program)
        return self._packed


def _alone(program: PeerProgram) -> PeerProgram:
    """Return the program of a fit without what belongs to this process, and with times of a transport that loses."""
    info = program.info
    usual = max(USUAL, info.longest * (NONZERO if info.sparse else info.n_columns) / SPEED)
    best = Best()
    best.progress, best.passes, best.updates = program.best.progress, program.best.passes, program.best.updates
    policy = replace(program.policy, callback=None, watch=None, retry=RETRY, usual=usual)
    return replace(program, policy=policy, best=best)
