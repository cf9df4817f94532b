"""Connections are kept as long as they are known to be good: not over a time-out, and not for ever."""

import ssl
import time
from collections.abc import Iterator

import gevent
import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.model import Options, Subscriber
from eventbus.core.networks import NetworkRules
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport import Dialer, Route, SessionTransport, TransportTiming
from eventbus.delivery.transport.base import Element
from eventbus.delivery.transport.client_tls import ClientTls
from tests.support.authority import Authority
from tests.support.deadline import eventually
from tests.support.events import event
from tests.support.raw_server import Peer, RawServer, Serve, always
from tests.support.resolver import GOOD, Resolver

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#: Seconds for an attempt that shall time out, and for one that shall not.
SHORT, LONG = 0.3, 10.0
#: Another of this machine's addresses.
MOVED = "127.0.0.5"


@pytest.fixture
def names() -> Resolver:
    """The names that there are."""
    return Resolver()


@pytest.fixture
def timing() -> TransportTiming:
    """That of production; tests with a mark of their own have another."""
    return TransportTiming()


@pytest.fixture
def transport(authority: Authority, names: Resolver, timing: TransportTiming) -> Iterator[SessionTransport]:
    """Keeps connections."""
    dialer = Dialer(NetworkRules(), getaddrinfo=names)
    found = SessionTransport(dialer, tls=ClientTls(authority.client), timing=timing)
    yield found
    found.close()


#: Connections retire after a fraction of a second.
short_lives = pytest.mark.parametrize(
    "timing", [TransportTiming(min_connection_age=0.2, max_connection_age=0.3, cleanup_interval=0.0)]
)


def route_to(transport: SessionTransport, address: str, timeout: float = LONG) -> Route:
    """The way to an address."""
    return transport.route(Subscriber(parse_address(address), Options(timeout=timeout)))


def post(route: Route, seq: int = 1) -> DeliveryResponse:
    """Make one attempt."""
    return route.post(event(seq), 1, time.monotonic(), 1_795_000_000.0)


class Failing(RawServer):
    """Answers on all connections until it is ``silent``, from when on those of before are never answered again."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__(self._talk_until_silent, tls=tls)
        self.silent = False
        self.unanswered = 0

    def _talk_until_silent(self, peer: Peer) -> None:
        old = not self.silent
        while peer.request() is not None:
            if old and self.silent:
                self.unanswered += 1
                peer.hang()
                return
            gevent.sleep(0.01)
            peer.send(OK)


def test_a_time_out_gives_up_the_connections_that_are_as_old(
    transport: SessionTransport, tls: ssl.SSLContext | None
) -> None:
    """Where a host went away without a word, one attempt times out, and not one for each kept connection."""
    with Failing(tls) as server:
        route = route_to(transport, server.address, SHORT)
        gevent.joinall([gevent.spawn(post, route) for _ in range(8)], raise_error=True)
        assert server.connections == 8
        server.silent = True
        assert [post(route).status for _ in range(3)] == [None, 200, 200]
        assert server.unanswered == 1
        eventually(lambda: server.open == 1, 5, "the connections of before were still open")


def test_a_time_out_leaves_the_connections_that_worked_meanwhile(serve: Serve, transport: SessionTransport) -> None:
    """One event that times out costs no connection on which others are answered at the same time."""

    def talk(peer: Peer) -> None:
        while (received := peer.request()) is not None:
            if received.id == "id-0":
                peer.hang()
                return
            peer.send(OK)

    with serve(talk) as server:
        route = route_to(transport, server.address, SHORT)
        slow = gevent.spawn(post, route, 0)
        gevent.sleep(0)
        eventually(lambda: slow.ready() or post(route).status != 200, 5)
        assert slow.value.status is None
        assert post(route).status == 200
        assert server.connections == 2


@short_lives
def test_steady_traffic_follows_a_name_that_moves(serve: Serve, transport: SessionTransport, names: Resolver) -> None:
    """A name that leads elsewhere is followed though the connection to where it led works and is never idle."""
    names.knows("moves.example", [GOOD], [MOVED])
    with serve(always(OK)) as before, serve(always(OK), host=MOVED, port=before.port) as after:
        route = route_to(transport, before.address.replace(GOOD, "moves.example"))
        assert post(route).status == 200
        assert (len(before.received), len(after.received)) == (1, 0)
        eventually(lambda: post(route).status != 200 or after.received, 10)
        eventually(lambda: before.open == 0, 5, "the old connection was still open")
        assert len(before.received) > 1


@short_lives
def test_an_attempt_is_not_cut_by_its_connections_age(serve: Serve, transport: SessionTransport) -> None:
    """A connection that gets too old during an attempt is closed after it, and the answer counts."""

    def talk(peer: Peer) -> None:
        while peer.request() is not None:
            gevent.sleep(0.6)
            peer.send(OK)

    with serve(talk) as server:
        route = route_to(transport, server.address)
        assert [post(route).status for _ in range(2)] == [200, 200]
        assert server.connections == 2
        eventually(lambda: server.open == 0, 5, "an old connection was still open")


@short_lives
def test_an_idle_connection_is_closed_when_it_is_old(serve: Serve, transport: SessionTransport) -> None:
    """A connection that nobody needs any more is not held for ever."""
    with serve(always(OK)) as server:
        assert post(route_to(transport, server.address)).status == 200
        eventually(lambda: server.open == 0, 5, "an old connection was still open")


def test_a_kept_connection_that_is_closed_when_the_event_comes_costs_no_attempt(
    serve: Serve, transport: SessionTransport
) -> None:
    """A subscriber whose idle time is just over gets the event once more, on a new connection, within the attempt."""

    def talk(peer: Peer) -> None:
        if peer.request() is not None:
            peer.send(OK)
            peer.request()  # and closes though it has read it

    with serve(talk) as server:
        route = route_to(transport, server.address)
        assert [post(route, number).status for number in range(5)] == [200] * 5
        assert server.connections == 5


def test_equal_responses_mean_the_same_each_time(serve: Serve, transport: SessionTransport) -> None:
    """A response that equals the last one has its body where it is to a batch, and none where it is to an event."""
    body = b'{"failed": [{"id": "1"}]}'
    batch = [Element(b'{"id":"1"}', ("1",))]
    with serve(always(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))) as server:
        route = route_to(transport, server.address)
        for _ in range(3):
            assert route.post_batch(batch, 1, time.monotonic(), time.time()).body == body
            assert post(route).body == b""
    assert server.connections == 1
