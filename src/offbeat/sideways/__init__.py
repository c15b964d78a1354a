"""The sideways operator, for programs of one's own: ``program(port, shard)`` and what it needs.

Contributions, the board that sums them and the loops that drive solvers live here too: no input or output of their own.

Examples
--------
>>> import numpy as np
>>> from offbeat import engines
>>> from offbeat.sideways import WAIT
>>> def total(port, shard):
...     port.push(port.message(np.array([shard.rows().sum()])))
...     heard = []
...     while len(heard) < port.n_workers - 1:
...         yield WAIT
...         heard += port.poll()
...     return shard.rows().sum() + sum(message.payload[0] for message in heard)
>>> [float(result) for result in engines.Simulated(3).run(total, np.ones((6, 2)))]
[12.0, 12.0, 12.0]
"""

from offbeat.sideways.agreement import Agreement
from offbeat.sideways.board import Board
from offbeat.sideways.messages import Message, Wait
from offbeat.sideways.port import WAIT, Port, Program

__all__ = ["WAIT", "Agreement", "Board", "Message", "Port", "Program", "Wait"]
