"""The bus behind nginx, as it is deployed: the protocol passes through it unchanged."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.answers import TEXT, assert_accepted, assert_says
from tests.support.caller import Caller
from tests.support.limits import MAX_BODY_BYTES
from tests.support.nginx import Nginx, find_nginx
from tests.support.raw_client import RawConnection, render_chunks, render_request
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber, Subscribe

MIB = 1_048_576
#: nginx answers TRACE by itself; all other methods reach the bus.
WRONG = [
    ("GET", "/registerAndKeepAlive", "POST"),
    ("OPTIONS", "/deregister", "DELETE"),
    ("PUT", "/sendMessage", "POST"),
    ("BREW", "/listSubscribers", "GET"),
]


@pytest.fixture(scope="module")
def binary() -> str:
    """The nginx binary: a machine without it skips, one that builds for others must have it."""
    found = find_nginx()
    if found is None and os.environ.get("CI"):
        pytest.fail("nginx is not installed, and CI is set")
    if found is None:
        pytest.skip("nginx is not installed (Debian: apt-get install nginx)")
    return found


@pytest.fixture(scope="module")
def nginx(binary: str, bus: BusServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """A proxy in front of the shared bus."""
    with Nginx(binary, tmp_path_factory.mktemp("nginx"), bus.port) as server:
        yield server


@pytest.fixture
def front(nginx: Nginx, caller: Caller) -> Caller:
    """Calls the bus through nginx; ``caller`` beside it leaves the bus without subscribers."""
    assert caller.port != nginx.port
    return Caller(nginx.port)


def test_an_event_passes(front: Caller, subscribe: Subscribe) -> None:
    """What is published through nginx arrives, byte for byte."""
    subscriber = subscribe()
    body = bytes(range(256))
    event = front.publish(body, ("ce-type", "a.b"), ("Content-Type", "application/octet-stream"))
    subscriber.wait_for(1)
    (request,) = subscriber.received
    assert (request.id, request.body, request.header("ce-type")) == (event, body, "a.b")
    assert not {name.lower() for name, _ in request.headers} & {"x-forwarded-for", "forwarded", "via"}


def test_registering_and_listing_pass(front: Caller) -> None:
    """Registering, listing and deregistering work through nginx."""
    front.register("127.0.0.1:9/orders", lease=60)
    assert re.fullmatch(r"127\.0\.0\.1:9/orders  :  \S+\n?", front.call("GET", "/listSubscribers").text)
    assert_says(front.call("DELETE", "/deregister?address=127.0.0.1:9/orders"), 200, "success")
    assert_says(front.call("GET", "/listSubscribers"), 200, "")


@pytest.mark.parametrize(("method", "path", "right"), WRONG)
def test_refusals_pass_unchanged(front: Caller, method: str, path: str, right: str) -> None:
    """Status, sentence, type and ``Allow`` of the bus's refusals pass as they are."""
    response = front.call(method, path)
    assert_says(response, 400, f"Error: Only {right} accepted")
    assert response.header("Allow") == right


def test_head_passes(front: Caller) -> None:
    """A HEAD is refused through nginx as without it."""
    assert_says(front.call("HEAD", "/listSubscribers"), 400, "")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("address=%zz", 'Error:invalid URL escape "%zz"'),
        ("address=%2", 'Error:invalid URL escape "%2"'),
        ("address=a;b", "Error:invalid semicolon separator in query"),
        ("address=", "Error:Wrong input address."),
    ],
)
def test_a_broken_query_passes(front: Caller, query: str, text: str) -> None:
    """A query that does not parse reaches the bus as it was written."""
    assert_says(front.call("POST", f"/registerAndKeepAlive?{query}"), 400, text)


@pytest.mark.parametrize("path", ["//sendMessage", "/sendMessage/", "/sendmessage"])
def test_paths_stay_exact(front: Caller, path: str) -> None:
    """No path is mended on the way."""
    assert front.call("POST", path).status == 404


def test_chunks_pass(nginx: Nginx) -> None:
    """A chunked body is taken through nginx."""
    with RawConnection(nginx.port) as connection:
        connection.send(render_request("POST", "/sendMessage", [("Transfer-Encoding", "chunked")]))
        connection.send(render_chunks([b"a" * 1000, b"b"]))
        assert_accepted(connection.read())


def test_the_limit_of_an_event_is_the_bus_s(front: Caller) -> None:
    """Exactly the largest event passes; one byte more is refused by the bus in its own words."""
    assert_accepted(front.call("POST", "/sendMessage", body=b"x" * MAX_BODY_BYTES))
    through = front.call("POST", "/sendMessage", body=b"x" * (MAX_BODY_BYTES + 1))
    assert (through.status, through.header("Content-Type")) == (413, TEXT)
    assert "17 MiB" not in through.text


@pytest.mark.parametrize(("size", "by_nginx"), [(17 * MIB, False), (17 * MIB + 1, True)])
def test_the_limit_of_a_request_is_nginx_s(nginx: Nginx, size: int, *, by_nginx: bool) -> None:
    """A request over 17 MiB ends at nginx with 413 and a sentence; up to that the bus decides."""
    with RawConnection(nginx.port) as connection:
        head = render_request("POST", "/sendMessage", [("Content-Length", str(size))])
        connection.send(head if by_nginx else head + b"x" * size)
        response = connection.read()
    assert (response.status, response.header("Content-Type")) == (413, TEXT)
    assert ("17 MiB" in response.text) is by_nginx


def test_connections_to_the_bus_are_kept(binary: str, tmp_path: Path) -> None:
    """A hundred requests go to the bus over one connection, in HTTP/1.1."""
    with RecordingSubscriber() as upstream, Nginx(binary, tmp_path, upstream.port) as nginx:
        with RawConnection(nginx.port) as connection:
            assert {connection.request("POST", "/sendMessage", body=b"{}").status for _ in range(100)} == {200}
        assert (len(upstream.received), upstream.connections) == (100, 1)
        assert {request.header("Connection") for request in upstream.received} == {None}


def test_claims_of_the_client_end_at_nginx(binary: str, tmp_path: Path) -> None:
    """Forwarding headers that a client sends are replaced, never appended to."""
    claims = [(f"X-Forwarded-{name}", "forged") for name in ("For", "Proto", "Host", "Port", "Prefix")]
    with RecordingSubscriber() as upstream, Nginx(binary, tmp_path, upstream.port) as nginx:
        Caller(nginx.port).call("POST", "/sendMessage", [*claims, ("Forwarded", "for=forged")], b"{}")
        (request,) = upstream.received
        assert "forged" not in str(request.headers)
        assert request.header("X-Forwarded-For") == "127.0.0.1"
        assert request.header("X-Forwarded-Proto") == "http"


STREAM = ("Accept", "text/event-stream")


@pytest.mark.parametrize(
    ("method", "path", "accept", "status"),
    [
        ("GET", "/events", STREAM, 200),
        ("GET", "/events?topic=a.*", ("Accept", "Text/Event-Stream, */*;q=0.1"), 200),
        ("GET", "/events", ("Accept", "application/json"), 502),
        ("POST", "/events", STREAM, 502),
        ("POST", "/sendMessage", STREAM, 502),
        ("GET", "/listSubscribers", STREAM, 502),
    ],
)
def test_an_event_source_comes_back(
    binary: str, tmp_path: Path, method: str, path: str, accept: tuple[str, str], status: int
) -> None:
    """Without a bus who reads a stream is told to come back; nobody else is told of a success."""
    with RecordingSubscriber() as upstream, Nginx(binary, tmp_path, upstream.port) as nginx:
        upstream.down()
        response = Caller(nginx.port).call(method, path, [accept])
        assert response.status == status
        if status == 200:
            assert (response.header("Content-Type"), response.text) == ("text/event-stream", "retry: 2000\n")


def test_a_bus_that_is_away_is_said_so(binary: str, tmp_path: Path) -> None:
    """Without a bus nginx answers 502 with a sentence and when to try again."""
    with RecordingSubscriber() as upstream, Nginx(binary, tmp_path, upstream.port) as nginx:
        upstream.down()
        response = Caller(nginx.port).call("POST", "/sendMessage", body=b"{}")
        assert (response.status, response.header("Content-Type")) == (502, TEXT)
        assert (response.text, response.header("Retry-After")) == ("Error: The bus did not answer.", "1")
