"""Short of files, of ports and of name servers: who is served already stays so, and all recovers by itself."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest

from tests.support.accounts import account, settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.kept_caller import KeptCaller, kept_caller
from tests.support.own_network import narrow_ports, own_network, why_not
from tests.support.ports import LOOPBACK, free_port
from tests.support.raw_client import RawConnection
from tests.support.server import COMMAND, BusServer
from tests.support.silent_name_server import command_with_name_server, silent_name_server
from tests.support.subscriber import Answer, Received, RecordingSubscriber, accept

#: Files that the worker may have open at once, and as many subscribers and clients as need more.
FILES, CROWD = 64, 70
#: The ports that connections may leave from.
FIRST_PORT, PORTS = 40_000, 6
#: Subscribers whose names nobody knows: not as many as lookups may be under way at once.
UNKNOWN = 50
#: Seconds within which a publish is answered, whatever happens to subscribers, and until a shortage is over for all.
PROMPT, RECOVERED = 1.0, 30.0

needs_network = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


def publish(caller: Caller, count: int) -> list[str]:
    """Publish so many events, each of which is answered promptly; their ids."""
    ids = []
    for number in range(count):
        with gevent.Timeout(PROMPT, AssertionError(f"publish {number} was not answered within {PROMPT:g} s")):
            ids.append(caller.publish(b"%d" % number))
    return ids


def limit_files(bus: BusServer, files: int | None) -> None:
    """Let the worker open no more than so many files at once; None is as many as ever."""
    _, most = resource.prlimit(bus.worker_pid, resource.RLIMIT_NOFILE)
    resource.prlimit(bus.worker_pid, resource.RLIMIT_NOFILE, (files or most, most))


def crowd_of(stack: ExitStack, caller: Caller) -> list[RecordingSubscriber]:
    """Subscribers that keep their connections."""
    crowd = [stack.enter_context(RecordingSubscriber()) for _ in range(CROWD)]
    for subscriber in crowd:
        caller.register(subscriber.address, max_in_flight=1)
    return crowd


def come(stack: ExitStack, port: int) -> list[RawConnection]:
    """Clients that connect, whether or not the bus takes them, and ask for something."""
    clients = [stack.enter_context(RawConnection(port)) for _ in range(CROWD)]
    for client in clients:
        client.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    return clients


def no_files_left(bus: BusServer) -> bool:
    """Whether the worker has as many files open as it may."""
    return len(list(Path(f"/proc/{bus.worker_pid}/fd").iterdir())) >= FILES - 1


def test_when_the_limit_on_files_is_lifted_every_client_and_subscriber_is_served(tmp_path: Path) -> None:
    """With no file left for new clients, publishing goes on; once there are files, nothing is missing or dead."""
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path))
        caller = stack.enter_context(kept_caller(bus.port))
        limit_files(bus, FILES)
        crowd = crowd_of(stack, caller)
        clients = come(stack, bus.port)
        ids = [caller.publish(b"%d" % number) for number in range(20)]
        eventually(lambda: no_files_left(bus), 10)
        ids.append(caller.publish(b"none left"))
        limit_files(bus, None)
        assert {client.read().status for client in clients} == {200}
        for subscriber in crowd:
            subscriber.wait_for_ids(ids, RECOVERED)
            eventually(settled(caller, subscriber.address, delivered=len(ids), dead=0, discarded=0), 10)


def test_when_clients_have_gone_every_subscriber_gets_all(tmp_path: Path) -> None:
    """Though the limit on files stays, the end of the clients' connections is enough for deliveries to go on."""
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path))
        caller = stack.enter_context(kept_caller(bus.port))
        limit_files(bus, FILES)
        with ExitStack() as visit:
            come(visit, bus.port)
            eventually(lambda: no_files_left(bus), 10)
            crowd = crowd_of(stack, caller)
            ids = [caller.publish(b"%d" % number) for number in range(5)]
        for subscriber in crowd:
            subscriber.wait_for_ids(ids, RECOVERED)
        standing = {each["address"]: each for each in caller.subscribers()}
        assert [each["failed_attempts"] for each in standing.values()] == [0] * CROWD


def test_idle_connections_make_room_where_files_are_short(tmp_path: Path) -> None:
    """More subscribers than there are files all get all without renewing, and a client that comes then is answered."""
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path))
        caller = stack.enter_context(kept_caller(bus.port))
        limit_files(bus, FILES)
        crowd = crowd_of(stack, caller)
        ids = [caller.publish(b"%d" % number) for number in range(5)]
        for subscriber in crowd:
            subscriber.wait_for_ids(ids, RECOVERED)
        with RawConnection(bus.port, RECOVERED) as client:
            assert client.request("GET", "/healthz").status == 200


# Ports


@pytest.fixture
def network() -> Iterator[None]:
    """A network of the test's own, which the bus and its subscribers are in."""
    try:
        with own_network():
            yield
    except PermissionError as error:
        pytest.skip(f"a network namespace cannot be made here: {error.strerror}")


@pytest.fixture
def few_ports(network: None) -> None:
    """Connections leave from a handful of ports."""
    try:
        narrow_ports(FIRST_PORT, FIRST_PORT + PORTS - 1)
    except OSError as error:
        pytest.skip(f"the range of ports cannot be set here: {error.strerror}")


def take_ports(stack: ExitStack, port: int) -> list[socket.socket]:
    """Connect to this port from all ports there are."""
    taken = [stack.enter_context(socket.create_connection((LOOPBACK, port))) for _ in range(PORTS)]
    with pytest.raises(OSError, match="assign"):
        socket.create_connection((LOOPBACK, port))
    return taken


def slowly(request: Received) -> Answer:
    """Take it after a moment, so that many are under way."""
    gevent.sleep(0.02)
    return accept(request)


@needs_network
def test_when_ports_are_free_again_all_is_delivered(few_ports: None, tmp_path: Path) -> None:
    """While no port is left to reach a subscriber from, publishing goes on; once there is, it gets all by itself."""
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path))
        caller = stack.enter_context(kept_caller(bus.port))
        subscriber = stack.enter_context(RecordingSubscriber())
        taken = take_ports(stack, subscriber.port)
        caller.register(subscriber.address)
        ids = [caller.publish(b"%d" % number) for number in range(20)]
        assert account(caller, subscriber.address)["pending"] == len(ids)
        for connection in taken:
            connection.close()
        subscriber.wait_for_ids(ids, RECOVERED)
        eventually(settled(caller, subscriber.address, delivered=len(ids), dead=0), 10)
        assert caller.subscriber(subscriber.address)["failed_attempts"] == 0


@needs_network
def test_a_handful_of_ports_is_enough_for_many_deliveries_at_once(few_ports: None, tmp_path: Path) -> None:
    """A subscriber that may have more deliveries under way than there are ports gets all events, none of them dead."""
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path))
        caller = stack.enter_context(kept_caller(bus.port))
        subscriber = stack.enter_context(RecordingSubscriber(slowly))
        caller.register(subscriber.address, max_in_flight=100)
        ids = [caller.publish(b"%d" % number) for number in range(200)]
        subscriber.wait_for_ids(ids, RECOVERED)
        eventually(settled(caller, subscriber.address, delivered=len(ids), dead=0), 10)


# Names


@pytest.fixture
def deaf(network: None, tmp_path: Path) -> Iterator[BusServer]:
    """A bus whose name server takes every question, and answers none."""
    command = (*command_with_name_server(tmp_path), *COMMAND)
    with silent_name_server(), BusServer(tmp_path, {"EVENTBUS_DRAIN_SECONDS": "1"}, command=command) as bus:
        yield bus


def register_unknown(stack: ExitStack, bus: BusServer) -> None:
    """Register subscribers by names that are not answered for, all at once."""
    names = [f"name-{number}.example:{free_port()}" for number in range(UNKNOWN)]
    waiting = [gevent.spawn(Caller(bus.port).register, name) for name in names]
    gevent.joinall(waiting, timeout=10, raise_error=True)
    assert all(each.successful() for each in waiting)


@needs_network
def test_names_that_are_not_answered_for_hold_up_nobody_else(deaf: BusServer) -> None:
    """While many names are looked up in vain, publishes are answered promptly, and other subscribers get all."""
    with ExitStack() as stack:
        caller: KeptCaller = stack.enter_context(kept_caller(deaf.port))
        by_address, by_name = (stack.enter_context(RecordingSubscriber()) for _ in range(2))
        caller.register(by_address.address)
        caller.register(f"localhost:{by_name.port}")
        register_unknown(stack, deaf)
        ids = []
        for _ in range(3):
            ids += publish(caller, 20)
            by_address.wait_for_ids(ids, 5)
            by_name.wait_for_ids(ids, 5)
        found = {each["address"]: each for each in caller.subscribers()}
        assert len(found) == UNKNOWN + 2
        unknown = [each for address, each in found.items() if ".example" in address]
        assert [(each["pending"], each["dead"]) for each in unknown] == [(len(ids), 0)] * UNKNOWN


@needs_network
def test_a_name_that_is_looked_up_in_vain_does_not_keep_the_bus_from_ending(deaf: BusServer) -> None:
    """Told to end while lookups are under way, the bus ends in the time that it has for that, with success."""
    with ExitStack() as stack:
        register_unknown(stack, deaf)
        publish(Caller(deaf.port), 1)
        assert deaf.terminate(timeout=15) == 0
