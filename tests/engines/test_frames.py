"""Messages on the wire: what is packed comes back, and anything else is refused by name."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from offbeat.engines.frames import HEADER_BYTES, KIND_BYTES, ROLES, FrameError, pack, unpack
from offbeat.sideways.messages import STEP, Message

RUN = bytes(range(16))
SOME = Message(3, 1, 0, 1, 7, "step", np.arange(4.0), 1.5, 0.25, 0.5)
COUNTS = st.integers(0, 2**63 - 1)
TIMES = st.floats(0.0, allow_nan=False, allow_infinity=False)
KINDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=KIND_BYTES // 4)
PAYLOADS = st.one_of(
    arrays.arrays(np.float64, st.integers(0, 40), elements=st.floats(width=64)),
    arrays.arrays(np.uint8, st.integers(0, 40)),
)
MESSAGES = st.builds(
    Message, COUNTS, COUNTS, COUNTS, st.integers(-1, 2**40), st.integers(-1, 2**40), KINDS, PAYLOADS,
    st.floats(allow_nan=False, allow_infinity=False), TIMES, TIMES, st.sampled_from(ROLES), st.just(0),  # stamps are a hub's
)  # fmt: skip


def wire(message: Message = SOME) -> tuple[bytes, bytes]:
    header, body = pack(message, RUN)
    return header, bytes(body)


def sealed(header: bytes) -> bytes:
    """Return a header whose checksum fits: what somebody who knows the layout could send."""
    return header[:-4] + struct.pack("<I", zlib.crc32(header[:-4]))


def accepted_or_refused(frames: Any) -> Message | None:
    try:
        message = unpack(frames, RUN)
    except FrameError as error:
        assert str(error)
        return None
    pack(message, RUN)  # what was accepted could have been sent
    return message


@given(MESSAGES)
def test_what_is_packed_comes_back(message: Message) -> None:
    back = unpack(wire(message), RUN)
    assert back[:6] == message[:6]
    assert back[7:] == message[7:]
    assert back.payload.dtype == message.payload.dtype
    np.testing.assert_array_equal(back.payload.view(np.uint8), message.payload.view(np.uint8))
    assert back.payload.flags.aligned and not back.payload.flags.writeable


@pytest.mark.parametrize("payload", [np.arange(12.0)[::3], np.arange(4.0).astype(">f8"), np.arange(4.0)[::-1]])
def test_payloads_of_any_layout_travel(payload: Any) -> None:
    np.testing.assert_array_equal(unpack(wire(SOME._replace(payload=payload)), RUN).payload, payload)


def test_what_is_not_aligned_is_copied() -> None:
    header, body = wire()
    shifted = memoryview(b"x" + body)[1:]
    payload = unpack((header, shifted), RUN).payload
    assert payload.flags.aligned and not payload.flags.writeable
    np.testing.assert_array_equal(payload, SOME.payload)


def test_numpy_numbers_are_numbers() -> None:
    message = SOME._replace(clock=np.int64(5), work=np.float64(0.5))
    assert unpack(wire(message), RUN).clock == 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"payload": np.zeros((2, 2))}, r"flat array of float64 or uint8, not float64 \(2, 2\)"),
        ({"payload": np.zeros(2, np.float32)}, "not float32"),
        ({"payload": np.array([None])}, "not object"),
        ({"payload": [1.0]}, "not list"),
        ({"kind": "k" * (KIND_BYTES + 1)}, f"at most {KIND_BYTES} bytes"),
        ({"kind": "a\0b"}, "none of them 0"),
        ({"role": "boss"}, "role 'boss' of a message is none of step,"),
        ({"clock": -2}, "clock -2"),
        ({"worker": -1}, "worker -1"),
        ({"run": 2**63}, "no place in its header"),
        ({"clock": 1.5}, "no place in its header"),
        ({"duration": -1.0}, "duration -1.0"),
        ({"work": float("nan")}, "work nan"),
        ({"started": float("inf")}, "started inf"),
    ],
)
def test_what_cannot_travel_is_refused_by_the_sender(change: dict[str, Any], says: str) -> None:
    with pytest.raises(FrameError, match=says):
        pack(SOME._replace(**change), RUN)


def test_ids_of_runs_have_their_length() -> None:
    with pytest.raises(FrameError, match="16 bytes, not 3"):
        pack(SOME, b"run")


@pytest.mark.parametrize(
    ("at", "new", "says"),
    [
        (0, b"XBFT", "begins with b'XBFT'"),
        (4, b"\x09", "of version 9; this is version 1"),
        (5, b"\x63", "role 99"),
        (6, b"\x02", "type 2"),
        (7, b"\xff", "kind does not have the length"),
        (7, b"\x02", "kind does not have the length"),
        (8, b"\x07", "another run"),
        (24, b"\xff" * 8, "question -1"),
        (24 + 5 * 8, struct.pack("<d", float("nan")), "no times"),
        (24 + 8 * 8, struct.pack("<q", -1), "names -1 numbers"),
        (24 + 8 * 8, struct.pack("<q", 2**62), "the body has 32 bytes"),
        (24 + 9 * 8, b"\xff\xfe", "no text"),
    ],
)
def test_the_error_says_what_does_not_fit(at: int, new: bytes, says: str) -> None:
    header, body = wire()
    with pytest.raises(FrameError, match=says):
        unpack((sealed(header[:at] + new + header[at + len(new) :]), body), RUN)


@pytest.mark.parametrize("frames", [(), (b"",), (b"", b""), wire()[:1], (*wire(), b""), (wire()[1], wire()[0])])
def test_other_numbers_and_sizes_of_frames_are_refused(frames: Any) -> None:
    with pytest.raises(FrameError, match=r"frames came in|bytes, not"):
        unpack(frames, RUN)


@given(st.integers(0, HEADER_BYTES - 1), st.integers(1, 255))
def test_any_byte_of_the_header_that_changes_is_noticed(at: int, by: int) -> None:
    header, body = wire()
    changed = bytearray(header)
    changed[at] ^= by
    with pytest.raises(FrameError):
        unpack((bytes(changed), body), RUN)


@given(st.integers(0, HEADER_BYTES - 1), st.integers(0, 31))
def test_truncated_frames_are_refused(header_size: int, body_size: int) -> None:
    header, body = wire()
    for frames in ((header[:header_size], body), (header, body[:body_size]), (header + body, b"")):
        with pytest.raises(FrameError):
            unpack(frames, RUN)


@given(st.lists(st.binary(max_size=2 * HEADER_BYTES), max_size=4))
def test_random_bytes_are_refused(frames: list[bytes]) -> None:
    assert accepted_or_refused(frames) is None


@given(st.binary(min_size=HEADER_BYTES, max_size=HEADER_BYTES), st.integers(0, 24), st.binary(max_size=64))
def test_forged_headers_do_no_harm(noise: bytes, kept: int, body: bytes) -> None:
    header, _ = wire()
    accepted_or_refused((sealed(header[:kept] + noise[kept:]), body))


@given(st.integers(24, HEADER_BYTES - 8), st.binary(min_size=1, max_size=8))
def test_forged_fields_do_no_harm(at: int, new: bytes) -> None:
    header, body = wire()
    accepted_or_refused((sealed(header[:at] + new + header[at + len(new) :])[:HEADER_BYTES], body))


def test_roles_are_all_known() -> None:
    from offbeat.sideways import messages

    named = {value for name, value in vars(messages).items() if name.isupper() and isinstance(value, str)}
    assert set(ROLES) == named
    assert ROLES[0] == STEP
