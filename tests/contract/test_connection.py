"""A connection sends at the end of a turn of the event loop, and what comes before that is no answer."""

import socket
import struct
import time
from collections.abc import Callable, Iterator

import gevent
import pytest

from eventbus.delivery.transport.connection import Connection
from eventbus.delivery.transport.send_queue import SendQueue

REQUEST = b"POST /event HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#: Seconds that a request has in these tests.
TIMEOUT = 5.0


class HeldOutbox(SendQueue):
    """Sends when the test says so."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Callable[[], None]] = []

    def put(self, send: Callable[[], None]) -> None:
        """Keep it."""
        self.held.append(send)

    def let_go(self) -> None:
        """Send, in the hub, as an outbox does."""
        for send in self.held:
            super().put(send)
        self.held.clear()
        gevent.sleep(0)


Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two ends of a connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    with ours, theirs:
        theirs.settimeout(TIMEOUT)
        yield ours, theirs


@pytest.fixture
def held() -> HeldOutbox:
    """An outbox that waits for the test."""
    return HeldOutbox()


def asking(connection: Connection) -> "gevent.Greenlet[..., bytes]":
    """A greenlet that has asked, and waits."""
    greenlet = gevent.spawn(connection.request, REQUEST, time.monotonic() + TIMEOUT)
    gevent.sleep(0)
    return greenlet


def test_what_is_put_in_one_turn_is_sent_in_its_order_at_its_end() -> None:
    """The outbox calls each once, in order, after whoever put them there has let go of the event loop."""
    outbox, sent = SendQueue(), list[int]()
    for number in range(3):
        outbox.put(lambda number=number: sent.append(number))  # type: ignore[misc] # a default keeps the number
    assert sent == []
    gevent.sleep(0)
    assert sent == [0, 1, 2]
    outbox.put(lambda: sent.append(3))
    gevent.sleep(0)
    assert sent == [0, 1, 2, 3]


def test_a_request_is_answered(pair: Pair) -> None:
    """What the other side receives is the request, and what it sends is returned."""
    ours, theirs = pair
    connection = Connection(ours, SendQueue())
    answer = asking(connection)
    assert theirs.recv(1_024) == REQUEST
    theirs.sendall(OK)
    assert answer.get(timeout=TIMEOUT) == OK
    assert connection.open
    connection.close()


def test_what_comes_before_the_request_was_sent_is_no_answer(pair: Pair, held: HeldOutbox) -> None:
    """A connection on which something comes while its request still waits is closed, and the request not sent."""
    ours, theirs = pair
    connection = Connection(ours, held)
    answer = asking(connection)
    theirs.sendall(OK)
    with pytest.raises(ConnectionResetError):
        answer.get(timeout=TIMEOUT)
    assert not connection.open
    held.let_go()
    with pytest.raises(ConnectionResetError):  # closed with bytes unread, hence a reset; and no request before it
        theirs.recv(1_024)


def test_a_request_that_was_given_up_is_not_sent(pair: Pair, held: HeldOutbox) -> None:
    """The greenlet that asked is gone before the turn ends: the connection just closes."""
    ours, theirs = pair
    connection = Connection(ours, held)
    answer = asking(connection)
    answer.kill()
    held.let_go()
    assert not connection.open
    assert theirs.recv(1_024) == b""


def test_whoever_asked_is_told_that_nothing_could_be_sent(pair: Pair, held: HeldOutbox) -> None:
    """An error while sending is raised where the request was made, and the connection is closed."""
    ours, _theirs = pair
    connection = Connection(ours, held)
    answer = asking(connection)
    ours.shutdown(socket.SHUT_WR)
    held.let_go()
    with pytest.raises(BrokenPipeError):
        answer.get(timeout=TIMEOUT)
    assert not connection.open


def test_a_request_that_does_not_fit_the_socket_is_sent_whole(pair: Pair) -> None:
    """What the other side takes slowly is sent bit by bit, and the answer is awaited afterwards."""
    ours, theirs = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8_192)
    message, received = REQUEST + bytes(4_000_000), bytearray()
    connection = Connection(ours, SendQueue())
    answer = gevent.spawn(connection.request, message, time.monotonic() + TIMEOUT)
    while len(received) < len(message):
        received += theirs.recv(65_536)
    theirs.sendall(OK)
    assert answer.get(timeout=TIMEOUT) == OK
    assert received == message
    connection.close()


def test_a_request_whose_time_is_over_before_it_is_sent_times_out(pair: Pair, held: HeldOutbox) -> None:
    """The watchdog cuts a connection whose request still waits in the outbox."""
    ours, theirs = pair
    connection = Connection(ours, held)
    answer = asking(connection)
    connection.abort()
    with pytest.raises(TimeoutError):
        answer.get(timeout=TIMEOUT)
    held.let_go()
    assert not connection.open
    assert theirs.recv(1_024) == b""


def test_a_request_whose_time_is_over_in_the_turn_in_which_it_would_be_sent_times_out(
    pair: Pair, held: HeldOutbox
) -> None:
    """Where the event loop has told nobody yet that the connection was cut, the outbox passes its request over."""
    ours, theirs = pair
    connection = Connection(ours, held)
    answer = asking(connection)
    connection.abort()
    held.let_go()
    with pytest.raises(TimeoutError):
        answer.get(timeout=TIMEOUT)
    assert theirs.recv(1_024) == b""


def test_whoever_cuts_a_connection_that_was_just_reset_goes_on(pair: Pair) -> None:
    """A reset that the event loop has not told of yet ends the request, and not the watchdog that finds it late."""
    ours, theirs = pair
    connection = Connection(ours, SendQueue())
    answer = asking(connection)
    assert theirs.recv(1_024) == REQUEST
    reset(theirs)
    cutting = gevent.spawn(connection.abort)
    with pytest.raises(ConnectionResetError):
        answer.get(timeout=TIMEOUT)
    assert not connection.open
    cutting.join(TIMEOUT)
    assert cutting.successful()


def reset(end: socket.socket) -> None:
    """Close one end at once, with a reset."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
