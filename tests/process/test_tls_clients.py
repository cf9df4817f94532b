"""Where gunicorn itself has a certificate, clients by TLS are bounded as plain ones are, from the handshake on."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.support.authority import LOCAL, OPENSSL, Authority
from tests.support.caller import JSON
from tests.support.deadline import eventually
from tests.support.ports import LOOPBACK
from tests.support.raw_client import RawConnection, Response, render_request
from tests.support.server import BusServer

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="the openssl command makes the certificates")

MIB = 1_048_576
#: Connections that there may be, and how many clients come.
LIMIT, CLIENTS = 20, 30
#: The first bytes of a handshake whose rest never comes: a record of 512 bytes with the beginning of a ClientHello.
HALF = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 40


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus by TLS for a few connections, all of which one address may have, and with 3 seconds for what is slow."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    certificate, key = authority.files(*LOCAL)
    environment = {"EVENTBUS_MAX_CONNECTIONS_PER_ADDRESS": str(LIMIT), "EVENTBUS_REQUEST_SECONDS": "3"}
    arguments = ["--worker-connections", str(LIMIT), "--certfile", str(certificate), "--keyfile", str(key)]
    folder = tmp_path_factory.mktemp("bus")
    with BusServer(folder, environment, arguments=arguments, context=authority.client()) as server:
        yield server


def wire_to(bus: BusServer) -> RawConnection:
    """A connection by TLS."""
    return RawConnection(bus.port, context=bus.context)


def call(bus: BusServer, method: str, target: str, body: bytes | None = None) -> Response:
    """Ask for JSON, on a connection by TLS."""
    with wire_to(bus) as raw:
        return raw.request(method, target, [JSON], body)


def connections(bus: BusServer) -> int:
    """How many are open, that which asks included."""
    lines = call(bus, "GET", "/metrics").text.splitlines()
    return next(int(float(line.split()[1])) for line in lines if line.startswith("eventbus_connections "))


def test_requests_and_answers_of_any_size_pass(bus: BusServer) -> None:
    """Events of 1 MiB are accepted and read back whole, one request after another on one connection."""
    with wire_to(bus) as raw:
        ids = [raw.request("POST", "/sendMessage", [JSON], b"%d" % n + b"x" * (MIB - 1)).json()["id"] for n in range(3)]
        events = raw.request("GET", "/events?limit=3", [JSON]).json()["events"]
        assert [event["id"] for event in events] == ids
        assert [len(event["body"]["text"]) for event in events] == [MIB] * 3
        assert raw.request("GET", "/healthz").status == 200


@pytest.mark.parametrize("begun", [b"", HALF], ids=["silent", "half"])
def test_handshakes_that_do_not_end_keep_nobody_out(begun: bytes, bus: BusServer) -> None:
    """A client whose handshake does not go on is idle: it ends for a new one."""
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(socket.create_connection((LOOPBACK, bus.port), timeout=30)).sendall(begun)
        assert call(bus, "POST", "/sendMessage", b"x").status == 200
        assert connections(bus) == LIMIT
    eventually(lambda: connections(bus) == 1, 30)


@pytest.mark.parametrize("begun", [b"", HALF, b"GET /healthz HTTP/1.1\r\n\r\n"], ids=["silent", "half", "plain"])
def test_a_handshake_ends_in_time(begun: bytes, bus: BusServer) -> None:
    """A connection without a handshake is closed by the bus within its time, also when bytes go on dripping."""
    with socket.create_connection((LOOPBACK, bus.port), timeout=0.1) as client:
        client.sendall(begun)
        eventually(lambda: is_closed(client, drip=begun == HALF), 30, "the connection was not closed")
    assert "Traceback" not in bus.log_text()


def is_closed(client: socket.socket, *, drip: bool) -> bool:
    """Whether the bus has closed a connection; with ``drip`` it gets a byte more."""
    try:
        if drip:
            client.sendall(b"x")
        while client.recv(100):
            pass
    except TimeoutError:
        return False
    except (ConnectionResetError, BrokenPipeError):
        return True
    return True


def unread_small(client: socket.socket) -> None:
    """Ask for small answers, more than any buffer holds."""
    asked = memoryview(render_request("GET", "/healthz") * 200_000)
    while asked:
        asked = asked[client.send(asked) :]


def unread_large(client: socket.socket) -> None:
    """Ask for large answers."""
    client.sendall(render_request("GET", "/events?limit=1000") * 20)


@pytest.mark.parametrize("ask", [unread_small, unread_large])
def test_who_does_not_read_is_closed(ask: Callable[[socket.socket], None], bus: BusServer) -> None:
    """A client that reads nothing of its answers is closed, however small they are."""
    for number in range(5):
        call(bus, "POST", "/sendMessage", b"%d" % number + b"x" * (MIB - 1))
    assert bus.context is not None
    with (
        socket.create_connection((LOOPBACK, bus.port)) as plain,
        bus.context.wrap_socket(plain, server_hostname=LOOPBACK) as client,
    ):
        client.settimeout(3)
        with suppress(OSError):  # the bus takes no more, or has closed it
            ask(client)
        eventually(lambda: connections(bus) == 1, 30, "it was not closed")
