"""The peer loop: every worker steps, pushes, polls and updates its own iterate. No clock, no input or output.

Rank 0 also leads: it offers its iterate for certification, the others evaluate it when they are asked, and the run ends
with rank 0. All else is the same for all ranks.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import numpy as np

from offbeat._utils import codec
from offbeat.data.shards import Shard, Workspace
from offbeat.errors import ProblemError
from offbeat.problem import Problem
from offbeat.sideways import early, evaluation
from offbeat.sideways.asking import Ask, pack
from offbeat.sideways.certify import Certifier
from offbeat.sideways.exchange import Exchange, Outgoing, Seat, exchange
from offbeat.sideways.loop import LAST_LOOK, Best, Outcome, Policy, why_stop
from offbeat.sideways.messages import ASK, CERTIFY, HELLO, STEP, WHERE, Floats, Message, Row, Wait
from offbeat.sideways.port import Port
from offbeat.sideways.protocol import DataInfo, Solver, limited
from offbeat.sideways.topologies import Peers

LIVES = 32  # bits for the questions of one life
LONGER = 1.3  # each wait for what neighbours remember than the one before
LONGEST = 20  # usual times of a step after which to say again what may have been lost, at most
PATIENCE = 25  # such waits for what neighbours remember, after a restart


class PeerRun:
    """One rank: its iterate, its board, what it has been asked."""

    def __init__(
        self, solver: Solver, problem: Problem, info: DataInfo, policy: Policy, port: Port, best: Best
    ) -> None:
        self.solver, self.problem, self.info = solver, problem, info
        self.policy, self.port, self.best = policy, port, best
        self.lead, self.barrier = port.worker == 0, policy.staleness == 0
        self.exchange = self._exchange(0, exact=self.barrier)
        self.state, self.query = solver.init_global(problem, info)
        self.certifier = Certifier(problem, info)
        self.certifier.number = port.incarnation << LIVES  # what an earlier life asked is not taken for this one's
        self.ask: Ask | None = None
        self.least_heard = early.least_heard(solver, policy.staleness)
        self.ahead: dict[tuple[int, int, int], Message] = {}
        self.known = not port.incarnation
        self.clock, self.updates, self.since_ask = 0, 0, 0
        self.ending: str | None = None
        self.workspace = Workspace()
        self.remembered: dict[int, Floats] = {}  # what neighbours remember of this rank's life before, by clock
        self.heard: Message | None = None  # the newest state that a neighbour told

    def run(self, shard: Shard) -> Generator[Any, None, Outcome]:
        """Step until the lead has its certificate, or its budget is spent."""
        local: Any = None
        if self.port.incarnation:
            yield from self._rejoin()
        while self.ending is None:
            if local is None:
                local = self.solver.init_local(self.problem, shard, self.remembered.get(self.clock))
            started = self.port.now()
            with np.errstate(over="ignore", invalid="ignore"):
                query = limited(self.query, self.policy.max_passes - self.state.passes)
                step = self.solver.local_step(self.problem, shard, local, query)
            local = step.local
            yield step.work
            self._report(step.payload, step.work, step.kind, started)
            yield from self._talk(shard)
            yield from self._wait(shard, started)
        return Outcome(self.best.progress, self.ending, self.state.passes, self.updates)

    def _wait(self, shard: Shard, started: float) -> Generator[Any, None, None]:
        """Listen until the staleness rule lets the iterate move; now and then, say again what may have been lost."""
        remind = self._patience(started)
        while self.ending is None:
            if self._ready():
                return self._update()
            if self.barrier and self.heard is not None and self.heard.clock > self.updates:
                return self._follow(self.heard)
            yield Wait(min(remind, self.policy.time_limit) if self.lead else remind)
            if self.port.now() >= remind:
                self._remind()
                remind = self._patience(started)
            yield from self._talk(shard)
            self._check_time()

    def _rejoin(self) -> Generator[Any, None, None]:
        """After a restart: hear from the neighbours where they are, and what they remember of this rank.

        With a barrier all ranks that have made as many updates are in the same state, so that of any of them will do.
        """
        wanted = len(self.port.neighbours)
        for i in range(PATIENCE if wanted else 0):
            self.port.push(self._tagged(self.port.message(np.zeros(0), kind="hello", clock=-1), HELLO))
            due = self.port.now() + self.policy.usual * LONGER**i
            while self.heard is None and self.ending is None and self.port.now() < due:
                yield Wait(due)
                for message in self.port.poll():
                    self._take(message)
                self._check_time()
            if self.heard is not None or self.ending is not None:
                break
        if self.heard is not None:
            self._follow(self.heard)
        elif self.barrier and wanted and self.ending is None:
            raise ProblemError(
                f"rank {self.port.worker} restarted, and none of its neighbours knows where the others are"
            )
        self.known = True
        if not self.barrier:
            self.clock = max(self.exchange.newest(), *self.remembered, 0)
        if self.clock in self.remembered:
            self.exchange.put(self.port.message(self.remembered[self.clock], kind="remembered", clock=self.clock))

    def _follow(self, news: Message) -> None:
        """Go on from the state of a neighbour that has made more updates."""
        self.state, self.query, self.updates = codec.unpack(news.payload, {"info": self.info})
        self.clock = max(self.clock, self.updates)
        if self.lead:
            self._look()

    def _report(self, payload: Floats, work: float, kind: str, started: float) -> None:
        """Put the own contribution on the board and on the record."""
        self.clock += 1
        message = self.port.message(payload, kind=kind, clock=self.clock)
        self.exchange.put(message)
        ahead, self.ahead = self.ahead, {}
        for each in ahead.values():
            self._take(each)
        self.certifier.worked(work)
        self.since_ask += 1
        self.port.record(
            Row(
                time=started, duration=self.port.now() - started, kind=STEP, worker=self.port.worker,
                shard=self.port.worker, clock=self.clock, staleness=max(self.clock - self.exchange.oldest(), 0),
                bytes=payload.nbytes, note=kind,
            )
        )  # fmt: skip

    def _ready(self) -> bool:
        """Whether the staleness rule lets the iterate move."""
        return (
            self.clock - self.exchange.oldest() <= self.policy.staleness
            and self.exchange.board().heard >= self.least_heard
        )

    def _update(self) -> None:
        self.updates += 1
        self.state, self.query = early.global_step(self.solver, self.problem, self.state, self.exchange.board())
        if self.lead:
            self._look()

    def _look(self) -> None:
        """As the lead, see how good the iterate is; have it certified if that is worth a pass."""
        candidate = self.state.candidate
        if self.policy.watch is not None and candidate is not None:
            self.policy.watch(candidate, self.port.now())
        row = self.best.see(self.state.progress, self.state, self.port.now(), self.updates)
        self._close(row)
        last = candidate is not None and self.ending in LAST_LOOK
        self.ending = None if last else self.ending
        if self.ending is None and candidate is not None and self.certifier.wants(candidate, last=last):
            self._ask_all(pack(self.certifier.begin(candidate)), 1)
        elif self.ask is not None and self.certifier.busy and self.since_ask >= self.ask.patience:
            self._ask_all(self.ask.message.payload, self.ask.attempt + 1)

    def _close(self, row: Row) -> None:
        self.port.record(row)
        self.ending = why_stop(self.state, self.best, self.policy, row)

    def _check_time(self) -> None:
        if self.lead and self.port.now() >= self.policy.time_limit:
            self.ending = "time_limit"

    def _patience(self, started: float) -> float:
        """Return when to say again what may have been lost: each time twice as long after the step, up to a limit."""
        if math.isinf(self.policy.retry):
            return math.inf
        waited = max(self.port.now() - started, 1e-9)
        return self.port.now() + min(self.policy.retry * waited, LONGEST * self.policy.usual)

    def _talk(self, shard: Shard) -> Generator[Any, None, None]:
        """Take in what has come, send what is new, evaluate what is asked for."""
        for message in self.port.poll():
            self._take(message)
        self._push(self.exchange.outgoing())
        asked = self.ask
        if asked is not None and asked.payload is None:
            step = evaluation.local_step(self.problem, shard, self.workspace, asked.point)
            yield step.work
            asked.payload = step.payload
            self._answer(asked)
        self._finish_certificate()

    def _push(self, outgoing: Outgoing) -> None:
        for neighbours, message in outgoing:
            self.port.push(message, neighbours)

    def _remind(self) -> None:
        """Say again what may have been lost."""
        for which in (self.exchange, *([] if self.ask is None else [self.ask.evaluations])):
            self._push(which.memory())
        if self.barrier:
            self.port.push(self._tagged(self.port.message(np.zeros(0), kind="hello", clock=self.updates), HELLO))

    def _tell(self, hello: Message) -> None:
        """Tell a neighbour that is behind where this rank is; one that restarted, also what is remembered of it."""
        worker = hello.worker
        if hello.clock < 0:
            for neighbours, message in self.exchange.memory():
                if worker in neighbours and message.worker != worker:
                    self.port.push(message, (worker,))
            for message in self.exchange.of(worker):
                self.port.push(message, (worker,))
        if self.known and self.updates > hello.clock:
            flat = codec.pack((self.state, self.query, self.updates), {"info": self.info})
            message = self.port.message(flat, kind="state", clock=self.updates)  # type: ignore[arg-type]
            self.port.push(self._tagged(message, WHERE), (worker,))

    def _take(self, message: Message) -> None:
        if message.role == HELLO:
            self._tell(message)
        elif message.role == WHERE:
            if self.heard is None or message.clock > self.heard.clock:
                self.heard = message
        elif message.role == ASK:
            self._asked(message)
        elif message.role == CERTIFY:
            if self.ask is not None and message.run == self.ask.number:
                self.ask.evaluations.put(message)
                self._push(self.ask.evaluations.outgoing())
        elif message.worker == self.port.worker:
            self.remembered[message.clock] = message.payload
        elif self.barrier and message.clock > self.clock:
            # Of a peer that is a round ahead: the sum of this round must not have it.
            self.ahead[message.worker, message.shard, message.clock] = message
        else:
            self.exchange.put(message)

    def _ask_all(self, payload: Floats, attempt: int) -> None:
        """As the lead, have everybody evaluate a point."""
        self.since_ask = 0
        self._asked(self._tagged(self.port.message(payload, kind="ask", clock=attempt), ASK, self.certifier.number))

    def _tagged(self, message: Message, role: str, run: int = 0) -> Message:
        return message._replace(role=role, run=run)

    def _asked(self, message: Message) -> None:
        """Pass a question on; answer it at the next step boundary, or at once when the answer is known."""
        known = self.ask
        if known is not None and (message.run, message.clock) <= (known.number, known.attempt):
            return
        self.port.push(message._replace(worker=self.port.worker, incarnation=self.port.incarnation))
        if known is not None and message.run == known.number:
            known.attempt = message.clock
            self._push(known.evaluations.memory())
            return
        self.ask = Ask(message, self.info, self._exchange(message.run, exact=True))

    def _answer(self, asked: Ask) -> None:
        assert asked.payload is not None
        message = self.port.message(asked.payload, kind="certify", clock=1)  # of whichever attempt: it is the same
        asked.evaluations.put(self._tagged(message, CERTIFY, asked.number))
        self._push(asked.evaluations.outgoing())

    def _finish_certificate(self) -> None:
        """As the lead, once all have evaluated the candidate: see how good it is."""
        if not (self.lead and self.certifier.busy and self.ask is not None and self.ending is None):
            return
        board = self.ask.evaluations.board()
        if board.complete:
            progress = self.certifier.finish(board)
            self._close(self.best.see(progress, self.state, self.port.now(), self.updates))

    def _exchange(self, run: int, *, exact: bool) -> Exchange:
        topology: Peers = self.policy.topology  # type: ignore[assignment]
        seat = Seat(self.port.worker, self.port.incarnation, self.port.neighbours, self.info.n_shards, run)
        return exchange(topology, seat, exact=exact)
