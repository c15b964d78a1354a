"""Mailboxes: who is heard and who is not, what is lost when a peer is gone, and what is left behind."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("zmq")

import zmq

from offbeat import topology
from offbeat.engines.base import Listener
from offbeat.engines.frames import FrameError, pack
from offbeat.engines.mailbox import AT_ONCE, HIGH_WATER, Mailbox, Peer
from offbeat.engines.port import Stop
from offbeat.engines.threads import Threads
from offbeat.sideways.messages import Message
from support import ranks
from support.ranks import HOST, LONGEST, PATIENCE, Gang, mailboxes, run_rank

TOPOLOGIES = [topology.Broadcast(), topology.Tree(2), topology.Gossip(2)]


def note(worker: int = 0, clock: int = 1, payload: Any = None) -> Message:
    return Message(0, worker, 0, worker, clock, "step", np.arange(3.0) if payload is None else payload)


def until(true: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Return what a function returns once that is true."""
    end = time.monotonic() + seconds
    while not (result := true()) and time.monotonic() < end:
        time.sleep(0.01)
    return result


def receive(box: Mailbox, count: int = 1) -> list[Message]:
    """Return messages once so many have come."""
    got: list[Message] = []
    until(lambda: got.extend(box.poll()) or len(got) >= count)
    return got


@pytest.fixture(params=[True, False], ids=["secure", "plain"])
def secure(request: pytest.FixtureRequest) -> bool:
    """Whether the connections are encrypted."""
    return bool(request.param)


@pytest.fixture
def stranger() -> Iterator[Callable[..., Any]]:
    """Return a maker of push sockets as somebody else would make them, without keys unless given."""
    context, made = zmq.Context(), []

    def make(address: str, server_key: bytes | None = None, keys: tuple[bytes, bytes] | None = None) -> Any:
        pushing = context.socket(zmq.PUSH)
        made.append(pushing)
        pushing.linger = 0
        if keys is not None:
            pushing.curve_serverkey, (pushing.curve_publickey, pushing.curve_secretkey) = server_key, keys
        pushing.connect(address)
        return pushing

    yield make
    for each in made:
        each.close(0)
    context.term()


# who is heard -------------------------------------------------------------------------------------------------------
def test_messages_arrive_in_order(secure: bool) -> None:
    with mailboxes(2, secure) as (one, other):
        for clock in range(HIGH_WATER):
            one.push(note(clock=clock, payload=np.full(4, float(clock))), [1])
        got = receive(other, HIGH_WATER)
        assert [message.clock for message in got] == list(range(HIGH_WATER))
        assert all((message.payload == message.clock).all() for message in got)
        assert (one.dropped, one.rejected, other.dropped, other.rejected) == (0, 0, 0, 0)


def test_a_payload_may_be_reused_once_it_was_pushed(secure: bool) -> None:
    with mailboxes(2, secure) as (one, other):
        buffer = np.zeros(LONGEST // 8)
        for clock in range(HIGH_WATER):
            buffer[:] = clock
            one.push(note(clock=clock, payload=buffer), [0, 1])
        buffer[:] = -1.0
        for box in (one, other):
            assert all((message.payload == message.clock).all() for message in receive(box, HIGH_WATER))


def test_states_travel_as_bytes() -> None:
    with mailboxes(2) as (one, other):
        one.push(note(payload=np.frombuffer(b"state", np.uint8)), [1])
        assert receive(other)[0].payload.tobytes() == b"state"


def test_connections_may_be_made_in_any_order() -> None:
    run = os.urandom(16)
    with Mailbox(0, run, HOST, LONGEST) as one, Mailbox(1, run, HOST, LONGEST) as other:
        one.connect({1: other.peer})
        one.push(note(), [1])
        assert not other.wait(0.2)  # it does not know the other yet
        other.connect({0: one.peer})
        assert [message.clock for message in receive(other)] == [1]


def test_only_the_address_is_listened_at(secure: bool) -> None:
    with mailboxes(1, secure) as (one,):
        assert one.address.startswith(f"tcp://{HOST}:")
        port = int(one.address.rpartition(":")[2])
        listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if " 0A " in line]
        assert [place for place in listening if place.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


@pytest.mark.parametrize("host", ["", "0.0.0.0", "*", "::", "0", "no such host", "224.0.0.1"])
def test_hosts_must_be_one_address(host: str) -> None:
    with pytest.raises(ValueError, match="host"):
        Mailbox(0, bytes(16), host, LONGEST)


def test_an_address_of_another_machine_leaves_nothing_behind() -> None:
    before = open_files()
    with pytest.raises(OSError):
        Mailbox(0, bytes(16), "192.0.2.1", LONGEST)
    assert until(lambda: open_files() == before)


@pytest.mark.parametrize(
    "peer", [Peer("udp://127.0.0.1:1", b"k" * 40), Peer("tcp://127.0.0.1:1"), Peer("tcp://x", b"")]
)
def test_peers_must_have_an_address_and_a_key(peer: Peer) -> None:
    with mailboxes(1) as (one,), pytest.raises(ValueError, match=r"rank 1|tcp://x"):
        one.connect({1: peer})


# strangers ----------------------------------------------------------------------------------------------------------
def hello(run: bytes) -> list[bytes]:
    header, body = pack(note(worker=1, clock=99), run)
    return [header, bytes(body)]


def test_strangers_are_not_heard(stranger: Any) -> None:
    with mailboxes(2) as (one, other):
        assert one.public_key is not None
        keyless = stranger(one.address)
        unknown = stranger(one.address, one.public_key, zmq.curve_keypair())
        confused = stranger(one.address, zmq.curve_keypair()[0], (other.public_key, other._secret))
        for each in (keyless, unknown, confused):
            each.send_multipart(hello(one.run))  # with the id of the run, even
        assert not one.wait(0.5)
        other.push(note(worker=1, clock=5), [0])
        assert [message.clock for message in receive(one)] == [5]
        assert one.rejected == 0


def test_who_was_forgotten_cannot_come_back(stranger: Any) -> None:
    with mailboxes(2) as (one, other):
        one.forget([1])
        again = stranger(one.address, one.public_key, (other.public_key, other._secret))
        again.send_multipart(hello(one.run))
        assert not one.wait(0.3)
        one.push(note(), [1])
        assert one.dropped == 1


def test_garbage_is_rejected_and_counted(secure: bool, stranger: Any) -> None:
    with mailboxes(2, secure) as (one, other):
        keys = (other.public_key, other._secret) if secure else None
        friend = stranger(one.address, one.public_key, keys)
        garbage = [
            [b"x"],
            [b""],
            [b"a", b"b", b"c"],
            [b"\0" * 148, b""],
            hello(os.urandom(16)),
            [os.urandom(148), b"x"],
        ]
        for frames in garbage:
            friend.send_multipart(frames)
        friend.send_multipart(hello(one.run))
        assert [message.clock for message in receive(one)] == [99]
        assert one.rejected == len(garbage)


def test_what_is_too_long_never_comes_in(secure: bool, stranger: Any) -> None:
    with mailboxes(2, secure) as (one, other):
        keys = (other.public_key, other._secret) if secure else None
        friend = stranger(one.address, one.public_key, keys)
        friend.send_multipart([b"x", bytes(LONGEST + 2000)])
        assert not one.wait(0.3)
        assert one.rejected == 0
        other.push(note(worker=1), [0])
        assert len(receive(one)) == 1
        with pytest.raises(FrameError, match="longer than the longest of this run"):
            one.push(note(payload=np.zeros(LONGEST // 8 + 1)), [1])


def test_the_longest_message_comes_in(secure: bool) -> None:
    with mailboxes(2, secure) as (one, other):
        one.push(note(payload=np.zeros(LONGEST // 8)), [1])
        assert receive(other)[0].payload.nbytes == LONGEST


# peers that go and come ---------------------------------------------------------------------------------------------
def test_pushes_to_the_dead_and_the_unknown_are_dropped(secure: bool) -> None:
    with mailboxes(3, secure) as (one, other, third):
        one.push(note(), [1])
        assert receive(other)
        other.close()
        for clock in range(5 * HIGH_WATER):
            one.push(note(clock=clock, payload=np.zeros(LONGEST // 8)), [1])
        assert one.dropped >= 4 * HIGH_WATER
        one.dropped = 0
        one.push(note(), [7])
        assert one.dropped == 1
        one.push(note(clock=8), [2, 7])
        assert [message.clock for message in receive(third)] == [8]


def test_a_slow_peer_holds_nobody_up(secure: bool) -> None:
    with mailboxes(3, secure) as (one, slow, quick):
        for clock in range(100):
            one.push(note(clock=clock, payload=np.zeros(LONGEST // 8)), [1])
        assert one.dropped
        one.push(note(clock=7), [2])
        assert [message.clock for message in receive(quick)] == [7]
        first = receive(slow)
        assert first[0].clock == 0


def test_a_peer_that_comes_back_elsewhere_is_heard_again(secure: bool) -> None:
    with mailboxes(3, secure) as (one, other, third):
        other.close()
        one.push(note(), [1])
        with Mailbox(1, one.run, HOST, LONGEST, secure) as back:
            assert back.peer != other.peer
            back.connect({0: one.peer, 2: third.peer})
            back.push(note(worker=1, clock=1), [0])  # before they have heard of it
            for box in (one, third):
                box.connect({1: back.peer})
                box.push(note(worker=box.rank, clock=3), [1])
            assert receive(one)[0].worker == 1
            assert sorted(message.worker for message in receive(back, 2)) == [0, 2]
            one.push(note(worker=0, clock=4), [2])
            assert receive(third)[0].clock == 4  # others stayed connected


# waiting ------------------------------------------------------------------------------------------------------------
def test_waits_end_with_a_message_the_time_or_a_bell() -> None:
    with mailboxes(2) as (one, other):
        assert not one.wait(0.0) and not one.wait(0.01)
        threading.Timer(0.05, one.wake).start()
        assert not one.wait(PATIENCE)
        one.wake()
        assert not one.wait(PATIENCE)  # it is not forgotten
        assert not one.wait(0.01)  # and rings once
        threading.Timer(0.05, other.push, (note(worker=1), [0])).start()
        assert one.wait(PATIENCE) and one.wait(PATIENCE)
        assert len(one.poll()) == 1 and one.poll() == []


def test_a_bell_may_be_rung_any_number_of_times() -> None:
    with mailboxes(1) as (one,):
        for _ in range(20_000):
            one.wake()
        one.wait(0.0)
        assert not one.wait(0.01)


def test_what_one_sends_to_oneself_is_handed_over() -> None:
    with mailboxes(1) as (one,):
        one.push(note(), [0])
        assert one.wait(0.0) and one.poll()[0].clock == 1


def test_a_poll_ends_whatever_the_others_send(secure: bool) -> None:
    with mailboxes(2, secure) as (one, other):
        over = threading.Event()

        def flood() -> None:
            while not over.is_set():
                other.push(note(worker=1), [0])

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            assert all(len(one.poll()) <= AT_ONCE for _ in range(20))
        finally:
            over.set()
            thread.join()


# nothing stays ------------------------------------------------------------------------------------------------------
def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_closing_leaves_nothing_behind(secure: bool) -> None:
    gc.collect()
    before = open_files(), sorted(thread.name for thread in threading.enumerate()), len(os.listdir("/proc/self/task"))
    for _ in range(5):
        with mailboxes(4, secure) as boxes:
            for box in boxes:
                box.push(note(box.rank, payload=np.zeros(LONGEST // 8)), [0, 1, 2, 3])
            assert boxes[0].wait(PATIENCE)
            boxes[1].close()
            boxes[1].close()
    after = open_files(), sorted(thread.name for thread in threading.enumerate()), len(os.listdir("/proc/self/task"))
    assert after == before


def test_nothing_is_dropped_that_the_other_takes_at_once(secure: bool) -> None:
    """Many more messages than may wait, faster than a socket looks up by itself what was taken."""
    with mailboxes(2, secure) as (one, other):
        for clock in range(200):
            one.push(note(clock=clock), [1])
            assert other.wait(PATIENCE)
            assert [message.clock for message in other.poll()] == [clock]
        assert one.dropped == 0


def test_a_closed_mailbox_does_nothing() -> None:
    with mailboxes(2) as (one, other):
        peer = other.peer
        one.close()
        one.push(note(), [1])
        one.connect({1: peer})
        one.forget([1])
        one.wake()
        assert one.dropped == 1 and one.poll() == [] and not one.wait(PATIENCE)


def test_the_package_does_without_zmq_until_it_is_needed() -> None:
    code = "import sys, offbeat, offbeat.engines.gang, offbeat.engines.frames; assert 'zmq' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# programs -----------------------------------------------------------------------------------------------------------
def on_threads(make: Any, count: int, peers: Any = None, secure: bool = True, lives: Any = None) -> list[Any]:
    peers, stop = topology.Broadcast() if peers is None else peers, Stop()

    def rank(box: Mailbox) -> Any:
        try:
            return run_rank(box, make, count, peers, stop, (lives or {}).get(box.rank, 0))
        finally:
            if make is not ranks.all_reduce and box.rank == 0:
                stop.set()

    with mailboxes(count, secure) as boxes, ThreadPoolExecutor(count) as pool:
        return list(pool.map(rank, boxes))


@pytest.mark.parametrize("count", [2, 4])
def test_everybody_gets_the_same_sum(count: int, secure: bool) -> None:
    assert on_threads(ranks.all_reduce, count, secure=secure) == [sum(range(count)) + 19.0 * count] * count


def local(make: Any, count: int, peers: Any) -> Any:
    """Return what the threads engine makes of the same program."""
    made = [make(worker, count, peers) for worker in range(count)]
    return Threads(count).gang(made[0][0], [shard for _, shard in made], peers, Listener())[0]


@pytest.mark.parametrize("peers", TOPOLOGIES, ids=lambda peers: peers.name)
def test_fits_over_mailboxes_are_those_of_threads(peers: Any) -> None:
    outcome, expected = on_threads(ranks.logistic, 4, peers)[0], local(ranks.logistic, 4, peers)
    assert outcome.status == expected.status == "converged"
    np.testing.assert_array_equal(outcome.best.coef, expected.best.coef)
    assert outcome.best.certificate == expected.best.certificate


@pytest.mark.parametrize("peers", TOPOLOGIES, ids=lambda peers: peers.name)
def test_a_rank_that_restarted_hears_over_mailboxes_where_the_others_are(peers: Any) -> None:
    outcome, expected = on_threads(ranks.logistic, 4, peers, lives={1: 1})[0], local(ranks.logistic, 4, peers)
    assert outcome.status == "converged"
    np.testing.assert_allclose(outcome.best.coef, expected.best.coef, rtol=1e-6)


@pytest.mark.parametrize("peers", TOPOLOGIES, ids=lambda peers: peers.name)
def test_asynchronous_fits_over_mailboxes_are_certified(peers: Any) -> None:
    outcome, expected = on_threads(ranks.stale_logistic, 4, peers)[0], local(ranks.logistic, 4, peers)
    assert outcome.status == "converged" and outcome.best.certificate.satisfied
    np.testing.assert_allclose(outcome.best.coef, expected.best.coef, rtol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_everybody_gets_the_same_sum_in_processes(count: int) -> None:
    with Gang(ranks.all_reduce, count) as gang:
        assert [gang.result(rank) for rank in range(count)] == [sum(range(count)) + 19.0 * count] * count


@pytest.mark.slow
@pytest.mark.parametrize("peers", TOPOLOGIES, ids=lambda peers: peers.name)
def test_fits_in_processes_are_those_of_threads(peers: Any) -> None:
    expected = local(ranks.logistic, 3, peers)
    with Gang(ranks.logistic, 3, peers) as gang:
        outcome = gang.result(0)
    assert outcome.status == "converged"
    np.testing.assert_array_equal(outcome.best.coef, expected.best.coef)
    assert outcome.best.certificate == expected.best.certificate


@pytest.mark.slow
def test_a_process_that_is_killed_and_started_elsewhere_is_heard_again() -> None:
    with Gang(ranks.forever, 3) as gang:
        gang.kill(1)
        gang.start(1, life=1)
        gang.meet(1)
        gang.tell()
        assert gang.result(0) == "heard"
