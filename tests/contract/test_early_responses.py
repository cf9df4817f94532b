"""A subscriber may answer before it has read all of a large event; what it answered counts."""

import time
from collections.abc import Callable, Iterator

import gevent
import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.model import Options, Subscriber
from eventbus.core.networks import NetworkRules
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport import Dialer, SessionTransport
from eventbus.delivery.transport.client_tls import ClientTls
from tests.support.authority import Authority
from tests.support.deadline import eventually
from tests.support.events import event
from tests.support.raw_server import Peer, RawServer, Serve, Talk

#: Seconds for one attempt: far more than an answer that counts at once needs.
TIMEOUT = 8.0
#: More bytes than the sockets on both sides hold.
LARGE = b"x" * 16_000_000
CLOSE = b"Connection: close\r\n"

Post = Callable[[RawServer, bytes], DeliveryResponse]


@pytest.fixture
def post(authority: Authority) -> Iterator[Post]:
    """Makes attempts, each at most ``TIMEOUT`` long."""
    transport = SessionTransport(Dialer(NetworkRules()), tls=ClientTls(authority.client))

    def attempt(server: RawServer, body: bytes) -> DeliveryResponse:
        route = transport.route(Subscriber(parse_address(server.address), Options(timeout=TIMEOUT)))
        return route.post(event(body=body), 1, time.monotonic(), 1_795_000_000.0)

    yield attempt
    transport.close()


def early(*parts: bytes, end: Callable[[Peer], None] = lambda _: None) -> Talk:
    """Read a head and nothing of the body, send these one after another, and end."""

    def talk(peer: Peer) -> None:
        peer.read_head()
        for part in parts:
            peer.send(part)
            gevent.sleep(0.02)
        end(peer)

    return talk


def answer(status: int, headers: bytes = b"Content-Length: 0\r\n", body: bytes = b"") -> bytes:
    """An answer in bytes."""
    return b"HTTP/1.1 %d Said\r\n%s\r\n%s" % (status, headers, body)


@pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 410, 413, 429, 500, 503])
@pytest.mark.parametrize("size", [100, 1_000_000, len(LARGE)])
def test_an_answer_counts_though_the_connection_is_reset_after_it(
    serve: Serve, post: Post, status: int, size: int
) -> None:
    """A subscriber that answers once it has read the head, and closes with the body unread, has answered."""
    headers = CLOSE if status == 204 else CLOSE + b"Content-Length: 0\r\n"
    with serve(early(answer(status, headers))) as server:
        assert post(server, LARGE[:size]).status == status
        assert server.connections == 1


@pytest.mark.parametrize("size", [0, 1_000_000])
def test_an_answer_counts_though_a_reset_follows_at_once(serve: Serve, post: Post, size: int) -> None:
    """A subscriber that has read everything, answers, and resets the connection instead of closing it, has answered."""

    def talk(peer: Peer) -> None:
        peer.request()
        peer.send(answer(422, b"Content-Length: 2\r\n", b"no"))
        peer.reset()

    with serve(talk) as server:
        assert [post(server, LARGE[:size]) for _ in range(3)] == [DeliveryResponse(422, excerpt=b"no")] * 3


#: Answers, in the pieces in which they come.
FORMS = {
    "with a length": [answer(413, CLOSE + b"Content-Length: 5\r\n", b"large")],
    "in two pieces": [answer(413, CLOSE + b"Content-Length: 5\r\n", b"la"), b"rge"],
    "byte by byte": [bytes([byte]) for byte in answer(413, b"Content-Length: 5\r\n", b"large")],
    "in chunks": [answer(413, b"Transfer-Encoding: chunked\r\n", b"3\r\nlar\r\n"), b"2\r\nge\r\n0\r\n\r\n"],
    "until the end": [answer(413, CLOSE, b"la"), b"rge"],
    "after a continue": [b"HTTP/1.1 100 Continue\r\n\r\n", answer(413, b"Content-Length: 5\r\n", b"large")],
}


@pytest.mark.parametrize("form", FORMS)
def test_an_early_answer_counts_in_whatever_form_it_comes(serve: Serve, post: Post, form: str) -> None:
    """Status and body of an early answer are read from every form, in whatever pieces it arrives."""
    with serve(early(*FORMS[form])) as server:
        assert post(server, LARGE) == DeliveryResponse(413, excerpt=b"large")


def test_the_status_counts_where_the_end_of_an_early_answer_is_lost(serve: Serve, post: Post) -> None:
    """A refusal whose body is cut by the end of the connection, while the event was being sent, is still a refusal."""
    with serve(early(answer(413, b"Content-Length: 5000\r\n", b"too large"))) as server:
        assert post(server, LARGE) == DeliveryResponse(413, excerpt=b"too large")


@pytest.mark.parametrize("status", [401, 413, 503])
def test_an_early_refusal_ends_the_sending(serve: Serve, post: Post, status: int) -> None:
    """A subscriber that refuses early and keeps the connection open is sent no more, and the connection closed."""
    with serve(early(answer(status), end=Peer.hang)) as server:
        began = time.monotonic()
        assert post(server, LARGE).status == status
        assert time.monotonic() - began < TIMEOUT / 2
        eventually(lambda: server.open == 0, 5, "the connection was still open")


def test_an_early_success_that_goes_on_reading_gets_the_whole_body(serve: Serve, post: Post) -> None:
    """A subscriber that acknowledges first and reads then receives all of the event, and its connection is kept."""
    bodies: list[int] = []

    def talk(peer: Peer) -> None:
        while (length := peer.read_head()) is not None:
            peer.send(answer(202))
            gevent.sleep(0.05)
            bodies.append(len(peer.read(length)))

    with serve(talk) as server:
        assert [post(server, LARGE).status for _ in range(2)] == [202, 202]
        eventually(lambda: bodies == [len(LARGE)] * 2, 5)
        assert server.connections == 1


def test_an_early_success_that_reads_no_more_counts(serve: Serve, post: Post) -> None:
    """A subscriber that acknowledges and then takes nothing more is waited for a moment, and has acknowledged."""
    with serve(early(answer(200), end=lambda _: gevent.sleep(TIMEOUT))) as server:
        began = time.monotonic()
        assert post(server, LARGE).status == 200
        assert time.monotonic() - began < TIMEOUT / 2


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_connection_that_ends_without_an_answer_is_an_error(serve: Serve, post: Post, said: bytes) -> None:
    """A subscriber that closes before it has read everything, and has answered nothing, has not answered."""
    with serve(early(said)) as server:
        reply = post(server, LARGE)
    assert reply.status is None
    assert "closed" in reply.error or "connection failed" in reply.error


def test_what_is_no_answer_ends_the_sending(serve: Serve, post: Post) -> None:
    """A subscriber that sends something else than HTTP while it is sent to gets no more, and has not answered."""
    with serve(early(b"SSH-2.0-OpenSSH_9.6\r\n", end=Peer.hang)) as server:
        assert post(server, LARGE).error.startswith("not an HTTP response")
        eventually(lambda: server.open == 0, 5, "the connection was still open")
