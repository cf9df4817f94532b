"""By https an event goes to whoever proves to be the subscriber's host, and to nobody else, whatever is done to TLS."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import gevent
import pytest
import requests
from gevent import monkey
from gevent.event import Event
from gevent.threadpool import ThreadPool

from eventbus.core.addresses import parse_address
from eventbus.core.model import Options, Subscriber
from eventbus.core.networks import NetworkRules
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport import Dialer, SessionTransport
from eventbus.delivery.transport.client_tls import ClientTls
from eventbus.delivery.transport.tls import CHUNK_BYTES, MAX_HANDSHAKE_BYTES, MAX_RECORDS, TlsSocket, handshake
from tests.support.authority import LOCAL, Authority
from tests.support.deadline import eventually
from tests.support.events import event
from tests.support.ports import LOOPBACK
from tests.support.raw_server import Peer, RawServer, Talk, always, once
from tests.support.resolver import Resolver, has_ipv6
from tests.support.tls_peer import TlsPeer, tls_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#: The number of a thread, below gevent's.
thread_of_the_machine = monkey.get_original("_thread", "get_ident")
#: Seconds for an attempt that shall end by itself, and for one that shall not.
LONG, SHORT = 8.0, 0.6
#: One level of names below this one is what a certificate speaks for.
WILD = "DNS:*.wild.example"


@dataclass(slots=True)
class Client:
    """Makes attempts by https."""

    transport: SessionTransport

    def post(self, host: str, port: int, timeout: float = LONG, body: bytes = b"{}") -> DeliveryResponse:
        """Make one attempt."""
        route = self.transport.route(Subscriber(parse_address(f"https://{host}:{port}"), Options(timeout=timeout)))
        return route.post(event(body=body), 1, time.monotonic(), 1_795_000_000.0)


@pytest.fixture
def client(authority: Authority) -> Iterator[Client]:
    """Trusts the tests' authority; all names lead to loopback."""
    names = Resolver()
    for name in ("localhost", "wild.example", "a.wild.example", "a.b.wild.example"):
        names.knows(name, [LOOPBACK])
    transport = SessionTransport(Dialer(NetworkRules(), getaddrinfo=names), tls=ClientTls(authority.client))
    yield Client(transport)
    transport.close()


def serve(context: ssl.SSLContext, **options: Any) -> RawServer:
    """Make a server that answers every request, with this certificate."""
    return RawServer(always(OK), tls=context, **options)


# Who is believed


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (["DNS:localhost"], "localhost"),
        (["DNS:other.example", "DNS:LocalHost"], "localhost"),
        (["IP:127.0.0.1"], LOOPBACK),
        ([WILD], "a.wild.example"),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_for_the_host_is_believed(
    authority: Authority, client: Client, names: list[str], host: str, version: ssl.TLSVersion
) -> None:
    """A name, a wildcard's name and an address that a trusted certificate holds are delivered to, on one connection."""
    context = authority.server(*names)
    context.minimum_version = context.maximum_version = version
    with serve(context) as server:
        assert [client.post(host, server.port) for _ in range(3)] == [DeliveryResponse(200)] * 3
        assert server.connections == 1


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_address_is_believed_by_its_own_name(authority: Authority, client: Client) -> None:
    """A certificate for an IPv6 address is for that one."""
    with serve(authority.server("IP:::1")) as server:
        other = serve(authority.server("IP:::1"), host="::1", port=server.port)
        with other:
            assert client.post("[::1]", server.port) == DeliveryResponse(200)
        assert client.post(LOOPBACK, server.port).status is None


@pytest.mark.parametrize(
    ("names", "host", "why"),
    [
        (["DNS:other.example"], "localhost", "mismatch"),  # its common name is localhost, which nobody looks at
        (["DNS:localhost"], LOOPBACK, "mismatch"),
        (["DNS:127.0.0.1"], LOOPBACK, "mismatch"),  # an address that is written as a name
        (["IP:127.0.0.2"], LOOPBACK, "mismatch"),
        ([WILD], "wild.example", "mismatch"),
        ([WILD], "a.b.wild.example", "mismatch"),
        (["DNS:*"], "localhost", "mismatch"),
    ],
)
def test_a_certificate_for_another_host_is_refused(
    authority: Authority, client: Client, names: list[str], host: str, why: str
) -> None:
    """A trusted certificate for anybody else gets no event, and the reason is told."""
    with serve(authority.server(*names)) as server:
        said = client.post(host, server.port)
        assert said.status is None
        assert said.error.startswith("TLS failed: ")
        assert why in said.error
        assert server.received == []


def test_a_certificate_that_nobody_vouches_for_is_refused(
    authority: Authority, client: Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Expired, self-signed, or signed by an authority that is not trusted: no event is sent there."""
    stranger = Authority(tmp_path_factory.mktemp("stranger"))
    for context, why in (
        (authority.server(*LOCAL, days=0), "expired"),
        (authority.server(*LOCAL, signed=False), "self-signed"),
        (stranger.server(*LOCAL), "unable to get local issuer"),
    ):
        with serve(context) as server:
            said = client.post(LOOPBACK, server.port)
            assert said.error.startswith("TLS failed: "), said
            assert why in said.error.replace("self signed", "self-signed")
            assert server.received == []


def test_the_server_is_told_which_name_is_meant(authority: Authority, client: Client) -> None:
    """A host name is sent along (SNI, RFC 6066), an address is not, since that is no name."""
    told: list[str | None] = []
    context = authority.server(*LOCAL)
    context.sni_callback = lambda _socket, name, _context: told.append(name)
    with serve(context) as server:
        assert client.post("localhost", server.port) == client.post(LOOPBACK, server.port) == DeliveryResponse(200)
    assert told == ["localhost", None]


def test_nobody_can_ask_for_less(authority: Authority, client: Client) -> None:
    """A request through the Session itself is verified as well, whatever it asks for."""
    with serve(authority.server("DNS:other.example")) as server:
        with pytest.raises(requests.ConnectionError, match="mismatch"):
            client.transport.session.post(f"https://{LOOPBACK}:{server.port}/event", verify=False)
        assert server.received == []


def test_a_request_through_the_session_is_answered(authority: Authority, client: Client) -> None:
    """The Session on which the transport is built POSTs by https."""
    with serve(authority.server(*LOCAL)) as server:
        assert client.transport.session.post(f"https://{LOOPBACK}:{server.port}/event", b"{}").status_code == 200
        assert [received.body for received in server.received] == [b"{}"]


# Which connections resume a session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_further_connections_resume_the_session(authority: Authority, client: Client, version: ssl.TLSVersion) -> None:
    """A subscriber that closes each connection proves who it is once; another host has a session of its own."""
    context = authority.server(*LOCAL)
    context.minimum_version = context.maximum_version = version
    with RawServer(once(OK), tls=context) as server:
        assert [client.post("localhost", server.port) for _ in range(4)] == [DeliveryResponse(200)] * 4
        assert (server.connections, context.session_stats()["hits"]) == (4, 3)
        assert client.post(LOOPBACK, server.port) == DeliveryResponse(200)
        assert context.session_stats()["hits"] == 3


def test_a_session_that_is_refused_costs_no_attempt(authority: Authority, client: Client) -> None:
    """A subscriber that has started again knows no session: the handshake is made in full, and the next is resumed."""
    first, second = (authority.server(*LOCAL) for _ in range(2))
    with RawServer(once(OK), tls=first) as server:
        assert [client.post(LOOPBACK, server.port) for _ in range(2)] == [DeliveryResponse(200)] * 2
    with RawServer(once(OK), tls=second, port=server.port) as again:
        assert [client.post(LOOPBACK, again.port) for _ in range(3)] == [DeliveryResponse(200)] * 3
    assert (first.session_stats()["hits"], second.session_stats()["hits"]) == (1, 2)


def test_a_subscriber_without_tickets_is_delivered_to(authority: Authority, client: Client) -> None:
    """Where a subscriber gives no ticket, each handshake is made in full."""
    context = authority.server(*LOCAL)
    context.num_tickets = 0
    with RawServer(once(OK), tls=context) as server:
        assert [client.post(LOOPBACK, server.port) for _ in range(3)] == [DeliveryResponse(200)] * 3
    assert context.session_stats()["hits"] == 0


# What the bus proves


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_subscriber_that_wants_a_certificate_says_so(
    authority: Authority, client: Client, version: ssl.TLSVersion
) -> None:
    """Without a certificate the attempt fails with the subscriber's reason, by TLS 1.3 after the handshake."""
    context = authority.server(*LOCAL)
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    with serve(context) as server:
        said = client.post(LOOPBACK, server.port)
        assert said.status is None
        assert "TLS failed: " in said.error
        assert "certificate required" in said.error or "handshake failure" in said.error
        assert server.received == []


# What is done to TLS


def _pour(data: bytes) -> Talk:
    def talk(peer: Peer) -> None:
        while True:
            peer.send(data)

    return talk


#: What may happen instead of a handshake.
HANDSHAKES: dict[str, Talk] = {
    "closes": lambda peer: None,
    "closes later": lambda peer: bool(peer.below.recv(1)) and None,
    "resets": lambda peer: peer.reset(),
    "plain HTTP": lambda peer: peer.send(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"),
    "speaks first": lambda peer: peer.send(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "zeros": _pour(bytes(10_000)),
    "a refusal": lambda peer: peer.send(b"\x15\x03\x03\x00\x02\x02\x28"),
    "a record that is too long": lambda peer: peer.send(b"\x16\x03\x03\xff\xff" + bytes(70_000)),
    "a handshake without end": _pour(b"\x16\x03\x03\x40\x00" + b"\0\0\0\0" * 4_096),  # hello requests
    "another one": _pour(b"\x16\x03\x03\x40\x00" + b"\x02\xff\xff\xff" + bytes(16_380)),
}


@pytest.mark.parametrize("how", HANDSHAKES)
def test_a_handshake_that_fails_ends_the_attempt(client: Client, how: str) -> None:
    """Whatever is said in place of a handshake, the attempt ends with an error long before its time is over."""
    with RawServer(HANDSHAKES[how]) as server:
        began = time.monotonic()
        said = client.post(LOOPBACK, server.port)
        assert time.monotonic() - began < LONG / 2
        assert said.status is None
        assert said.error.startswith(("TLS failed: ", "connection failed: ")), said
        eventually(lambda: server.open == 0, 5, "the connection was still open")


def test_a_handshake_that_does_not_end_costs_the_timeout(client: Client) -> None:
    """A subscriber that accepts and says nothing, or little, costs no more than the timeout, and no socket."""
    for talk in (Peer.hang, lambda peer: peer.drip(b"\x16\x03\x03\x40\x00" + bytes(10_000), 0.02)):
        with RawServer(talk) as server:
            assert client.post(LOOPBACK, server.port, SHORT).error == "timed out"
            eventually(lambda: server.open == 0, 5, "the connection was still open")


class _Costly:
    """Stands for a handshake whose second step is a long calculation, and its context."""

    def __init__(self) -> None:
        self.calculated_by: list[int] = []

    def wrap_bio(self, *_: object, **__: object) -> "_Costly":
        """See ssl.SSLContext.wrap_bio."""
        return self

    def do_handshake(self) -> None:
        """See ssl.SSLObject.do_handshake."""
        self.calculated_by.append(thread_of_the_machine())
        if len(self.calculated_by) < 3:
            raise ssl.SSLWantReadError
        raise ssl.SSLError(1, "too costly")


def test_a_handshake_is_calculated_beside_the_event_loop() -> None:
    """How much there is to calculate is the other side's choice, so it holds nobody else up."""
    costly, (ours, theirs) = _Costly(), socket.socketpair()
    threads = ThreadPool(1)
    with ours, theirs, pytest.raises(ssl.SSLError, match="too costly"):
        theirs.send(b"x")
        gevent.spawn_later(0.01, theirs.send, b"x")
        handshake(ours, cast(ssl.SSLContext, costly), "localhost", threads)
    first, *others = costly.calculated_by
    assert first == thread_of_the_machine()  # the first message is short, and nobody has said anything yet
    assert len(others) == 2
    assert first not in others
    threads.kill()


@pytest.fixture
def context(authority: Authority) -> ssl.SSLContext:
    """What a server on loopback speaks TLS with."""
    return authority.server(*LOCAL)


def _broken(record: bytes) -> bytes:
    return record[:-1] + bytes([record[-1] ^ 1])


#: What comes back from a request where somebody between the two changes or cuts it.
BROKEN: dict[str, Callable[[TlsPeer], bytes]] = {
    "a changed record": lambda peer: _broken(peer.sealed(OK)),
    "a cut record": lambda peer: peer.sealed(OK)[:-5],
    "the same record twice in one answer": lambda peer: peer.sealed(OK[:10]) * 2,
    "plain HTTP": lambda _: OK,
    "half an answer": lambda peer: peer.sealed(OK[:20]) + peer.goodbye(),
    "a goodbye": lambda peer: peer.goodbye(),
}


@pytest.mark.parametrize("how", BROKEN)
def test_an_answer_that_is_not_whole_is_none(client: Client, context: ssl.SSLContext, how: str) -> None:
    """What was changed or cut on its way is no answer."""

    def talk(peer: TlsPeer) -> None:
        peer.request()
        peer.send(BROKEN[how](peer))

    with tls_server(context, talk) as server:
        assert client.post(LOOPBACK, server.port).status is None
        eventually(lambda: server.open == 0, 5, "the connection was still open")


def test_an_answer_ends_with_the_end_of_tls(client: Client, context: ssl.SSLContext) -> None:
    """An answer without a length ends where TLS ends, though the connection below stays open."""

    def talk(peer: TlsPeer) -> None:
        peer.request()
        peer.send(peer.sealed(b"HTTP/1.1 400 No\r\n\r\nno") + peer.goodbye())
        peer.hang()

    with tls_server(context, talk) as server:
        began = time.monotonic()
        assert client.post(LOOPBACK, server.port) == DeliveryResponse(400, excerpt=b"no")
        assert time.monotonic() - began < LONG / 2


@pytest.mark.parametrize("close", [True, False])
def test_a_goodbye_on_a_kept_connection_costs_no_attempt(client: Client, context: ssl.SSLContext, close: bool) -> None:
    """A subscriber that ends TLS after an answer, or when the next event comes, gets that on a new connection."""

    def talk(peer: TlsPeer) -> None:
        peer.request()
        peer.send(peer.sealed(OK))
        if not close:
            peer.request()
        peer.send(peer.goodbye())
        peer.hang()

    with tls_server(context, talk) as server:
        assert [client.post(LOOPBACK, server.port) for _ in range(4)] == [DeliveryResponse(200)] * 4
        eventually(lambda: server.open <= 1, 5, "old connections were still open")


def test_the_bus_says_goodbye(client: Client, context: ssl.SSLContext) -> None:
    """When the bus closes a connection it says so by TLS too, so that nothing seems to be cut."""
    ends: list[bytes] = []

    def talk(peer: TlsPeer) -> None:
        peer.request()
        peer.send(peer.sealed(OK))
        ends.append(peer.read())

    with tls_server(context, talk) as server:
        assert client.post(LOOPBACK, server.port) == DeliveryResponse(200)
        client.transport.close()
        eventually(lambda: ends == [b""], 5)


def test_a_large_event_is_sent_whole_to_a_slow_reader(client: Client, context: ssl.SSLContext) -> None:
    """What does not fit the sockets is sealed piece by piece, each once, and arrives as it was published."""
    body = bytes(range(256)) * 40_000
    got = bytearray()

    def talk(peer: TlsPeer) -> None:
        while not got.endswith(body[-1_000:]) or len(got) < len(body):
            got.extend(peer.request())
            gevent.sleep(0)
        peer.send(peer.sealed(OK))

    with tls_server(context, talk) as server:
        assert client.post(LOOPBACK, server.port, LONG, body) == DeliveryResponse(200)
    assert got.partition(b"\r\n\r\n")[2] == body


def test_head_and_body_of_a_large_event_come_together(client: Client, context: ssl.SSLContext) -> None:
    """The first send has the head and the beginning of the body, so that nobody waits for the body alone."""
    body, first = bytes(200_000), bytearray()

    def talk(peer: TlsPeer) -> None:
        first.extend(peer.request())
        received = len(first)
        while received < len(body):
            received += len(peer.request())
        peer.send(peer.sealed(OK))

    with tls_server(context, talk) as server:
        assert client.post(LOOPBACK, server.port, LONG, body) == DeliveryResponse(200)
    assert b"\r\n\r\n" in first


def test_records_that_nobody_asked_for_end_an_idle_connection(client: Client, context: ssl.SSLContext) -> None:
    """However many they are; the next event goes on a new connection."""
    answered = Event()

    def talk(peer: TlsPeer) -> None:
        while peer.request():
            peer.send(peer.sealed(OK))
            if not answered.is_set():
                answered.wait(5)
                peer.send(b"".join(peer.sealed(b"x") for _ in range(10 * MAX_RECORDS)))

    with tls_server(context, talk) as server:
        assert client.post(LOOPBACK, server.port) == DeliveryResponse(200)
        answered.set()
        eventually(lambda: server.open == 0, 5, "the connection was still open")
        assert client.post(LOOPBACK, server.port) == DeliveryResponse(200)
        assert server.connections == 2


@pytest.mark.parametrize("together", [True, False])
def test_an_answer_comes_in_so_many_records(client: Client, context: ssl.SSLContext, *, together: bool) -> None:
    """Each record costs as much as a whole answer would; some hundred are enough, also on a kept connection."""
    sizes = iter([MAX_RECORDS - 1, MAX_RECORDS - 1, 100 * MAX_RECORDS])

    def talk(peer: TlsPeer) -> None:
        while peer.request():
            size = next(sizes)
            head = peer.sealed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            records = [head, *(peer.sealed(b"x") for _ in range(size))]
            for part in [b"".join(records)] if together else records:
                peer.send(part)

    with tls_server(context, talk) as server:
        route = client.transport.route(Subscriber(parse_address(f"https://{LOOPBACK}:{server.port}"), Options()))
        said = [route.post(event(), 1, time.monotonic(), 1_795_000_000.0) for _ in range(3)]
        assert said == [DeliveryResponse(200)] * 3  # of the last one the rest is not read
        eventually(lambda: server.open == 0, 5, "the connection was still open")


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 100 Continue\r\nX: "])
def test_a_head_comes_in_so_many_records(client: Client, context: ssl.SSLContext, start: bytes) -> None:
    """More of them are no answer."""

    def talk(peer: TlsPeer) -> None:
        peer.request()
        peer.send(peer.sealed(start) + b"".join(peer.sealed(b"x") for _ in range(10 * MAX_RECORDS)))
        peer.hang()

    with tls_server(context, talk) as server:
        assert client.post(LOOPBACK, server.port).error == f"not an HTTP response: more than {MAX_RECORDS} TLS records"
        eventually(lambda: server.open == 0, 5, "the connection was still open")


class _Endless:
    """Stands for a socket that always has more, and for TLS that makes nothing of it."""

    def recv(self, size: int) -> bytes:
        """Some bytes."""
        return bytes(size)

    def read(self, _: int) -> bytes:
        """Nothing yet."""
        raise ssl.SSLWantReadError


def test_tls_without_data_is_not_read_for_ever() -> None:
    """What TLS says by itself between two pieces of data, such as tickets and new keys, is bounded."""
    endless = _Endless()
    tls = TlsSocket(endless, endless, ssl.MemoryBIO(), ssl.MemoryBIO())  # type: ignore[arg-type] # stand-ins
    for _ in range(MAX_HANDSHAKE_BYTES // CHUNK_BYTES):
        with pytest.raises(BlockingIOError):
            tls.recv(CHUNK_BYTES)
    with pytest.raises(ConnectionAbortedError):
        tls.recv(CHUNK_BYTES)
