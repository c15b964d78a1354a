"""Where steps run: in the calling thread or on threads."""

from offbeat.engines.serial import Serial
from offbeat.engines.threads import Threads

__all__ = ["Serial", "Threads"]
