"""Publishing as the publisher sees it: any body is taken, of any size up to the limit."""

import socket

import pytest

from tests.support.answers import TEXT, assert_accepted, assert_too_large
from tests.support.caller import Caller
from tests.support.limits import MAX_BODY_BYTES
from tests.support.raw_client import RawConnection, render_chunks, render_request
from tests.support.server import BusServer

CHUNKED = [("Transfer-Encoding", "chunked")]


@pytest.mark.parametrize("body", [b"", b"{}", b"\x00", bytes(range(256)), b"\r\n\r\n", b"x" * MAX_BODY_BYTES], ids=len)
def test_any_body_is_accepted(caller: Caller, body: bytes) -> None:
    """Any bytes are an event, none at all too, up to the limit itself."""
    assert_accepted(caller.call("POST", "/sendMessage", body=body))


def test_a_request_without_a_body_is_an_empty_event(caller: Caller) -> None:
    """A POST with neither length nor body publishes an empty event."""
    assert_accepted(caller.call("POST", "/sendMessage"))


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "nonsense",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json",
    ],
)
def test_any_content_type_is_accepted(caller: Caller, content_type: str) -> None:
    """The content type is the publisher's business: JSON that does not parse is an event as well."""
    headers = [("Content-Type", content_type)]
    assert_accepted(caller.call("POST", "/sendMessage", headers, b"%zz=1&{"))


def test_a_chunked_body_is_accepted(bus: BusServer) -> None:
    """A body may come in chunks, with no length told."""
    with RawConnection(bus.port) as raw:
        raw.send(render_request("POST", "/sendMessage", CHUNKED) + render_chunks([b"a", b"bc" * 1000, b"d"]))
        assert_accepted(raw.read())
        assert_accepted(raw.request("POST", "/sendMessage", body=b"next"))


def test_a_publisher_that_asks_first_is_told_to_continue(bus: BusServer) -> None:
    """With ``Expect: 100-continue`` the body is asked for, and the event accepted."""
    with RawConnection(bus.port) as raw:
        head = [("Expect", "100-continue"), ("Content-Length", "2")]
        raw.send(render_request("POST", "/sendMessage", head))
        raw.send(b"{}")
        assert_accepted(raw.read())


def test_a_publisher_that_asks_first_is_refused_without_being_asked_for_the_body(bus: BusServer) -> None:
    """With ``Expect: 100-continue`` a body over the limit is refused with 413 at once, and is not asked for."""
    with socket.create_connection(("127.0.0.1", bus.port), timeout=10) as connection:
        head = [("Expect", "100-continue"), ("Content-Length", str(MAX_BODY_BYTES + 1))]
        connection.sendall(render_request("POST", "/sendMessage", head))
        answer = connection.makefile("rb").readline()
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_view_that_reads_no_body_asks_for_none(bus: BusServer) -> None:
    """A body that nobody wants is not asked for, and the connection ends with the answer."""
    with socket.create_connection(("127.0.0.1", bus.port), timeout=10) as connection:
        head = [("Expect", "100-continue"), ("Content-Length", "2")]
        connection.sendall(render_request("POST", "/registerAndKeepAlive?address=", head))
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nConnection: close\r\n" in answer


def test_each_event_has_its_own_id(caller: Caller) -> None:
    """The same body published twice is two events."""
    assert caller.publish(b"same") != caller.publish(b"same")


def test_a_told_length_over_the_limit_is_refused(bus: BusServer) -> None:
    """A body over the limit by its ``Content-Length`` is refused with 413 before any of it is sent."""
    with RawConnection(bus.port) as raw:
        raw.send(render_request("POST", "/sendMessage", [("Content-Length", str(MAX_BODY_BYTES + 1))]))
        assert_too_large(raw.read())


def test_a_whole_body_over_the_limit_is_refused(caller: Caller) -> None:
    """A publisher that sends a body over the limit to its end reads its 413 as well."""
    assert_too_large(caller.call("POST", "/sendMessage", body=b"x" * (MAX_BODY_BYTES + 1)))


@pytest.mark.parametrize("over", [1, MAX_BODY_BYTES])
def test_chunks_over_the_limit_are_refused(bus: BusServer, over: int) -> None:
    """A chunked body is refused with 413 once it is over the limit."""
    chunks = [b"x" * 4_096] * ((MAX_BODY_BYTES + over) // 4_096) + [b"x" * (over % 4_096)] * bool(over % 4_096)
    with RawConnection(bus.port) as raw:
        raw.send(render_request("POST", "/sendMessage", CHUNKED) + render_chunks(chunks))
        assert_too_large(raw.read())


def test_chunks_up_to_the_limit_are_accepted(bus: BusServer) -> None:
    """A chunked body of exactly the limit is accepted."""
    with RawConnection(bus.port) as raw:
        chunks = [b"x" * 4_096] * (MAX_BODY_BYTES // 4_096)
        raw.send(render_request("POST", "/sendMessage", CHUNKED) + render_chunks(chunks))
        assert_accepted(raw.read())


@pytest.mark.parametrize("topic", ["a..b", ".", "orders.*", "orders.%3E", "two%20words", "x" * 257])
def test_an_impossible_topic_is_refused(caller: Caller, topic: str) -> None:
    """A topic that is not words between dots is refused with a sentence, and no event is kept."""
    response = caller.call("POST", f"/sendMessage?topic={topic}", body=b"{}")
    assert (response.status, response.header("Content-Type")) == (400, TEXT)
    assert response.text != ""
    assert response.header("Webhook-Id") is None
