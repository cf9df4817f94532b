"""What every transport does, against subscribers that do anything."""

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import gevent
import pytest

from eventbus import __version__
from eventbus.core.addresses import parse_address
from eventbus.core.model import Event, Options, Subscriber
from eventbus.core.networks import NetworkRules
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport import Dialer, Route, SessionTransport, Transport
from eventbus.delivery.transport.client_tls import ClientTls
from eventbus.delivery.transport.limits import EXCERPT_BYTES, MAX_RESPONSE_BYTES
from tests.support.authority import Authority
from tests.support.deadline import eventually
from tests.support.events import event
from tests.support.ports import LOOPBACK, free_port
from tests.support.raw_server import Peer, Serve, Talk, always, once

#: Seconds that an attempt has in these tests, and how much later it may end on a busy machine.
TIMEOUT, LATE = 0.6, 0.5
WALL = 1_795_000_000.75
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BAD = b"HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\nno"


@pytest.fixture
def transport(tls: ssl.SSLContext | None, authority: Authority) -> Iterator[Transport]:
    """The transport, first to servers that speak plain HTTP, then to those that speak TLS."""
    found = SessionTransport(Dialer(NetworkRules()), tls=ClientTls(authority.client))
    yield found
    found.close()


@dataclass(slots=True)
class Post:
    """Attempts at one subscriber; each has to end in time, and raise nothing."""

    route: Route
    timeout: float
    answers: list[DeliveryResponse] = field(default_factory=list)

    def __call__(self, sent: Event | None = None, attempt: int = 1) -> DeliveryResponse:
        """Make one attempt."""
        began = time.monotonic()
        said = self.route.post(sent or event(), attempt, began, WALL)
        took = time.monotonic() - began
        assert took < self.timeout + LATE, f"it took {took:.2f} s: {said}"
        assert len(said.excerpt) <= EXCERPT_BYTES
        assert (said.status is None) == bool(said.error), said
        self.answers.append(said)
        return said


def post_to(transport: Transport, address: str, timeout: float = TIMEOUT) -> Post:
    """What posts to this address."""
    return Post(transport.route(Subscriber(parse_address(address), Options(timeout=timeout))), timeout)


# What is sent


@pytest.mark.parametrize("body", [b"", b"{}", b"\r\n\r\n\x00\xff", bytes(range(256)) * 4_096])
def test_the_body_is_sent_byte_for_byte(serve: Serve, transport: Transport, body: bytes) -> None:
    """A subscriber receives the body as it was published, whatever is in it and however large."""
    with serve(always(OK)) as server:
        assert post_to(transport, server.address, 5)(event(body=body)) == DeliveryResponse(200)
    (received,) = server.received
    assert received.body == body
    assert received.header("Content-Length") == str(len(body))


def test_an_event_is_posted_with_its_headers(serve: Serve, transport: Transport) -> None:
    """An event is a POST to the address's path with /event, the headers kept from its publisher, and the bus's own."""
    head = "Content-Type: text/plain\r\nce-subject: ünïcode \t x\r\n".encode("latin-1")
    with serve(always(OK)) as server:
        post_to(transport, f"{server.address}/orders")(event(7, topic="a.b", head=head), attempt=3)
    (received,) = server.received
    assert (received.method, received.path) == ("POST", "/orders/event")
    assert {name.lower(): value for name, value in received.headers if name.lower() != "connection"} == {
        "host": server.authority,
        "user-agent": f"eventbus/{__version__}",
        "accept-encoding": "identity",
        "content-length": "2",
        "content-type": "text/plain",
        "ce-subject": "ünïcode \t x",
        "webhook-id": "id-7",
        "webhook-timestamp": "1795000000",
        "eventbus-topic": "a.b",
        "eventbus-attempt": "3",
    }


def test_an_event_without_a_topic_has_no_topic_header(serve: Serve, transport: Transport) -> None:
    """An event without a topic and without kept headers is sent without them."""
    with serve(always(OK)) as server:
        post_to(transport, server.address)()
    (received,) = server.received
    assert received.path == "/event"
    assert received.header("Eventbus-Topic") is received.header("Content-Type") is None


def test_no_header_is_sent_twice(serve: Serve, transport: Transport) -> None:
    """Each header stands once in a request."""
    with serve(always(OK)) as server:
        post_to(transport, server.address)(event(topic="a", head=b"Content-Type: a/b\r\n"))
    names = [name.lower() for name, _ in server.received[0].headers]
    assert sorted(names) == sorted(set(names))


def test_what_a_subscriber_sets_is_not_sent_back(serve: Serve, transport: Transport) -> None:
    """A cookie that a subscriber sets, or a login that it asks for, changes nothing in the next request."""
    with serve(
        always(b"HTTP/1.1 401 No\r\nSet-Cookie: a=b; Path=/\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
    ) as server:
        post = post_to(transport, server.address)
        post()
        post()
    first, second = server.received
    assert first.headers == second.headers
    assert second.header("Cookie") is second.header("Authorization") is None


def test_the_environment_changes_no_request(
    serve: Serve, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy or a netrc file that the process is told of is not used for deliveries."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{LOOPBACK}:{free_port()}")
    with serve(always(OK)) as server:
        assert post_to(transport, server.address)().status == 200


# What comes back

#: Answers that are sound, and the body that each has.
SOUND = {
    "length": (b"HTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "no reason": (b"HTTP/1.1 500\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "empty": (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", b""),
    "any case": (b"HTTP/1.1 500 Oh\r\ncONTENT-lENGTH:5   \r\n\r\nhello", b"hello"),
    "chunked": (b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello"),
    "chunked with extensions and trailers": (
        b'HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b;c="d"\r\nhello\r\n0;z\r\nRetry-After: 9\r\n\r\n',
        b"hello",
    ),
    "close": (b"HTTP/1.1 500 Oh\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "no length": (b"HTTP/1.1 500 Oh\r\n\r\nhello", b"hello"),
    "HTTP/1.0": (b"HTTP/1.0 500 Oh\r\n\r\nhello", b"hello"),
    "HTTP/1.0 with length": (b"HTTP/1.0 500 Oh\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "continue first": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
}
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nRetry-After: 7\r\n\r\n"


@pytest.mark.parametrize("form", SOUND)
@pytest.mark.parametrize("pieces", ["whole", "byte by byte", "head apart"])
def test_an_answer_is_read_in_whatever_form_it_comes(
    serve: Serve, transport: Transport, form: str, pieces: str
) -> None:
    """Status and body are read from every form of an answer, in whatever pieces it arrives."""
    data, body = SOUND[form]

    def talk(peer: Peer) -> None:
        peer.request()
        if pieces == "byte by byte":
            peer.drip(data)
        elif pieces == "head apart":
            head, end, rest = data.partition(b"\r\n\r\n")
            peer.send(head + end)
            gevent.sleep(0.02)
            peer.send(rest)
        else:
            peer.send(data)

    with serve(talk) as server:
        assert post_to(transport, server.address, 5)() == DeliveryResponse(500, excerpt=body)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299, 301, 304, 400, 404, 410, 418, 429, 499, 500, 503, 599])
def test_the_status_is_told(serve: Serve, transport: Transport, status: int) -> None:
    """Whatever status a subscriber answers with is told as it is."""
    length = b"" if status in (204, 304) else b"Content-Length: 0\r\n"
    with serve(always(b"HTTP/1.1 %d Said\r\n%s\r\n" % (status, length))) as server:
        post = post_to(transport, server.address)
        assert [post().status for _ in range(3)] == [status] * 3
    assert server.connections == 1


def test_retry_after_is_told(serve: Serve, transport: Transport) -> None:
    """What Retry-After says is told as it came."""
    date = "Tue, 24 Nov 2026 06:00:30 GMT"
    data = b"HTTP/1.1 503 No\r\nretry-after:  %s \r\nContent-Length: 0\r\n\r\n" % date.encode()
    with serve(always(data)) as server:
        said = post_to(transport, server.address)()
    assert (said.status, (said.retry_after or "").strip()) == (503, date)


def test_hints_before_an_answer_are_passed_over(serve: Serve, transport: Transport) -> None:
    """Answers of status 1xx, several and with headers, are passed over for the final one."""
    with serve(always(HINTS + HINTS + b"HTTP/1.1 102 Wait\r\n\r\n" + BAD)) as server:
        post = post_to(transport, server.address)
        assert post() == post() == DeliveryResponse(400, excerpt=b"no")
    assert server.connections == 1


def test_a_long_body_is_told_in_part(serve: Serve, transport: Transport) -> None:
    """Of an answer's body the first KiB is kept."""
    with serve(always(b"HTTP/1.1 500 Oh\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5_000)) as server:
        assert post_to(transport, server.address)() == DeliveryResponse(500, excerpt=b"x" * 1_024)


@pytest.mark.parametrize("status", [200, 400])
def test_a_body_of_any_length_does_not_change_what_the_status_means(
    serve: Serve, transport: Transport, status: int
) -> None:
    """An answer with a megabyte of body is still the answer that its status says."""
    size = 16 * MAX_RESPONSE_BYTES
    data = b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n" % (status, size) + b"x" * size
    with serve(always(data)) as server:
        post = post_to(transport, server.address, 5)
        assert [post().status for _ in range(2)] == [status] * 2


def test_a_redirect_is_not_followed(serve: Serve, transport: Transport) -> None:
    """A redirect is an answer like any other, and leads nowhere."""
    with serve(always(OK)) as target:
        data = b"HTTP/1.1 302 Found\r\nLocation: http://%s/\r\nContent-Length: 0\r\n\r\n" % target.authority.encode()
        with serve(always(data)) as server:
            assert post_to(transport, server.address)().status == 302
        assert len(server.received) == 1
    assert target.connections == 0


@pytest.mark.parametrize("location", [b"http://[::1", b"//", b"http://a b/", b"\xff\xfe", b"http://h:99999/", b""])
def test_a_malformed_location_changes_nothing(serve: Serve, transport: Transport, location: bytes) -> None:
    """Whatever Location holds, a redirect is told by its status."""
    with serve(always(b"HTTP/1.1 307 Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % location)) as server:
        assert post_to(transport, server.address)().status == 307


# Connections


def test_a_connection_is_used_again(serve: Serve, transport: Transport) -> None:
    """Attempts one after the other share a connection."""
    with serve(always(OK)) as server:
        post = post_to(transport, server.address)
        assert [post().status for _ in range(10)] == [200] * 10
    assert (server.connections, len(server.received)) == (1, 10)


def test_attempts_at_once_get_each_its_own_answer(serve: Serve, transport: Transport) -> None:
    """Attempts that are made at the same time do not get each other's answers."""

    def talk(peer: Peer) -> None:
        while (received := peer.request()) is not None:
            gevent.sleep(0.001 * (hash(received.id) % 10))
            peer.send(b"HTTP/1.1 500 Oh\r\nContent-Length: %d\r\n\r\n%s" % (len(received.id), received.id.encode()))

    with serve(talk) as server:
        post = post_to(transport, server.address, 10)
        attempts = [gevent.spawn(post, event(seq)) for seq in range(100)]
        answers = [attempt.get() for attempt in attempts]
    assert [said.excerpt.decode() for said in answers] == [f"id-{seq}" for seq in range(100)]


#: Answers after which a connection is of no use.
LAST = {
    "close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("form", LAST)
def test_a_connection_that_was_to_end_is_not_used_again(serve: Serve, transport: Transport, form: str) -> None:
    """When an answer says that its connection ends, the next attempt is made on a new one."""
    with serve(always(LAST[form])) as server:
        post = post_to(transport, server.address)
        assert [post().status for _ in range(3)] == [200] * 3
    assert server.connections == 3


@pytest.mark.parametrize("extra", [b"x", b"\x00", BAD, b"\r\n\r\n0\r\n"])
@pytest.mark.parametrize("when", ["together", "later"])
def test_what_comes_after_an_answer_is_no_answer(serve: Serve, transport: Transport, extra: bytes, when: str) -> None:
    """Bytes after an answer are nobody's: the connection is not used again, and the next answer is the right one."""

    def talk(peer: Peer) -> None:
        peer.request()
        peer.send(OK + extra if when == "together" else OK)
        if when == "later":
            gevent.sleep(0.01)
            peer.send(extra)
        while peer.request() is not None:
            peer.send(OK)

    with serve(talk) as server:
        post = post_to(transport, server.address)
        assert post().status == 200
        gevent.sleep(0.05)
        assert post().status == 200
    assert server.connections == 2


def test_a_kept_connection_that_was_closed_is_not_used(serve: Serve, transport: Transport) -> None:
    """When a subscriber has closed a connection that was kept, the next attempt is made on a new one."""
    with serve(once(OK)) as server:
        post = post_to(transport, server.address)
        for _ in range(3):
            assert post().status == 200
            eventually(lambda: server.open == 0, 5)
            gevent.sleep(0.01)
    assert server.connections == 3


def test_a_subscriber_that_closes_after_each_answer_without_saying_so_is_not_down(
    serve: Serve, transport: Transport
) -> None:
    """Attempts right after one another succeed though the subscriber closes each connection without a word."""
    with serve(once(OK)) as server:
        post = post_to(transport, server.address)
        answers = [post() for _ in range(20)]
    assert [said for said in answers if said.status != 200] == []


def test_a_late_answer_is_not_the_next_ones(serve: Serve, transport: Transport) -> None:
    """An answer that came too late for its own attempt is not taken for the next one's."""

    def talk(peer: Peer) -> None:
        peer.request()
        if server.connections == 1:
            gevent.sleep(TIMEOUT + 0.2)
            peer.send(BAD)
            peer.request()
        peer.send(OK)

    with serve(talk) as server:
        post = post_to(transport, server.address)
        assert post().status is None
        gevent.sleep(0.3)
        assert post().status == 200


def open_files() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - as many names as there are, and no paths


def test_attempts_that_fail_leave_no_socket_open(serve: Serve, transport: Transport) -> None:
    """However many attempts fail, no socket stays open."""
    ends = [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", b"nonsense\r\n\r\n", LAST["close"]]

    def talk(peer: Peer) -> None:
        once(ends[server.connections % len(ends)])(peer)

    with serve(talk) as server:
        post = post_to(transport, server.address)
        post()
        before = open_files()
        for _ in range(40):
            post()
        eventually(lambda: open_files() <= before + 1, 5, f"more than {before} were open")


# What is no answer

#: What a subscriber may send before it closes that is no answer.
BROKEN = {
    "nothing": b"",
    "a part of the first line": b"HTTP/1.1 2",
    "a part of the body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "a part of a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "a part of the last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    "only a continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a continue and a part": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 20",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
    "HTML": b"<html>hello</html>\r\n\r\n",
    "zeros": b"\x00" * 300,
    "no number": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
}
#: As above; some parsers take these for answers.
BROKEN_TO_STRICT = {
    "the first line": b"HTTP/1.1 200 OK\r\n",
    "a part of the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nhello",
    "a length below zero": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "length and chunked": b"HTTP/1.1 200\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "a chunk size that is no number": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "a header without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 0\r\n\r\n",
    "a switch of protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
}


@pytest.mark.parametrize("form", BROKEN)
@pytest.mark.parametrize("how", ["closed", "reset"])
def test_what_is_cut_short_is_no_answer(serve: Serve, transport: Transport, form: str, how: str) -> None:
    """An answer that ends before its end, or something else than HTTP, is told as an error and never raised."""

    def talk(peer: Peer) -> None:
        peer.request()
        peer.send(BROKEN[form])
        if how == "reset":
            gevent.sleep(0.02)
            peer.reset()

    with serve(talk) as server:
        post = post_to(transport, server.address)
        assert post().status is None
        assert post().status is None


@pytest.mark.parametrize("form", BROKEN_TO_STRICT)
def test_what_could_be_read_in_two_ways_is_no_answer(serve: Serve, transport: Transport, form: str) -> None:
    """An answer whose end is not beyond doubt is none."""
    with serve(once(BROKEN_TO_STRICT[form])) as server:
        post = post_to(transport, server.address)
        assert post().status is None
        assert post().status is None


def test_a_reset_before_the_request_was_read_is_told(serve: Serve, transport: Transport) -> None:
    """A subscriber that resets each connection at once is told as an error."""
    with serve(lambda peer: peer.reset()) as server:
        post = post_to(transport, server.address)
        assert post().status is None
        assert post(event(body=b"x" * 4_000_000)).status is None


def test_a_port_where_nobody_listens_is_told(transport: Transport) -> None:
    """A refused connection is told in words."""
    said = post_to(transport, f"{LOOPBACK}:{free_port()}")()
    assert (said.status, "refused" in said.error.lower()) == (None, True)


def test_a_host_that_cannot_be_found_is_told(transport: Transport) -> None:
    """A host name that nobody knows is told as an error, in time."""
    assert post_to(transport, "nobody.invalid:8000", 2)().status is None


# What does not end


def forever(say: Callable[[], bytes], pause: float = 0.0) -> Talk:
    """Read a request, and then say this again and again."""

    def talk(peer: Peer) -> None:
        peer.request()
        while True:
            peer.send(say())
            gevent.sleep(pause)

    return talk


def after(head: bytes, then: Talk) -> Talk:
    """Read a request, send this, and go on."""

    def talk(peer: Peer) -> None:
        peer.request()
        peer.send(head)
        then(peer)

    return talk


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
#: Subscribers that would keep an attempt for as long as they are let.
ENDLESS: dict[str, Talk] = {
    "reads nothing": lambda _: gevent.sleep(TIMEOUT + LATE),
    "hangs before the head": Peer.hang,
    "hangs in the first line": after(b"HTTP/1.1 20", Peer.hang),
    "hangs in the head": after(b"HTTP/1.1 200 OK\r\nContent-", Peer.hang),
    "hangs after a continue": after(b"HTTP/1.1 100 Continue\r\n\r\n", Peer.hang),
    "drips the head": lambda peer: (peer.request(), peer.drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 500, 0.03))[1],
    "continues forever": forever(lambda: b"HTTP/1.1 100 Continue\r\n\r\n"),
    "continues slowly": forever(lambda: b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
    "headers forever": after(b"HTTP/1.1 200 OK\r\n", lambda peer: _pour(peer, b"X-Y: " + b"z" * 90 + b"\r\n")),
    "one header forever": after(b"HTTP/1.1 200 OK\r\nX: ", lambda peer: _pour(peer, b"z" * 1_000)),
    "a first line forever": after(b"HTTP/1.1 200 ", lambda peer: _pour(peer, b"z" * 1_000)),
    "empty lines forever": after(b"", lambda peer: _pour(peer, b"\r\n" * 50)),
}
#: As above, but the head has come, which tells the status.
ENDLESS_BODIES: dict[str, Talk] = {
    "hangs in the body": after(LONG + b"hello", Peer.hang),
    "hangs in a chunk": after(CHUNKED + b"ffff\r\nhello", Peer.hang),
    "hangs without a length": after(b"HTTP/1.1 200 OK\r\n\r\nhello", Peer.hang),
    "drips the body": after(LONG, lambda peer: peer.drip(b"x" * 500, 0.03)),
    "drips a body without a length": after(b"HTTP/1.1 200 OK\r\n\r\n", lambda peer: peer.drip(b"x" * 500, 0.03)),
    "trailers forever": after(CHUNKED + b"0\r\n", lambda peer: _pour(peer, b"X-Y: z\r\n")),
    "a chunk size forever": after(CHUNKED, lambda peer: _pour(peer, b"0" * 100)),
    "a chunk extension forever": after(CHUNKED + b"5;", lambda peer: _pour(peer, b"x" * 100)),
    "a body forever": after(b"HTTP/1.1 400 No\r\n\r\n", lambda peer: _pour(peer, b"x" * 10_000)),
    "a huge body": after(
        b"HTTP/1.1 400 No\r\nContent-Length: 99999999999\r\n\r\n", lambda peer: _pour(peer, b"x" * 10_000)
    ),
    "chunks forever": after(
        b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n", lambda peer: _pour(peer, b"5\r\nhello\r\n" * 100)
    ),
    "a redirect's body forever": after(
        b"HTTP/1.1 302 Go\r\nLocation: /\r\n\r\n", lambda peer: _pour(peer, b"x" * 10_000)
    ),
}


def _pour(peer: Peer, data: bytes) -> None:
    """Send this until the bus has had enough."""
    while True:
        peer.send(data)
        gevent.sleep(0)


@pytest.mark.parametrize("how", ENDLESS)
def test_an_attempt_ends_when_its_time_is_over(serve: Serve, transport: Transport, how: str) -> None:
    """Whatever a subscriber does so as not to end, the attempt ends within its timeout with an error."""
    with serve(ENDLESS[how]) as server:
        assert post_to(transport, server.address)().status is None
        eventually(lambda: server.open == 0, 5, "the connection was still open")


@pytest.mark.parametrize("how", ENDLESS_BODIES)
def test_a_body_that_does_not_end_is_not_waited_for(serve: Serve, transport: Transport, how: str) -> None:
    """The status counts though the body has no end: the attempt ends in time, and its connection is closed."""
    with serve(ENDLESS_BODIES[how]) as server:
        assert post_to(transport, server.address)().status in (200, 302, 400)
        eventually(lambda: server.open == 0, 5, "the connection was still open")


def test_the_rest_of_an_answer_is_awaited_for_a_moment_only(serve: Serve, transport: Transport) -> None:
    """A body that does not end costs a second, however long an attempt may take, and the head's status counts."""
    with serve(after(b"HTTP/1.1 204 OK\r\n\r\n" + LONG + b"hello", Peer.hang)) as server:
        assert post_to(transport, server.address, 30)().status == 204
    with serve(after(LONG + b"hello", Peer.hang)) as server:
        began = time.monotonic()
        assert post_to(transport, server.address, 30)().status == 200
        assert time.monotonic() - began < 15


def test_a_body_that_is_not_taken_ends_in_time(serve: Serve, transport: Transport) -> None:
    """A subscriber that does not read a large event costs no more than the timeout."""
    with serve(lambda _: gevent.sleep(TIMEOUT + LATE)) as server:
        assert post_to(transport, server.address)(event(body=b"x" * 8_000_000)).status is None


def test_a_subscriber_that_accepts_no_connection_ends_in_time(transport: Transport) -> None:
    """A subscriber whose queue of connections is full costs no more than the timeout."""
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:
            connection.settimeout(0)
            connection.connect_ex((LOOPBACK, port))
        assert post_to(transport, f"{LOOPBACK}:{port}")().status is None
        for connection in waiting:
            connection.close()


def resident_bytes() -> int:
    """Memory that this process holds in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_flood_takes_next_to_no_memory(serve: Serve, transport: Transport) -> None:
    """Twenty subscribers that send headers or bodies as fast as they can do not make the bus large."""
    before = resident_bytes()
    for how in ("headers forever", "one header forever", "continues forever"):
        with serve(ENDLESS[how]) as server:
            post = post_to(transport, server.address)
            gevent.joinall([gevent.spawn(post) for _ in range(20)], raise_error=True)
    assert resident_bytes() - before < 30_000_000


def test_the_hub_goes_on_while_attempts_wait(serve: Serve, transport: Transport) -> None:
    """While attempts wait for subscribers that hang, other greenlets run."""
    with serve(ENDLESS["hangs before the head"]) as server:
        post = post_to(transport, server.address)
        attempts = [gevent.spawn(post) for _ in range(20)]
        longest, last = 0.0, time.monotonic()
        while not all(attempt.ready() for attempt in attempts):
            gevent.sleep(0.005)
            now = time.monotonic()
            longest, last = max(longest, now - last), now
        gevent.joinall(attempts, raise_error=True)
    assert longest < 0.25
