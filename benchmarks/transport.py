"""Mailboxes between two processes of this machine: latency, with the receiver idle and busy, and messages a second.

    python -m benchmarks.transport

One process pushes, the other polls; both read the same clock. *Idle*: the receiver waits for messages. *Busy*: it
runs pure Python and polls ten thousand times a second, as a rank does between steps. *Messages a second*: as many as
possible of 1 KB, counted where they arrive; what does not leave at once is dropped (`Mailbox.push` never blocks), and
pushed again here until it leaves. That few messages may wait for a peer (`mailbox.HIGH_WATER`) costs rate: ranks push a
few times a step, and what is old when it arrives is of no use. Other work on the machine shows in all figures.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from multiprocessing.connection import Connection

import numpy as np

from offbeat.engines.mailbox import Mailbox
from offbeat.sideways.messages import Message

HOST = "127.0.0.1"
SIZES = {"1 KB": 1 << 10, "100 KB": 100 << 10, "1 MB": 1 << 20}
REPEATS = 200
BETWEEN = 0.0001  # seconds between polls of a busy receiver
GAP = 0.01  # seconds between messages whose latency is taken
SECONDS = 2.0  # of a flood


def _receive(pipe: Connection, run: bytes, secure: bool) -> None:
    """Be the receiver: carry out what the pipe asks for."""
    with Mailbox(1, run, HOST, 1 << 20, secure) as mailbox:
        pipe.send(mailbox.peer)
        mailbox.connect({0: pipe.recv()})
        while (order := pipe.recv()) is not None:
            times, last = [], False
            while not last:
                if order == "busy":
                    _spin(BETWEEN)
                else:
                    mailbox.wait(1.0)
                now = time.perf_counter()
                for message in mailbox.poll():
                    times.append(now - message.started)
                    last = message.kind == "last"
            pipe.send(times)


def _spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(100))


def _push(mailbox: Mailbox, payload: np.ndarray, kind: str = "step") -> None:
    """Push until the message leaves."""
    dropped = mailbox.dropped
    mailbox.push(Message(0, 0, 0, 0, 0, kind, payload, time.perf_counter()), [1])
    while mailbox.dropped > dropped:
        time.sleep(0)
        dropped = mailbox.dropped
        mailbox.push(Message(0, 0, 0, 0, 0, kind, payload, time.perf_counter()), [1])


def _latency(mailbox: Mailbox, pipe: Connection, size: int, order: str) -> float:
    """Return the median microseconds from before a push to after the wait."""
    pipe.send(order)
    payload = np.zeros(size // 8)
    for i in range(REPEATS):
        time.sleep(GAP)
        _push(mailbox, payload, "last" if i == REPEATS - 1 else "step")
    return 1e6 * statistics.median(pipe.recv())


def _rate(mailbox: Mailbox, pipe: Connection) -> float:
    """Return messages a second of a flood of 1 KB."""
    pipe.send("flood")
    payload, begun = np.zeros(SIZES["1 KB"] // 8), time.perf_counter()
    while time.perf_counter() - begun < SECONDS:
        _push(mailbox, payload)
    _push(mailbox, payload, "last")
    received = len(pipe.recv())
    return received / (time.perf_counter() - begun)


def main() -> None:
    """Print one row for each kind of connection."""
    print("| connection | receiver | " + " | ".join(f"p50 {name}, us" for name in SIZES) + " | messages/s, 1 KB |")
    print("|---|---|" + "---|" * (len(SIZES) + 1))
    spawn = multiprocessing.get_context("spawn")
    for secure in (False, True):
        pipe, theirs = spawn.Pipe()
        run = os.urandom(16)
        process = spawn.Process(target=_receive, args=(theirs, run, secure))
        process.start()
        with Mailbox(0, run, HOST, 1 << 20, secure) as mailbox:
            peer = pipe.recv()
            mailbox.connect({1: peer})
            pipe.send(mailbox.peer)
            for order in ("idle", "busy"):
                times = [f"{_latency(mailbox, pipe, size, order):.0f}" for size in SIZES.values()]
                rate = f"{_rate(mailbox, pipe):,.0f}" if order == "idle" else ""
                print(f"| {'secure' if secure else 'plain'} | {order} | {' | '.join(times)} | {rate} |", flush=True)
            pipe.send(None)
            process.join()


if __name__ == "__main__":
    main()
