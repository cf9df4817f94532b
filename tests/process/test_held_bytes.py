"""What clients make the bus hold, bodies that do not come and answers that nobody reads, is bounded and given back."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.support.answers import assert_accepted
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.ports import LOOPBACK
from tests.support.raw_client import RawConnection, render_request
from tests.support.server import BusServer

MIB = 1_048_576
#: Events of 1 MiB in the journal.
EVENTS = 12
#: Clients that do not read, and pages that each asks for one after the other.
CLIENTS, PAGES = 12, 6
UNFINISHED = {
    "a length": render_request("POST", "/sendMessage", [("Content-Length", str(MIB))]) + b"x" * (MIB - 1),
    "chunks": render_request("POST", "/sendMessage", [("Transfer-Encoding", "chunked")])
    + (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 15,
}
UNREAD = {
    "pages": render_request("GET", "/events?limit=1000") * PAGES,
    "a stream": render_request("GET", "/events?after=earliest", [("Accept", "text/event-stream")]),
}


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus that holds 21 MiB for clients, a MiB for 3 seconds."""
    environment = {"EVENTBUS_REQUEST_SECONDS": "3", "EVENTBUS_MAX_BODIES_BYTES": str(MIB)}
    with BusServer(tmp_path_factory.mktemp("bus"), environment) as server:
        for number in range(EVENTS):
            assert_accepted(Caller(server.port).call("POST", "/sendMessage", body=b"%d" % number + b"x" * (MIB - 2)))
        yield server


def connections(bus: BusServer) -> int:
    """How many are open, that which asks included."""
    lines = Caller(bus.port).call("GET", "/metrics").text.splitlines()
    return next(int(float(line.split()[1])) for line in lines if line.startswith("eventbus_connections "))


@pytest.mark.parametrize("begun", UNFINISHED.values(), ids=UNFINISHED)
def test_bodies_that_do_not_come_are_bounded(begun: bytes, bus: BusServer) -> None:
    """Past the limit a body is answered 503 with Retry-After; small ones are taken, and large ones soon again."""
    for _ in range(2):  # after clients that were too slow, and after clients that went away
        with ExitStack() as stack:
            wires = [stack.enter_context(RawConnection(bus.port)) for _ in range(24)]
            for connection in wires:
                connection.send(begun)
            assert_accepted(Caller(bus.port).call("POST", "/sendMessage", body=b"small"))
            answers = [connection.read() for connection in wires]
            refused = [answer for answer in answers if answer.status == 503]
            assert {answer.status for answer in answers} == {408, 503}
            assert {answer.header("Retry-After") for answer in refused} == {"5"}
        assert_accepted(Caller(bus.port).call("POST", "/sendMessage?batch=lines", body=(b"x" * 65_535 + b"\n") * 256))


def test_heads_that_do_not_end_are_bounded(bus: BusServer) -> None:
    """They count as bodies do: past the limit a longer head is answered 503, and a short one is taken."""
    begun = render_request("GET", "/healthz", [("a", "x" * 7_000)] * 8)[:-2]
    with ExitStack() as stack:
        wires = [stack.enter_context(RawConnection(bus.port)) for _ in range(500)]
        for connection in wires:
            connection.send(begun)
        assert Caller(bus.port).call("GET", "/healthz").status == 200
        answers = [connection.read() for connection in wires]
        assert {answer.status for answer in answers} == {408, 503}
        assert {answer.header("Retry-After") for answer in answers} == {None, "5"}


@pytest.mark.parametrize("asked", UNREAD.values(), ids=UNREAD)
def test_who_does_not_read_is_closed(asked: bytes, bus: BusServer) -> None:
    """Clients that read nothing of their answers are closed, and cost little memory meanwhile.

    For pages that one address has asked for at once there is not room enough: who gets nothing but short refusals
    leaves nothing unread, and stays connected.
    """
    before = bus.resident_bytes()
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.socket()) for _ in range(CLIENTS)]
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect((LOOPBACK, bus.port))
            client.sendall(asked)

        def refused() -> int:
            return sum(unread(client).count(b"HTTP/1.1 503 ") == PAGES for client in clients)

        eventually(lambda: connections(bus) == 1 + refused(), 40, "clients that do not read were not closed")
        assert refused() < CLIENTS
    assert bus.resident_bytes() - before < 80 * MIB


def unread(client: socket.socket) -> bytes:
    """What a client has got, which it still does not read; nothing where its connection was reset."""
    with suppress(BlockingIOError, ConnectionResetError):
        return client.recv(65_536, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    return b""


def test_pages_go_on(bus: BusServer) -> None:
    """A page has 4 MiB at most, however many events are asked for, and all come page by page."""
    ids: list[str] = []
    after = ""
    while page := get(bus, f"/events?limit=1000{after}"):
        ids += page
        after = f"&after={page[-1]}"
    assert len(set(ids)) == len(ids) >= EVENTS


def get(bus: BusServer, target: str) -> list[str]:
    """The ids in a page."""
    answer = Caller(bus.port).call("GET", target)
    assert answer.status == 200
    assert len(answer.body) < 4.1 * MIB
    assert answer.header("X-Content-Type-Options") == "nosniff"
    return [event["id"] for event in answer.json()["events"]]
