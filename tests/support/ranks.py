"""Gangs over mailboxes, on threads and in processes of their own: what tests of the transport run."""

from __future__ import annotations

import math
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from offbeat import Problem, losses, penalties, solvers
from offbeat.data.load import as_dataset
from offbeat.engines.base import Listener
from offbeat.engines.mailbox import Mailbox, Peer
from offbeat.engines.port import RealPort, Stop, follow
from offbeat.engines.serial import Serial
from offbeat.fit.inspection import Options, inspect
from offbeat.sideways import WAIT
from offbeat.sideways.loop import Policy
from offbeat.sideways.peer_program import peer_program
from offbeat.sideways.port import begin
from offbeat.topology import Broadcast

HOST = "127.0.0.1"
LONGEST = 1 << 20
PATIENCE = 60.0  # seconds until a test gives up
USUAL = 0.02  # seconds: first guess of a step


def all_reduce(worker: int, count: int, topology: Any) -> tuple[Any, Any]:
    """Return a program that adds up what all ranks have, twenty times, and its shard."""

    def program(port: Any, shard: Any) -> Any:
        others = [rank for rank in range(port.n_workers) if rank != port.worker]
        heard: dict[tuple[int, int], float] = {}
        total = 0.0
        for clock in range(20):
            total = own = float(port.worker + clock)
            message = port.message(np.full(50, own), clock=clock)
            port.push(message, others)
            yield
            while any((rank, clock) not in heard for rank in others):
                yield WAIT
                heard |= {(m.worker, m.clock): float(m.payload[-1]) for m in port.poll()}
            total += sum(heard[rank, clock] for rank in others)
        return total

    return program, None


def logistic(worker: int, count: int, topology: Any, staleness: float = 0.0) -> tuple[Any, Any]:
    """Return the program that fits a small logistic ridge among peers, and its shard."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((900, 5))
    y = (rng.random(900) < 1.0 / (1.0 + np.exp(-X[:, 0]))).astype(float)
    problem, dataset = Problem(losses.Logistic(), penalties.L2(1e-3)), as_dataset(X, y)
    shards = dataset.shards(count)
    info = inspect(problem, dataset, shards, Serial(), Options(tol=1e-8))
    solver = solvers.LBFGS() if staleness == 0.0 else solvers.DelayedProximalGradient()
    policy = Policy(
        count, count, staleness, topology, max_passes=2000, time_limit=PATIENCE, retry=2.0, usual=USUAL
    )  # fmt: skip
    return peer_program(solver, problem, info, policy), shards[worker]


def stale_logistic(worker: int, count: int, topology: Any) -> tuple[Any, Any]:
    """Return the same fit without a barrier."""
    return logistic(worker, count, topology, math.inf)


def forever(worker: int, count: int, topology: Any) -> tuple[Any, Any]:
    """Return a program that greets everybody all the time; rank 0 ends when it has heard a later life of rank 1."""

    def program(port: Any, shard: Any) -> Any:
        while True:
            port.push(port.message(np.ones(3)))
            yield 0.0
            yield port_wait(port)
            if any(m.worker == 1 and m.incarnation > 0 for m in port.poll()) and port.worker == 0:
                return "heard"

    return program, None


def port_wait(port: Any) -> Any:
    """Return a wait of a hundredth of a second."""
    return WAIT._replace(until=port.now() + 0.01)


def run_rank(mailbox: Mailbox, make: Callable[..., Any], count: int, topology: Any, stop: Stop, life: int = 0) -> Any:
    """Run one rank to its end over a mailbox."""
    program, shard = make(mailbox.rank, count, topology)
    port = RealPort(mailbox, mailbox.rank, count, topology, Listener(), life)
    generator = begin(program, port, shard)
    try:
        return follow(generator, port, stop)
    finally:
        generator.close()


@contextmanager
def mailboxes(count: int, secure: bool = True, run: bytes | None = None) -> Iterator[list[Mailbox]]:
    """Yield mailboxes that know each other."""
    run = os.urandom(16) if run is None else run
    boxes = [Mailbox(rank, run, HOST, LONGEST, secure) for rank in range(count)]
    try:
        everybody = {box.rank: box.peer for box in boxes}
        for box in boxes:
            box.connect(everybody)
        yield boxes
    finally:
        for box in boxes:
            box.close()


def process(pipe: Connection, make: Any, rank: int, count: int, run: bytes, life: int, topology: Any) -> None:
    """Be one rank in a process: tell the address, hear those of the others as they come, run, tell the result."""
    stop = Stop()
    with Mailbox(rank, run, HOST, LONGEST) as mailbox:
        pipe.send(tuple(mailbox.peer))
        ready = threading.Event()

        def listen() -> None:
            while (news := pipe.recv()) is not None:
                mailbox.connect({each: Peer(*peer) for each, peer in news.items()})
                ready.set()
            stop.set()
            mailbox.wake()

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        ready.wait(PATIENCE)
        result = run_rank(mailbox, make, count, topology, stop, life)
        pipe.send((result, mailbox.rejected))
        listener.join(PATIENCE)  # what was pushed last is still on its way


class Gang:
    """Ranks in processes of their own, ended by their ids."""

    def __init__(self, make: Any, count: int, topology: Any = None) -> None:
        self.make, self.count, self.topology = make, count, Broadcast() if topology is None else topology
        self.run = os.urandom(16)
        self.pipes: dict[int, Connection] = {}
        self.processes: dict[int, Any] = {}
        self.peers: dict[int, tuple[str, bytes | None]] = {}

    def __enter__(self) -> Gang:
        for rank in range(self.count):
            self.start(rank)
        for rank in range(self.count):
            self.meet(rank)
        self.tell()
        return self

    def start(self, rank: int, life: int = 0) -> None:
        """Start a life of a rank."""
        spawn = multiprocessing.get_context("spawn")
        self.pipes[rank], theirs = spawn.Pipe()
        args = (theirs, self.make, rank, self.count, self.run, life, self.topology)
        self.processes[rank] = spawn.Process(target=process, args=args, daemon=True)
        self.processes[rank].start()
        theirs.close()

    def meet(self, rank: int) -> None:
        """Hear where a rank is."""
        assert self.pipes[rank].poll(PATIENCE)
        self.peers[rank] = self.pipes[rank].recv()

    def tell(self) -> None:
        """Tell all ranks where the others are."""
        for pipe in self.pipes.values():
            pipe.send(self.peers)

    def kill(self, rank: int) -> None:
        """End a rank with SIGKILL."""
        self.processes[rank].kill()
        self.processes[rank].join(PATIENCE)
        self.pipes.pop(rank).close()

    def result(self, rank: int) -> Any:
        """Wait for what a rank returned."""
        assert self.pipes[rank].poll(PATIENCE), f"rank {rank} has not ended"
        result, rejected = self.pipes[rank].recv()
        assert rejected == 0
        return result

    def __exit__(self, *args: object) -> None:
        for pipe in self.pipes.values():
            try:
                pipe.send(None)
            except OSError:
                continue
        for each in self.processes.values():
            each.join(10.0)
            if each.is_alive():
                each.kill()
                each.join(10.0)
        for pipe in self.pipes.values():
            pipe.close()
