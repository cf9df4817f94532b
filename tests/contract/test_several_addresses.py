"""A name may have several addresses, some of which never answer: the others are tried beside them (RFC 8305)."""

import ipaddress
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack

import gevent
import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.model import Options, Subscriber
from eventbus.core.networks import NetworkRules
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport import Dialer, SessionTransport
from eventbus.delivery.transport.happy_eyeballs import MAX_PARALLEL_CONNECTS, connect_first, interleaved
from tests.support.deadline import eventually
from tests.support.events import event
from tests.support.raw_server import RawServer, always
from tests.support.resolver import GOOD, Resolver
from tests.support.silent_subscriber import SilentPort

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#: Addresses of this machine where no connection is answered, and those where nobody listens.
SILENT = [f"127.0.0.{number}" for number in range(11, 17)]
CLOSED = [f"127.0.0.{number}" for number in range(21, 24)]


@pytest.fixture
def names() -> Resolver:
    """The names that there are."""
    return Resolver()


@pytest.fixture
def server() -> Iterator[RawServer]:
    """A subscriber beside whom, on the same port of other addresses, nothing is answered."""
    with RawServer(always(OK)) as listening, ExitStack() as stack:
        for host in SILENT:
            stack.enter_context(SilentPort(host, listening.port))
        yield listening


def post(names: Resolver, address: str, timeout: float) -> DeliveryResponse:
    """Make one attempt on a new connection."""
    transport = SessionTransport(Dialer(NetworkRules(), getaddrinfo=names))
    try:
        route = transport.route(Subscriber(parse_address(address), Options(timeout=timeout)))
        return route.post(event(), 1, time.monotonic(), 1_795_000_000.0)
    finally:
        transport.close()


def open_files() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - as many names as there are, and no paths


@pytest.mark.parametrize(
    "found", [[SILENT[0], GOOD], [*SILENT, GOOD], [*CLOSED, GOOD], [SILENT[0], *CLOSED, SILENT[1], GOOD]]
)
@pytest.mark.parametrize("timeout", [1.0, 10.0])
def test_an_address_that_answers_is_reached_past_those_that_do_not(
    names: Resolver, server: RawServer, found: list[str], timeout: float
) -> None:
    """However many addresses before it swallow connections or refuse them, the good one gets the event in time."""
    names.knows("several.example", found)
    before = open_files()
    assert post(names, f"several.example:{server.port}", timeout) == DeliveryResponse(200)
    eventually(lambda: open_files() <= before, 5, f"more than {before} files were open")


def test_addresses_that_never_answer_cost_the_timeout_and_no_socket(names: Resolver, server: RawServer) -> None:
    """Where no address answers, the attempt ends in time, and everything that was dialled is closed."""
    names.knows("silent.example", SILENT)
    before = open_files()
    assert post(names, f"silent.example:{server.port}", 0.5).error == "timed out"
    eventually(lambda: open_files() <= before, 5, f"more than {before} files were open")


def test_the_last_reason_is_told_where_all_refuse(names: Resolver, server: RawServer) -> None:
    """A name whose addresses all refuse is down at once, and the reason is told."""
    names.knows("closed.example", CLOSED)
    assert "refused" in post(names, f"closed.example:{server.port}", 5).error


def test_addresses_are_tried_by_turns_of_their_kinds() -> None:
    """A name's addresses are dialled in their order, IPv6 and IPv4 by turns, so that a broken kind costs a delay."""
    found = [ipaddress.ip_address(text) for text in ("::1", "::2", "::3", "10.0.0.1", "10.0.0.2")]
    assert [str(ip) for ip in interleaved(found)] == ["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"]
    assert interleaved(found[3:]) == found[3:]


def test_few_addresses_are_dialled_at_once() -> None:
    """Whatever a name server answers, a connection to one subscriber takes a handful of sockets."""
    now = most = 0

    def connect(_: object) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            gevent.sleep(10)
        finally:
            now -= 1

    found = [ipaddress.ip_address(f"10.0.0.{number}") for number in range(1, 100)]
    with gevent.Timeout(0.5, exception=False):
        connect_first(found, connect, 0.5)  # type: ignore[arg-type] # it never returns
    eventually(lambda: now == 0, 5)
    assert most == MAX_PARALLEL_CONNECTS
