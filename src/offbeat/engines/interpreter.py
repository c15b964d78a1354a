"""Feeding a hub loop: the same for every engine."""

from __future__ import annotations

from collections.abc import Callable

from offbeat.engines.base import Listener, Loop
from offbeat.sideways.loop import Outcome
from offbeat.sideways.messages import Event, Record, Run, Save, Wait


def interpret(
    loop: Loop, start: Callable[[Run], None], following: Callable[[Wait], Event], listener: Listener
) -> Outcome:
    """Carry out what a loop asks for until it ends.

    Parameters
    ----------
    loop : generator
    start : callable
        Starts a step, without waiting for it.
    following : callable
        Returns the next event.
    listener : Listener
    """
    event: Event | None = None
    while True:
        try:
            command = loop.send(event)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        event = None
        if isinstance(command, Run):
            start(command)
        elif isinstance(command, Record):
            listener.record(command.row)
        elif isinstance(command, Save):
            listener.save(command.snapshot)
        else:
            event = following(command)
