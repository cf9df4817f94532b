"""Clients that hold connections keep nobody out: idle ones end first, and what lasts never takes all."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.ports import LOOPBACK
from tests.support.raw_client import RawConnection, render_request
from tests.support.server import BusServer

#: Connections that there may be, those of them that may last, and how many clients come.
LIMIT, LASTING, CLIENTS = 20, 15, 30

#: A request whose body is awaited, so that its connection is busy.
AWAITED = b"POST /sendMessage HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus for a few connections, all of which one address may have."""
    environment = {"EVENTBUS_MAX_CONNECTIONS_PER_ADDRESS": str(LIMIT)}
    with BusServer(
        tmp_path_factory.mktemp("bus"), environment, arguments=["--worker-connections", str(LIMIT)]
    ) as server:
        yield server


def figures(server: BusServer) -> dict[str, float]:
    """What the metrics tell of connections, and of what was refused."""
    lines = Caller(server.port).call("GET", "/metrics").text.splitlines()
    names = ("eventbus_connections", "eventbus_requests_refused")
    return {line.split()[0]: float(line.split()[1]) for line in lines if line.startswith(names)}


def warnings(server: BusServer) -> int:
    """How many lines of the log tell of a shortage."""
    return server.log_text().count(" connections are open")


def silent(_: RawConnection) -> None:
    """Say nothing."""


def kept(connection: RawConnection) -> None:
    """Ask once, and stay."""
    assert connection.request("GET", "/healthz").status == 200


def half(connection: RawConnection) -> None:
    """Begin a request, and stay."""
    connection.send(b"POST /sendMessage HTTP/1.1\r\nHost:")


@pytest.mark.parametrize("hold", [silent, kept, half])
def test_idle_connections_end_for_new_ones(hold: Callable[[RawConnection], None], small: BusServer) -> None:
    """However they are idle, a publisher gets in at once; the shortage is logged, once in a while, and counted."""
    before = figures(small)["eventbus_connections_closed_idle_total"]
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            hold(stack.enter_context(RawConnection(small.port)))
        assert Caller(small.port).publish()
        now = figures(small)
        assert now["eventbus_connections"] == now["eventbus_connections_limit"] == LIMIT
        assert now["eventbus_connections_closed_idle_total"] - before >= CLIENTS - LIMIT
    assert warnings(small) == 1
    eventually(lambda: figures(small)["eventbus_connections"] == 1, 30)


@pytest.mark.parametrize("headers", [[("Accept", "text/event-stream")], []], ids=["streams", "long polls"])
def test_what_lasts_leaves_room(headers: list[tuple[str, str]], small: BusServer) -> None:
    """Streams and long polls beyond their share are sent away, and a publisher gets in."""
    target = "/events" if headers else "/events?wait=60&after=now"
    with ExitStack() as stack:
        wires = [stack.enter_context(RawConnection(small.port)) for _ in range(LASTING + 2)]
        for connection in wires[:LASTING]:
            connection.send(render_request("GET", target, headers))
        eventually(lambda: figures(small)["eventbus_connections_lasting"] == LASTING, 30)
        refused = 'eventbus_requests_refused_total{reason="connections"}'
        before = figures(small).get(refused, 0)
        for connection in wires[LASTING:]:
            answer = connection.request("GET", target, headers)
            assert (answer.status, answer.body[:6]) == ((200, b"retry:") if headers else (503, b"Error:"))
        assert figures(small)[refused] == before + 2
        assert Caller(small.port).publish()  # which wakes them: the streams go on
    eventually(lambda: Caller(small.port).publish() and figures(small)["eventbus_connections_lasting"] == 0, 30)


def test_a_bus_that_is_busy_says_so(small: BusServer) -> None:
    """Where no connection is idle a new one is answered 503, and how the bus is can still be asked."""
    eventually(lambda: figures(small)["eventbus_connections"] == 1, 30)
    with ExitStack() as stack:
        wires = [stack.enter_context(RawConnection(small.port)) for _ in range(LIMIT)]
        for connection in wires:
            connection.send(AWAITED)
            assert connection.read_interim() == 100  # it waits for the body, and so is busy
        caller = Caller(small.port)
        assert caller.call("POST", "/sendMessage", body=b"x").status == 503
        assert [caller.call("GET", path).status for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3
        for connection in wires:
            connection.send(b"xy")
            assert connection.read().status == 200
        assert caller.publish()


def test_one_address_never_takes_all(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where one address holds as many busy connections as it may, others are served, and it is not."""
    arguments = ["--worker-connections", str(LIMIT)]
    with BusServer(tmp_path_factory.mktemp("bus"), arguments=arguments) as server, ExitStack() as stack:
        statuses = []
        for _ in range(CLIENTS):
            client = stack.enter_context(client_from("127.0.0.2", server.port))
            client.sendall(AWAITED)
            statuses.append(status_of(client))
        assert statuses.count(b"100") == LIMIT * 3 // 4
        assert Caller(server.port).publish()
        assert server.log_text().count("15 connections are open from ::ffff:127.0.0.2") == 1


def client_from(address: str, port: int) -> socket.socket:
    """A connection from this address of the machine."""
    return socket.create_connection((LOOPBACK, port), timeout=30, source_address=(address, 0))


def status_of(client: socket.socket) -> bytes:
    """The status that a client is answered; none where its connection is closed."""
    try:
        return client.recv(100)[9:12]
    except ConnectionResetError:
        return b""
