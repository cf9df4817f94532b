"""Inboxes that share a subscription as the members of a group, on a real bus."""

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from eventbus.client import Bus, Conflict, Event, Inbox, Server, Terms
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.ports import free_port
from tests.support.server import ROOT, BusServer

GROUP = "mailer"


@pytest.fixture
def client(bus: BusServer) -> Iterator[Bus]:
    """A client of the shared bus, which is left without subscribers."""
    with Bus(f"http://127.0.0.1:{bus.port}") as client:
        yield client
        client.deregister(group=GROUP)
        assert client.subscribers() == []


class Replica:
    """A member in this process: it counts what it handles, and may hold it up."""

    def __init__(self, client: Bus, *, terms: Terms | None = None) -> None:
        self.handled: list[str] = []
        self.began, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.inbox = Inbox(client, group=GROUP, terms=terms)
        self.inbox.on("groups.*")(self._handle)
        self.server = Server(self.inbox)

    def _handle(self, event: Event) -> None:
        self.began.set()
        assert self.go_on.wait(10)
        self.handled.append(event.text)


@contextmanager
def replicas(client: Bus, count: int, terms: Terms | None = None) -> Iterator[list[Replica]]:
    """So many members that are registered."""
    with ExitStack() as stack:
        found = [Replica(client, terms=terms) for _ in range(count)]
        for replica in found:
            stack.enter_context(replica.server)
            assert replica.inbox.wait_registered(20)
        yield found


def handled(found: list[Replica]) -> Counter[str]:
    """How often each event was handled, by whichever replica."""
    return Counter(text for replica in found for text in replica.handled)


def test_each_event_is_handled_by_one_of_the_group(client: Bus) -> None:
    """Three inboxes in a group are one subscriber to publishers, and share what comes."""
    with replicas(client, 3) as found:
        assert {one.address for one in client.subscribers()} == {replica.inbox.address for replica in found}
        texts = [str(number) for number in range(60)]
        assert {client.publish("groups.a", text).subscribers for text in texts} == {1}
        eventually(lambda: handled(found) == Counter(texts), 20)
        assert all(replica.handled for replica in found)


def test_a_member_that_closes_leaves_only_itself(client: Bus, bus: BusServer) -> None:
    """Its handler that runs is answered, what comes meanwhile goes to the other one, and no attempt fails."""
    with replicas(client, 2) as found:
        for replica in found:
            replica.go_on.clear()
        client.publish("groups.a", "first")
        (leaving,) = eventually(lambda: [replica for replica in found if replica.began.is_set()], 10)
        (staying,) = [replica for replica in found if replica is not leaving]
        staying.go_on.set()
        closing = threading.Thread(target=leaving.server.close)
        closing.start()
        eventually(lambda: Caller(bus.port).subscriber(leaving.inbox.address or "")["draining"], 10)
        for _ in range(5):
            client.publish("groups.a", "more")
        eventually(lambda: staying.handled == ["more"] * 5, 10)
        assert closing.is_alive()
        leaving.go_on.set()
        closing.join(10)
        assert leaving.handled == ["first"]
        (left,) = client.subscribers()
        assert (left.address, left.failed_attempts) == (staying.inbox.address, 0)


def test_the_group_goes_on_where_it_was_when_members_are_back(client: Bus) -> None:
    """Where the last member has left, what is published waits for the next one."""
    with replicas(client, 1) as found:
        client.publish("groups.a", "before")
        eventually(lambda: found[0].handled == ["before"], 10)
    assert client.subscribers() == []
    client.publish("groups.a", "meanwhile")
    with replicas(client, 1) as again:
        eventually(lambda: again[0].handled == ["meanwhile"], 10)


def test_an_address_that_is_registered_otherwise_is_an_error(client: Bus, caplog: pytest.LogCaptureFixture) -> None:
    """The bus refuses it with its reason, which is logged as an error, and raised; deregistering it helps."""
    address = f"127.0.0.1:{free_port()}"
    client.register(address)
    inbox = Inbox(client, address, group=GROUP)
    inbox.start()
    with pytest.raises(Conflict, match="registered without a group; deregister it first"):
        inbox.wait_registered(20)
    assert [record.levelname for record in caplog.records if "not registered" in record.message] == ["ERROR"]
    assert not [record for record in caplog.records if "did not leave" in record.message]
    client.deregister(address)
    eventually(lambda: _is_registered(inbox), 20)
    inbox.close()


def _is_registered(inbox: Inbox) -> bool:
    try:
        return inbox.wait_registered(1)
    except Conflict:
        return False


SCRIPT = """
import sys
from eventbus.client import Bus, Inbox, serve

serve(Inbox(Bus(sys.argv[1]), f"127.0.0.1:{sys.argv[2]}", group="mailer"), port=int(sys.argv[2]))
"""


def test_a_script_ends_where_its_address_is_registered_otherwise(client: Bus, bus: BusServer) -> None:
    """``serve`` raises what the bus says, so that whoever runs the script sees it."""
    port = free_port()
    client.register(f"127.0.0.1:{port}")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, f"http://127.0.0.1:{bus.port}", str(port)],
        check=False,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert f"127.0.0.1:{port} is registered without a group; deregister it first." in done.stderr.splitlines()[-1]
    client.deregister(f"127.0.0.1:{port}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_script_leaves_its_group_when_it_is_told_to_end(number: signal.Signals, client: Bus, bus: BusServer) -> None:
    """It ends with status 0, and is no member any more."""
    command = [sys.executable, "-W", "error", "-c", SCRIPT, f"http://127.0.0.1:{bus.port}", str(free_port())]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            eventually(client.subscribers, 20)
            process.send_signal(number)
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert client.subscribers() == []


def test_a_member_ends_soon_though_the_bus_is_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A bus that cannot be reached delays the end by seconds, and the log says that the lease has to end."""
    with BusServer(tmp_path) as server, Bus(f"http://127.0.0.1:{server.port}") as client:
        inbox = Inbox(client, f"127.0.0.1:{free_port()}", group=GROUP)
        inbox.start()
        assert inbox.wait_registered(20)
        server.kill()
        began = time.monotonic()
        assert not inbox.leave()
        assert time.monotonic() - began < 8
    assert "did not leave the group mailer, so that its lease has to end" in caplog.text


def test_an_address_without_a_group_drains_until_it_renews(client: Bus) -> None:
    """After ``drain`` the bus keeps what is published, without an attempt; the next start goes on."""
    got: list[str] = []
    inbox = Inbox(client, f"127.0.0.1:{(port := free_port())}")
    inbox.on("groups.*")(lambda event: got.append(event.text))
    with Server(inbox, port=port):
        assert inbox.wait_registered(20)
        client.publish("groups.a", "before")
        eventually(lambda: got == ["before"], 10)
        assert inbox.drain()
        client.publish("groups.a", "meanwhile")
    (seen,) = client.subscribers()
    assert (seen.pending, seen.in_flight, seen.failed_attempts) == (1, 0, 0)
    with Server(inbox, port=port):
        eventually(lambda: got == ["before", "meanwhile"], 10)
    assert inbox.deregister() == 0
