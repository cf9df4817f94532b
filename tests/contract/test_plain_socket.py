"""A client's socket without TLS: one watcher for all waits, which costs nothing while nobody waits."""

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.hub import get_hub

from eventbus.web.server.plain_socket import PlainSocket

Pair = tuple[PlainSocket, Any]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """The bus's end of a connection, and the client's."""
    ours, theirs = socket.socketpair()
    client = PlainSocket(ours)
    with theirs:
        yield client, theirs
        client.close()


def test_what_is_there_and_what_comes_is_received(pair: Pair) -> None:
    """Data is received at once where it is there, and waited for where it is not; at the end there is none."""
    client, theirs = pair
    for receive in (client.recv, client.recv_next):
        theirs.sendall(b"now")
        assert receive(100) == b"now"
        gevent.spawn(theirs.sendall, b"later")
        assert receive(100) == b"later"
    theirs.close()
    assert client.recv_next(100) == client.recv(100) == b""


def test_data_that_nobody_waits_for_does_not_turn_the_loop(pair: Pair) -> None:
    """While a request is served its client may send more: the loop rests, and the data is there for the next wait."""
    client, theirs = pair
    theirs.sendall(b"first")
    assert client.recv_next(100) == b"first"
    theirs.sendall(b"second")
    turns: list[None] = []
    check: Any = get_hub().loop.check()
    check.start(turns.append, None)
    gevent.get_hub().join(timeout=0.05)
    check.close()
    assert len(turns) < 10
    assert client.recv_next(100) == b"second"


def test_a_wait_ends_with_a_timeout_and_may_begin_again(pair: Pair) -> None:
    """A time limit interrupts a wait, and the next wait receives what comes then."""
    client, theirs = pair
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        client.recv_next(100)
    gevent.spawn(theirs.sendall, b"late")
    assert client.recv_next(100) == b"late"


def test_only_what_fits_is_sent_without_waiting(pair: Pair) -> None:
    """A send takes what the socket's buffer has room for, then nothing; sending all waits for the client."""
    client, theirs = pair
    data = b"x" * 16_777_216
    sent = client.send(data)
    assert 0 < sent < len(data)
    with pytest.raises(BlockingIOError):
        client.send(data)
    sending = gevent.spawn(client.sendall, data[sent:])
    received = 0
    while received < len(data):
        received += len(theirs.recv(1_048_576))
    sending.get(timeout=5)
