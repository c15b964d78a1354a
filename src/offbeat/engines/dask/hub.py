"""The hub loop on futures: a task a step, in the order in which they complete."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from queue import Empty
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from distributed import Client, Future, KilledWorker, as_completed

from offbeat.engines.base import Listener, Steps, nbytes
from offbeat.engines.dask import remote
from offbeat.engines.dask.cluster import RemoteShard, pinned
from offbeat.engines.dask.members import EVERY, Members, check_scheduler, everywhere
from offbeat.engines.dask.names import QUERY, SHARD, task_key
from offbeat.engines.dask.transfers import rows
from offbeat.errors import ProblemError
from offbeat.sideways.messages import Arrived, Event, Failed, Interrupted, Joined, Lost, Message, Run, Tick, Wait

if TYPE_CHECKING:
    from offbeat.engines.dask.engine import Dask

POLL = 0.1  # seconds between looks at the wish to stop
LARGE = 1 << 18  # bytes of a query, above which it is sent once and not with every step
RETRIES = 5  # of a step whose worker died under it


class Host:
    """Starts steps as tasks and hands their answers to the loop.

    Parameters
    ----------
    engine : Dask
    client : Client
    steps : Steps
        Whose solver and problem.
    shards : list of RemoteShard
    listener : Listener
    """

    def __init__(
        self, engine: Dask, client: Client, steps: Steps, shards: list[RemoteShard], listener: Listener
    ) -> None:
        self._engine, self._client, self._steps, self._shards, self._listener = engine, client, steps, shards, listener
        self._run = uuid4().hex
        self._completed = as_completed(loop=client.loop, with_results=True, raise_errors=False)
        self._started, self._taken = False, list[Future[Any]]()
        self._flying: dict[str, tuple[Run, Future[Any]]] = {}
        self._events: deque[Event] = deque()
        self._members = Members(engine, client, shards)
        self._query: tuple[Any, Any] = (None, None)
        self._again: list[Future[Any]] = []  # shards that had to be sent once more
        self._retried: dict[tuple[int, int], int] = {}
        self._swept = 0.0

    def start(self, command: Run) -> None:
        """Submit a step, to the worker of its rank if that is there; the contribution is sent only when asked for."""
        self._submit(command, command._replace(contribution=None))
        self._started = True

    def next(self, wait: Wait) -> Event:
        """Wait for an answer, a change among the workers, the time the loop named, or the wish to stop."""
        if self._started:
            self._let_go()
        while not self._listener.cancelled():
            if self._events:
                return self._events.popleft()
            now = self._now()
            self._events.extend(self._changes(now))
            if self._events:
                continue
            left = wait.until - now
            try:
                future, result = self._completed.queue.get(timeout=max(min(POLL, left), 0.0))
            except Empty:
                if left <= 0.0:
                    return Tick(now)
                continue
            event = self._take(future, result)
            if event is not None:
                return event
        return Interrupted(self._now())

    def close(self) -> None:
        """Let go of all tasks, and of what the run left on the workers."""
        self._completed.clear()
        self._let_go()
        for future in [*self._again, *(flying for _, flying in self._flying.values())]:
            future.release()
        self._flying.clear()
        self._query = (None, None)
        everywhere(self._client, remote.forget, self._run)

    def _let_go(self) -> None:
        """Release what was taken: after new steps have gone out, for Dask's connections make the next message wait."""
        for future in self._taken:
            future.release()
        self._taken, self._started = [], False

    def _submit(self, command: Run, sent: Run) -> None:
        shard, address = self._shards[command.shard], self._members.address(command.worker)
        work = remote.Work(
            self._run, self._steps.solver, self._steps.problem, sent._replace(query=None),
            self._engine.slowdown.get(command.worker, 1.0), self._now(),
        )  # fmt: skip
        where = {} if address is None else pinned(address)
        name = getattr(command.query, "label", None) or command.role
        future = self._client.submit(
            remote.step, shard.future, work, self._sent(command.query), key=task_key(name.replace(" + ", "-")),
            pure=False, **where,
        )  # fmt: skip
        self._flying[str(future.key)] = (command, future)
        self._completed.add(future)

    def _sent(self, query: Any) -> Any:
        """Return a query as it is, or a future of it when it is large."""
        if nbytes(query) <= LARGE:
            return query
        if self._query[0] is not query:
            (future,) = self._client.scatter({task_key(QUERY): query}, hash=False).values()
            self._query = (query, future)
        return self._query[1]

    def _take(self, future: Future[Any], result: Any) -> Event | None:
        """Return the event that a finished task is; None for those nobody waits for and those that go on."""
        known = self._flying.pop(str(future.key), None)
        if known is None:
            return None
        command = known[0]
        self._taken.append(future)
        if not isinstance(result, remote.Done):  # what is in hand counts, even if its worker has gone since
            return self._failed(command, future.status, result)
        now = self._now()
        for row in rows(result.moved, command, now - result.duration):
            self._listener.record(row)
        if result.payload is None:  # the worker does not hold what the step goes on from
            self._submit(command, command)
            return None
        message = Message(
            0, command.worker, 0, command.shard, command.clock, result.kind, result.payload,
            max(now - result.duration, 0.0), result.duration, result.work, command.role, result.stamp,
        )  # fmt: skip
        return Arrived(message, now)

    def _failed(self, command: Run, status: str | None, result: Any) -> Event | None:
        error = result[1] if isinstance(result, tuple) else result  # type, error and traceback, or the error
        tried = self._retried.get(command[:2], 0)
        try:
            check_scheduler(self._client, connecting=status == "error")
            if tried < RETRIES and self._revived(command.shard, status, error):
                self._retried[command[:2]] = tried + 1
                self._submit(command, command)
                return None
        except ProblemError as gone:
            return Failed(command.shard, gone, self._now())
        if not isinstance(error, Exception) or status != "error":
            error = ProblemError(f"a task of the fit is {status} on the Dask cluster: {error!r}")
        return Failed(command.shard, error, self._now())

    def _revived(self, number: int, status: str | None, error: Any) -> bool:
        """Whether a shard is to be had again: its worker died in a step, or with the only copy of rows sent there."""
        shard = self._shards[number]
        if isinstance(error, KilledWorker):
            self._client.retry([shard.future])
            return True
        if status == "error":
            return False
        if shard.source is None:  # Dask makes rows anew, unless they were taken from it
            return shard.future.status not in ("cancelled", "error")
        if shard.future.status != "finished":
            (future,) = self._client.scatter({task_key(SHARD): shard.source}, hash=False).values()
            self._shards[number] = replace(shard, future=future)
            self._again.append(future)
        return True

    def _changes(self, now: float) -> list[Event]:
        """Return who came and who went, and give up what those who went were doing."""
        try:
            came, went = self._members.look(now)
        except ProblemError as error:
            return [Failed(-1, error, now)]
        events = self._strayed(now) + (self._in_hand() if went else [])
        for rank in went:
            for key, (command, future) in list(self._flying.items()):
                if command.worker == rank:
                    del self._flying[key]
                    future.release()
            events.append(Lost(rank, now))
        return events + [Joined(rank, now) for rank in came]

    def _in_hand(self) -> list[Event]:
        """Return answers that have come in already."""
        events = []
        while not self._completed.queue.empty():
            events.append(self._take(*self._completed.queue.get_nowait()))
        return [event for event in events if event is not None]

    def _strayed(self, now: float) -> list[Event]:
        """Return failures that nobody was told of: Dask drops a task that failed when its result was on the way."""
        if now - self._swept < EVERY:
            return []
        self._swept = now
        failed = [future for _, future in self._flying.values() if future.status == "error"]
        events = [self._take(future, future.exception()) for future in failed]
        return [event for event in events if event is not None]

    def _now(self) -> float:
        return time.perf_counter() - self._listener.started
