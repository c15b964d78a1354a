"""Messages on the wire: a header of fixed layout and one raw buffer. Nothing is ever unpickled.

The header holds, little-endian: magic, version, role, type of the payload, length of the kind; the run's id; question,
worker, incarnation, shard, clock; started, duration, work; numbers in the payload; the kind; a CRC-32 of all that.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from offbeat.sideways.messages import ASK, CERTIFY, HELLO, STEP, WHERE, Message

Buffer: TypeAlias = bytes | bytearray | memoryview

MAGIC = b"OBFT"
VERSION = 1
RUN_BYTES = 16
KIND_BYTES = 48
ROLES = (STEP, CERTIFY, ASK, HELLO, WHERE)  # on the wire a role is its place here: append only
TYPES = (np.dtype("<f8"), np.dtype(np.uint8))  # likewise
_FIELDS = struct.Struct(f"<4sBBBB{RUN_BYTES}sqqqqqdddq{KIND_BYTES}s")
_CHECK = struct.Struct("<I")
HEADER_BYTES = _FIELDS.size + _CHECK.size
_ROLE_CODES = {role: code for code, role in enumerate(ROLES)}
_TYPE_CODES = {dtype: code for code, dtype in enumerate(TYPES)}


class FrameError(ValueError):
    """Frames that are no message of this run, or a message that cannot travel: says what does not fit."""


def pack(message: Message, run: bytes) -> tuple[bytes, memoryview]:
    """Return a message as two frames.

    Parameters
    ----------
    message : Message
        Its payload is a flat array of float64 or uint8.
    run : bytes
        16 bytes that no other run has.

    Returns
    -------
    header : bytes
    body : memoryview
        Of the payload itself where that is contiguous: send it, or copy it, before the payload changes.

    Raises
    ------
    FrameError
        Something in the message has no place in the header.

    Examples
    --------
    >>> message = Message(0, 1, 0, 1, 7, "step", np.ones(3))
    >>> header, body = pack(message, bytes(16))
    >>> len(header), body.nbytes
    (148, 24)
    >>> unpack((header, body), bytes(16)).payload
    array([1., 1., 1.])
    """
    payload = _native(message.payload)
    kind = message.kind.encode()
    if len(kind) > KIND_BYTES or b"\0" in kind:
        raise FrameError(f"kind {message.kind!r} of a message: give at most {KIND_BYTES} bytes, none of them 0")
    if message.role not in _ROLE_CODES:
        raise FrameError(f"role {message.role!r} of a message is none of {', '.join(ROLES)}")
    if len(run) != RUN_BYTES:
        raise FrameError(f"the id of a run has {RUN_BYTES} bytes, not {len(run)}")
    _check_numbers(message)
    codes = (MAGIC, VERSION, _ROLE_CODES[message.role], _TYPE_CODES[payload.dtype], len(kind))
    try:
        fields = _FIELDS.pack(*codes, run, *message[:5], *message[7:10], payload.size, kind)
    except struct.error as error:
        raise FrameError(f"a number of the message has no place in its header: {error}") from None
    return fields + _CHECK.pack(zlib.crc32(fields)), memoryview(payload).cast("B")


def unpack(frames: Sequence[Buffer], run: bytes) -> Message:
    """Return the message that `pack` made; its payload is read-only, and shares memory with the second frame.

    Parameters
    ----------
    frames : sequence of bytes
        As they came in: anything.
    run : bytes
        The only run whose messages are accepted.

    Raises
    ------
    FrameError
        They are no message of this run: says what does not fit.
    """
    if len(frames) != 2:
        raise FrameError(f"{len(frames)} frames came in; a message has 2")
    header, body = bytes(frames[0]) if len(frames[0]) == HEADER_BYTES else b"", frames[1]
    if not header:
        raise FrameError(f"the header has {len(frames[0])} bytes, not {HEADER_BYTES}")
    magic, version, role, dtype, kind_size, sender, *rest = _FIELDS.unpack_from(header)
    question, worker, incarnation, shard, clock, started, duration, work, size, kind = rest
    if magic != MAGIC:
        raise FrameError(f"the header begins with {magic!r}, not {MAGIC!r}")
    if version != VERSION:
        raise FrameError(f"the frames are of version {version}; this is version {VERSION}")
    if _CHECK.unpack_from(header, _FIELDS.size)[0] != zlib.crc32(header[: _FIELDS.size]):
        raise FrameError("the header is corrupt: its checksum does not fit")
    if sender != run:
        raise FrameError("the message belongs to another run")
    if role >= len(ROLES) or dtype >= len(TYPES):
        raise FrameError(f"role {role} or type {dtype} of the payload is unknown")
    payload = _array(body, TYPES[dtype], size)
    message = Message(
        question,
        worker,
        incarnation,
        shard,
        clock,
        _text(kind, kind_size),
        payload,
        started,
        duration,
        work,
        ROLES[role],
    )
    _check_numbers(message)
    return message


def _native(payload: Any) -> Any:
    """Return a payload as the contiguous array whose bytes travel."""
    if (
        type(payload) is np.ndarray
        and payload.dtype in _TYPE_CODES
        and payload.ndim == 1
        and payload.flags.c_contiguous
    ):
        return payload
    if not isinstance(payload, np.ndarray) or payload.ndim != 1 or payload.dtype.newbyteorder("<") not in _TYPE_CODES:
        found = f"{payload.dtype} {payload.shape}" if isinstance(payload, np.ndarray) else type(payload).__name__
        raise FrameError(f"a payload is a flat array of float64 or uint8, not {found}")
    return np.ascontiguousarray(payload, payload.dtype.newbyteorder("<"))


def _array(body: Buffer, dtype: np.dtype[Any], size: int) -> Any:
    """Return the payload in a body, aligned, read-only, in the byte order of this machine."""
    held = memoryview(body).nbytes
    if size < 0 or size * dtype.itemsize != held:
        raise FrameError(f"the header names {size} numbers of {dtype.itemsize} bytes; the body has {held} bytes")
    raw = np.frombuffer(body, dtype) if size else np.empty(0, dtype)
    array = raw.astype(dtype.newbyteorder("="), copy=not raw.flags.aligned)
    array.flags.writeable = False
    return array


def _text(kind: bytes, size: int) -> str:
    if size > KIND_BYTES or b"\0" in kind[:size] or kind[size:].strip(b"\0"):
        raise FrameError("the kind does not have the length that the header names")
    try:
        return kind[:size].decode()
    except UnicodeDecodeError:
        raise FrameError("the kind is no text") from None


def _check_numbers(message: Message) -> None:
    """Refuse what no message has: shards and clocks may be -1, all else counts from 0."""
    run, worker, incarnation, shard, clock = message[:5]
    if min(run, worker, incarnation) < 0 or min(shard, clock) < -1:
        raise FrameError(f"negative: question {run}, worker {worker}, life {incarnation}, shard {shard}, clock {clock}")
    started, duration, work = message[7:10]
    if not (math.isfinite(started) and 0.0 <= duration < math.inf and 0.0 <= work < math.inf):
        raise FrameError(f"no times: started {started}, duration {duration}, work {work}")
