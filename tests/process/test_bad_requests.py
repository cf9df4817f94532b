"""What follows a request that is refused, or odd, is taken for what it is: a body, a rest, or the next request."""

import socket
from collections.abc import Iterator

import pytest

from tests.support.answers import assert_blames, assert_says
from tests.support.caller import JSON, Caller
from tests.support.limits import MAX_BODY_BYTES
from tests.support.ports import LOOPBACK
from tests.support.raw_client import RawConnection, render_chunks, render_request
from tests.support.request_corpus import SMUGGLED, line, post
from tests.support.server import BusServer


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus that waits a second for a request."""
    environment = {"EVENTBUS_REQUEST_SECONDS": "1", "EVENTBUS_MAX_BODY_BYTES": str(MAX_BODY_BYTES)}
    with BusServer(tmp_path_factory.mktemp("bus"), environment) as server:
        yield server


@pytest.fixture(autouse=True)
def works(bus: BusServer) -> Iterator[None]:
    """After each of these tests the bus serves others as ever, and has published nothing that was smuggled."""
    caller = Caller(bus.port)
    before = smuggled(caller)
    yield
    caller.publish(b"{}", topic="sound")
    assert smuggled(caller) == before


def smuggled(caller: Caller) -> int:
    """How many smuggled events were published so far."""
    return len(caller.call("GET", "/events?topic=smuggled", [JSON]).json()["events"])


def test_no_path_is_the_first_path(bus: BusServer) -> None:
    """An absolute form without a path is answered as ``/`` is (RFC 9112, 3.2.1)."""
    with RawConnection(bus.port, timeout=10) as raw:
        response = raw.request("GET", "http://elsewhere")
        assert response.status == 200
        assert b"<h1>Overview</h1>" in response.body


@pytest.mark.parametrize("target", ["/nowhere", "/events", "/sendMessage?topic=%zz", "/sendMessage?topic=a..b"])
@pytest.mark.parametrize("chunks", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize("copies", [1, 5_000])
def test_the_body_of_a_refused_request_is_no_request(bus: BusServer, target: str, copies: int, *, chunks: bool) -> None:
    """A body full of requests publishes nothing, whether it is read and passed over or ends the connection."""
    body = SMUGGLED * copies
    if chunks:
        data = render_request("POST", target, [("Transfer-Encoding", "chunked")]) + render_chunks([body])
    else:
        data = render_request("POST", target, body=body)
    with RawConnection(bus.port, timeout=10) as raw:
        raw.send(data + render_request("PUT", "/sendMessage"))
        response = raw.read()
        assert_blames(response)
        if response.header("Connection") == "close":
            assert raw.at_end()
        else:
            assert_says(raw.read(), 400, "Error: Only POST accepted")


@pytest.mark.parametrize("head", [[], [("Transfer-Encoding", "chunked")]], ids=["length", "chunks"])
def test_a_body_that_breaks_off_is_no_event(bus: BusServer, head: list[tuple[str, str]]) -> None:
    """An event whose publisher goes away within its body is not published."""
    whole = render_request("POST", "/sendMessage?topic=smuggled", head, None if head else b"x" * 100)
    with RawConnection(bus.port) as raw:
        raw.send(whole + b"64\r\nhalf" if head else whole[:-50])


SIZES_TOO_LARGE = [b"%x" % (MAX_BODY_BYTES + 1), b"FFFFFFFF", b"f" * 64, b"5\r\nhello\r\n%x" % (MAX_BODY_BYTES - 4)]


@pytest.mark.parametrize("size", SIZES_TOO_LARGE, ids=lambda size: size[-20:].decode())
def test_a_chunk_over_the_limit_is_refused_at_once(bus: BusServer, size: bytes) -> None:
    """The size of a chunk is enough to refuse it: the answer comes before any of its bytes have."""
    with RawConnection(bus.port) as raw:
        raw.send(post(b"Transfer-Encoding: chunked", body=size + b"\r\n"))
        assert raw.read().status == 413


def test_an_empty_line_begins_no_request(bus: BusServer) -> None:
    """Some clients send an empty line after a body; their connection is idle, and takes the next request."""
    with socket.create_connection((LOOPBACK, bus.port), 10) as connection:
        connection.sendall(post(b"Content-Length: 2", body=b"{}\r\n"))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        connection.settimeout(2)  # twice as long as a head may take once it has begun
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.sendall(b"\r")
        connection.sendall(b"\n" + line(b"GET /healthz HTTP/1.1"))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
