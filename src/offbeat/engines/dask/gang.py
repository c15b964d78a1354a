"""A gang of ranks on a Dask cluster: each a task that stays on its worker, and talks to the others directly."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

from distributed import Client, Future, wait
from distributed.protocol.pickle import loads

from offbeat.engines.base import Listener
from offbeat.engines.dask import ranks
from offbeat.engines.dask.cluster import RemoteShard
from offbeat.engines.dask.lines import Lines
from offbeat.engines.dask.names import SHARD, task_key
from offbeat.engines.dask.ranks import ENDED, HERE, RECORDED, Orders, Report, Seat
from offbeat.engines.dask.roll import Member, Sending
from offbeat.engines.dask.seats import Seats
from offbeat.engines.frames import RUN_BYTES
from offbeat.errors import ProblemError
from offbeat.sideways.loop import Outcome
from offbeat.sideways.port import Program
from offbeat.sideways.topologies import Peers

if TYPE_CHECKING:
    from offbeat.engines.dask.engine import Dask

POLL = 0.05  # seconds between looks at the wish to stop
PATIENCE = 10.0  # seconds for a worker to come in place of a lost one, before ranks share threads
GRACE = 10.0  # seconds for ranks to end, after which they are left to do so by themselves


class Gang:
    """Runs a program on every shard until all ranks have ended, or rank 0 has.

    Parameters
    ----------
    engine : Dask
    client : Client
    program : callable
    shards : sequence of RemoteShard
    topology : Broadcast, Tree or Gossip
    listener : Listener
    """

    def __init__(
        self,
        engine: Dask,
        client: Client,
        program: Program,
        shards: Sequence[RemoteShard],
        topology: Peers,
        listener: Listener,
    ) -> None:
        self._engine, self._client, self._shards = engine, client, shards
        self._topology, self._listener = topology, listener
        self._run = os.urandom(RUN_BYTES)
        self._sending = Sending(program)
        self._members = [Member(rank) for rank in range(len(shards))]
        self._seats = Seats(engine, client, shards)
        self._lines = Lines(client, listener.started)
        self._called: set[str] = set()
        self._heard: frozenset[str] = frozenset()
        self._met = self._stopped = False
        self._waiting: dict[int, float] = {}  # since when ranks have had no worker
        self._scattered: list[Future[Any]] = []
        self._restarts, self._numbers = 0, count()

    def run(self) -> list[Any]:
        """Return what each rank returned; None for those that were stopped.

        Raises
        ------
        ProblemError
            The ranks do not meet in time, or the cluster is gone.
        BaseException
            What the first failing rank raised.
        """
        try:
            if self._loaded():
                self._begin()
                while not (self._over() or self._listener.cancelled()):
                    for address, answer in self._lines.answers(POLL):
                        self._hear(address, answer)
                    self._check()
        finally:
            self._close()
        return [member.result for member in self._members]

    def _loaded(self) -> bool:
        """Wait until all shards are there, so that no rank waits for what needs the thread of another one."""
        while any(shard.future.status == "pending" for shard in self._shards):
            if self._listener.cancelled():
                return False
            time.sleep(POLL)
        return True

    def _begin(self) -> None:
        for member, address in zip(self._members, self._seats.first(), strict=True):
            self._submit(member, address)
        self._due = time.monotonic() + self._engine.timeout
        self._tell()

    def _over(self) -> bool:
        if self._stopped:
            return True
        awaited = self._members[:1] if self._listener.lead_ends else self._members
        return all(member.status == ENDED for member in awaited)

    def _submit(self, member: Member, address: str) -> None:
        """Start a life of a rank on a worker."""
        shard = self._shards[member.rank]
        held = shard.future
        if member.attempt >= 0 and shard.source is not None:
            (held,) = self._client.scatter({task_key(SHARD): shard.source}, workers=[address], hash=False).values()
            self._scattered.append(held)
        member.moves(address)
        slowdown = self._engine.slowdown.get(member.rank, 1.0)
        seat = Seat(
            self._run, member.rank, member.attempt, len(self._members), self._topology, self._sending.longest, slowdown,
            self._engine.ports,
        )  # fmt: skip
        member.future = self._client.submit(
            ranks.rank, seat, held, key=task_key("rank"), workers=[address], allow_other_workers=False, pure=False
        )

    def _tell(self, *, now: bool = True, stop: bool = False) -> None:
        """Tell all workers who is where, and who may run: now, or when they are called next."""
        met = all(member.peer for member in self._members)
        now, self._met = now or met > self._met, self._met or met
        orders = Orders(
            self._run,
            next(self._numbers),
            {m.rank: m.peer for m in self._members if m.peer},
            {m.token: m.incarnation for m in self._members if m.peer and self._met},
            {m.rank: m.attempt for m in self._members},
            heard=self._heard,
            stop=stop,
            callback=self._sending.callback is not None,
            watch=self._sending.watch is not None,
        )
        new = {m.address for m in self._members if m.status == HERE} if self._met else set()
        self._called |= {m.address for m in self._members if m.address}
        for address in self._called:
            program = self._sending.packed() if address in new else None
            self._lines.tell(address, orders._replace(program=program), now=now)

    def _hear(self, address: str, answer: list[Report] | Exception) -> None:
        """Take what the ranks on a worker say."""
        if isinstance(answer, Exception):
            if not isinstance(answer, OSError | TimeoutError):
                raise answer
            self._look(now=True)
            return
        news = [self._take(report) for report in answer]
        if any(news):
            self._tell(now=self._met)

    def _take(self, report: Report) -> bool:
        """Take what a rank says; return whether that changes what ranks are told."""
        member = self._members[report.rank]
        if report.attempt != member.attempt or self._stopped:
            return False
        came = report.token != member.token  # for the first time, or Dask has run the task again in a new process
        if came:
            member.comes(report)
            self._sending.forget()
        self._events(report)
        changed = came or report.status != member.status
        member.hears(report)
        if report.result is not None and report.token not in self._heard:
            self._heard |= {report.token}
            value, error = loads(report.result)
            if error is not None:
                error.add_note(f"raised by rank {member.rank}")
                raise error
            if not self._stopped:
                member.result = value
        return changed

    def _events(self, report: Report) -> None:
        """Do here what happened there."""
        for what, arguments in report.events:
            if what in RECORDED:
                self._listener.record(*arguments)
            elif what == "watch" and self._sending.watch is not None:
                self._sending.watch(*arguments)
            elif what == "progress" and not self._stopped and self._sending.asked(*arguments):
                self._stopped, best = True, self._sending.best
                self._members[0].result = Outcome(best.progress, "callback", best.passes, best.updates)
        if report.best is not None and not self._stopped:
            best = self._sending.best
            best.progress, best.passes, best.updates = report.best

    def _check(self) -> None:
        """See whether all is well with the tasks and the workers."""
        for member in self._members:
            self._check_task(member)
        self._look()
        if not self._met and time.monotonic() > self._due:
            missing = [member for member in self._members if not member.peer]
            paused = {member.address for member in missing} & self._seats.paused
            why = "what else runs on the Dask cluster takes the threads; wait for it"
            if paused:
                why = f"the worker {min(paused)} is paused because its memory is nearly full; give it more"
            raise ProblemError(
                f"ranks {', '.join(str(member.rank) for member in missing)} of {len(self._members)} have not begun "
                f"within {self._engine.timeout:g} s: {why}, or raise the timeout of engines.Dask"
            )

    def _check_task(self, member: Member) -> None:
        if member.future is None or member.status == ENDED:
            return
        status = member.future.status
        if status == "error":
            error = member.future.exception() or ProblemError("unknown")
            error.add_note(f"raised by rank {member.rank}")
            raise error
        shard = self._shards[member.rank]
        if status == "cancelled" and shard.source is None and shard.future.status in ("cancelled", "error"):
            raise ProblemError(
                f"the task of rank {member.rank} is cancelled on the Dask cluster, and so are the rows that it is for"
            )
        if status in ("cancelled", "lost", "finished"):  # finished: nobody told it anything for long
            self._lose(member)

    def _look(self, *, now: bool = False) -> None:
        """See who went, and start again what they ran."""
        if self._seats.look(now=now):
            gone = self._seats.gone(self._called)
            for address in gone:
                self._lines.hang_up(address)
            self._called -= gone
            for member in self._members:
                if member.address in gone and member.status != ENDED:
                    self._lose(member)
        if self._waiting:
            self._restart()

    def _lose(self, member: Member) -> None:
        """Give up a life of a rank."""
        member.goes()
        if not self._met:  # it has not begun
            member.peer, member.incarnation = None, -1
        self._waiting.setdefault(member.rank, time.monotonic())

    def _restart(self) -> None:
        """Start lost ranks again where there is room; all from the beginning if nobody knows where they were."""
        if self._met and not any(member.settled for member in self._members):
            self._run, self._met = os.urandom(RUN_BYTES), False
            for member in self._members:
                self._lose(member)
        for rank, since in list(self._waiting.items()):
            taken, waited = [m.address for m in self._members if m.address], time.monotonic() - since
            address = self._seats.another(taken, crowded=waited > PATIENCE)
            if address is None:
                if waited > self._engine.timeout:
                    raise self._seats.nobody()
                continue
            del self._waiting[rank]
            self._restarts += 1
            self._due = time.monotonic() + self._engine.timeout
            self._submit(self._members[rank], address)
            self._tell()

    def _close(self) -> None:
        """End all ranks, and let go of their tasks."""
        self._stopped = True
        try:
            if self._client.status == "running" and self._called:
                self._tell(stop=True)
                tasks = [m.future for m in self._members if m.future is not None and m.address in self._called]
                with suppress(TimeoutError):
                    wait(tasks, timeout=GRACE)
        finally:
            self._lines.close()
            for future in (*(member.future for member in self._members), *self._scattered):
                if future is not None:
                    future.release()
        for _, answer in self._lines.answers(0.0):  # what was on its way
            for report in answer if isinstance(answer, list) else ():
                for what, arguments in report.events:
                    if what in RECORDED:
                        self._listener.record(*arguments)
        if self._restarts:
            self._listener.report({"restarts": str(self._restarts)})
