"""Lines from the client to the ranks on workers: none waits for another, nor for the thread that reads them."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client

from offbeat.engines.dask import ranks
from offbeat.engines.dask.ranks import Orders, Report

BEAT, BEAT_EACH = 0.2, 0.005  # seconds that a worker may keep an answer back; the more the more workers there are
AGAIN = 0.5  # seconds after which to call a worker that did not answer
HANG_UP = 2.0  # seconds for the last answers

Answer = list[Report] | Exception


class Lines:
    """Calls all workers of a gang again and again, on the event loop of the client.

    Parameters
    ----------
    client : Client
    started : float
        Beginning of the run on the clock `time.perf_counter`.
    """

    def __init__(self, client: Client, started: float) -> None:
        self._client, self._started = client, started
        self._answers: SimpleQueue[tuple[str, Answer]] = SimpleQueue()
        self._orders: dict[str, Orders] = {}
        self._lines: dict[str, Future[None]] = {}
        self._calls: set[Future[None]] = set()
        self._over = False

    def tell(self, address: str, orders: Orders, *, now: bool) -> None:
        """Tell the ranks on a worker something from the next call on; ``now`` makes that call at once."""
        self._orders[address] = orders
        if address not in self._lines:
            self._lines[address] = self._start(self._follow(address))
        elif now:
            call = self._start(self._call(address, 0.0))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    def hang_up(self, address: str) -> None:
        """Do not call a worker any more: it is gone."""
        self._orders.pop(address, None)
        line = self._lines.pop(address, None)
        if line is not None:
            line.cancel()

    def answers(self, seconds: float) -> list[tuple[str, Answer]]:
        """Return what workers answered, with their addresses; wait for that no longer than so many seconds."""
        try:
            found = [self._answers.get(timeout=seconds)]
        except Empty:
            return []
        while True:
            try:
                found.append(self._answers.get_nowait())
            except Empty:
                return found

    def close(self) -> None:
        """Make the last calls, and no more."""
        self._over = True
        end = time.monotonic() + HANG_UP
        for each in (*self._lines.values(), *self._calls):
            try:
                each.result(max(end - time.monotonic(), 0.0))
            except BaseException:  # it was cancelled, or does not answer
                each.cancel()
        self._lines.clear()

    def _start(self, call: Any) -> Future[None]:
        loop: Any = self._client.loop
        return asyncio.run_coroutine_threadsafe(call, loop.asyncio_loop)

    async def _follow(self, address: str) -> None:
        while not self._over:
            if not await self._call(address, BEAT + BEAT_EACH * len(self._lines)):
                await asyncio.sleep(AGAIN)

    async def _call(self, address: str, seconds: float) -> bool:
        """Call a worker once; return whether it answered."""
        orders = self._orders[address]._replace(time=time.perf_counter() - self._started)
        answer: Any
        try:
            answers = await self._client.run(ranks.listen, orders, seconds, workers=[address], on_error="return")
            answer = answers.get(address, OSError(f"{address} did not answer"))
        except Exception as error:
            answer = error
        self._answers.put((address, answer))
        return isinstance(answer, list)
