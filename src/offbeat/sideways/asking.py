"""A question among peers: the point that all are to evaluate, and what has been answered."""

from __future__ import annotations

import numpy as np

from offbeat.data.shards import Point
from offbeat.sideways.exchange import Exchange
from offbeat.sideways.messages import Floats, Message
from offbeat.sideways.protocol import DataInfo

AGAIN = 4  # own steps after which the lead asks again, if messages can be lost
DOUBLINGS = 2  # of that, at most


class Ask:
    """The point that is being certified, as a peer knows it.

    Parameters
    ----------
    message : Message
        The question: its run is the number of the certificate, its clock how often it has been asked.
    info : DataInfo
    evaluations : Exchange
        Of the answers.
    """

    def __init__(self, message: Message, info: DataInfo, evaluations: Exchange) -> None:
        self.number, self.attempt = message.run, message.clock
        self.message = message
        self.point = unpack(message.payload, info)
        self.evaluations = evaluations
        self.payload: Floats | None = None

    @property
    def patience(self) -> int:
        """Own steps after which the lead asks again."""
        return int(AGAIN * 2 ** min(self.attempt, DOUBLINGS))


def pack(point: Point) -> Floats:
    """Return a point as one array: what travels in a question."""
    return np.concatenate([point.coef.ravel(), point.intercept])


def unpack(flat: Floats, info: DataInfo) -> Point:
    """Return the point that a question carries."""
    coef = flat[: info.size].reshape(info.n_columns, info.n_outputs)
    repair = info.reference.fit_intercept and info.n_outputs == 1
    coef = np.ascontiguousarray(coef[:, 0] if info.n_outputs == 1 else coef)
    scale = info.scale if info.conditioned else None
    return Point(coef, flat[info.size :].copy(), info.center, 1.0, False, repair, scale)
