"""A route with credentials sends them with each request, and keeps them out of what comes back."""

import json
import ssl
import time
from collections.abc import Iterator

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.credentials import NO_CREDENTIALS, GivenCredentials
from eventbus.core.model import Options, Subscriber
from eventbus.core.networks import NetworkRules
from eventbus.delivery.transport import Dialer, Route, SessionTransport
from eventbus.delivery.transport.base import Element
from eventbus.delivery.transport.client_tls import ClientTls
from eventbus.delivery.transport.limits import EXCERPT_BYTES
from tests.support.authority import Authority
from tests.support.events import event
from tests.support.raw_server import Peer, Serve, Talk, always

WALL = 1_795_000_000.75
KEY = "key-0123456789-0123456789"
BEARER, SECRET = f"Bearer {KEY}", "whsec_" + "QUJD" * 8
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BATCH = [Element(b'{"id":"1"}', ("1",))]


@pytest.fixture
def transport(tls: ssl.SSLContext | None, authority: Authority) -> Iterator[SessionTransport]:
    """A transport of a bus that has a secret, and asks for consent."""
    found = SessionTransport(Dialer(NetworkRules()), [b"b" * 24], tls=ClientTls(authority.client), asks_consent=True)
    yield found
    found.close()


def route_to(transport: SessionTransport, address: str, given: GivenCredentials) -> Route:
    """The route to a subscriber that has registered with these."""
    return transport.route(
        Subscriber(parse_address(address), Options(timeout=5)), NO_CREDENTIALS.renewed(given, WALL - 1)
    )


def answers(head: str, body: bytes = b"") -> Talk:
    """Answers every request with this; ``{}`` in it is the request's authorization."""

    def talk(peer: Peer) -> None:
        while (request := peer.request()) is not None:
            sent = request.header("Authorization") or ""
            told = body.replace(b"{}", sent.encode())
            length = f"Content-Length: {len(told)}\r\n\r\n"
            peer.send(head.replace("{}", sent).encode() + length.encode() + told)

    return talk


def test_each_request_is_authorized(serve: Serve, transport: SessionTransport) -> None:
    """One event, several, and the request for consent; each has the header once, and none is repeated elsewhere."""
    with serve(always(OK)) as server:
        route = route_to(transport, server.address, GivenCredentials(BEARER))
        assert route.post(event(), 1, time.monotonic(), WALL).status == 200
        assert route.post_batch(BATCH, 1, time.monotonic(), WALL).status == 200
        route.ask_consent()
    assert [request.method for request in server.received] == ["POST", "POST", "OPTIONS"]
    for request in server.received:
        assert [value for name, value in request.headers if value == BEARER or name == "Authorization"] == [BEARER]
        signed = request.header("Webhook-Signature")
        assert (signed is None) == (request.method == "OPTIONS")


def test_another_subscriber_on_the_same_connection_is_not_authorized_by_it(
    serve: Serve, transport: SessionTransport
) -> None:
    """Connections are shared, what is sent on them is not."""
    with serve(always(OK)) as server:
        for given in (GivenCredentials(BEARER), GivenCredentials()):
            route = route_to(transport, f"{server.address}/{'x' if given.authorization else 'y'}", given)
            assert route.post(event(), 1, time.monotonic(), WALL).status == 200
    assert [request.header("Authorization") for request in server.received] == [BEARER, None]
    assert server.connections == 1


def test_its_own_secret_signs_in_place_of_the_buses(serve: Serve, transport: SessionTransport) -> None:
    """One signature, and not the one that others get."""
    with serve(always(OK)) as server:
        for given in (GivenCredentials(secret=SECRET), GivenCredentials()):
            route = route_to(transport, server.address, given)
            route.post(event(), 1, time.monotonic(), WALL)
            route.post_batch(BATCH, 1, time.monotonic(), WALL)
    own, own_batch, shared, shared_batch = (request.header("Webhook-Signature") or "" for request in server.received)
    assert own != shared
    assert own_batch != shared_batch
    assert " " not in own + own_batch


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("HTTP/1.1 401 {}\r\n", b"who is {}?"),
        ("HTTP/1.1 403 No\r\nWWW-Authenticate: {}\r\n", b'{"headers": {"authorization": "{}"}}'),
        ("HTTP/1.1 500 No\r\n", b"x" * (EXCERPT_BYTES - 20) + b"{}"),
        ("HTTP/1.1 302 {}\r\nLocation: /{}\r\n", b"{}" * 100),
        ("HTTP/9.1 200 {}\r\n", b"{}"),
        ("{} 200 OK\r\n", b""),
        ("HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: xxxxxxxxx{}\r\nWebHook-Allowed-Rate: {}\r\n", b""),
        ("HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: *\r\nWebHook-Allowed-Rate: {}\r\n", b""),
        ("HTTP/1.1 200 OK\r\n", b'{"failed": [{"id": "{}", "reject": "{} is unknown"}]}'),
    ],
)
def test_what_comes_back_has_no_credential(serve: Serve, transport: SessionTransport, head: str, body: bytes) -> None:
    """Wherever a subscriber repeats it: in the status line, a header, or the body, be it cut or not."""
    with serve(answers(head, body)) as server:
        route = route_to(transport, server.address, GivenCredentials(BEARER, SECRET))
        found = [
            route.post(event(), 1, time.monotonic(), WALL),
            route.post_batch(BATCH, 1, time.monotonic(), WALL),
            route.ask_consent(),
        ]
    assert [response for response in found if "key-0123" in repr(response)] == []
    assert len(server.received) >= 3


def test_a_batch_is_still_understood(serve: Serve, transport: SessionTransport) -> None:
    """The body of its answer is JSON without the credential."""
    body = b'{"failed": [{"id": "1", "reject": "{} is unknown"}]}'
    with serve(answers("HTTP/1.1 200 OK\r\n", body)) as server:
        route = route_to(transport, server.address, GivenCredentials(BEARER))
        found = route.post_batch(BATCH, 1, time.monotonic(), WALL)
    assert json.loads(found.body) == {"failed": [{"id": "1", "reject": "Bearer [redacted] is unknown"}]}
