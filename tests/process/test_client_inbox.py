import base64
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from eventbus.client import Bus, Event, Inbox, Registration, Reject, Retry, Server, State, Terms, UsageError, Verifier
from tests.support.deadline import eventually
from tests.support.ports import free_port
from tests.support.raw_client import RawConnection, render_chunks
from tests.support.server import ROOT, BusServer

SECRETS = tuple("whsec_" + base64.b64encode(letter * 32).decode() for letter in (b"n", b"o"))
#: The shortest lease that there is, in seconds.
SHORT = Terms(lease=5)


@pytest.fixture
def client(bus: BusServer) -> Iterator[Bus]:
    """A client of the shared bus, which is left without subscribers."""
    with Bus(f"http://127.0.0.1:{bus.port}") as client:
        yield client
        assert client.subscribers() == []


@contextmanager
def served(inbox: Inbox, **options: Any) -> Iterator[Server]:
    """An inbox that is served, and registered, and deregistered at the end."""
    with kept(inbox, **options) as server:
        yield server
    inbox.deregister()


@contextmanager
def kept(inbox: Inbox, **options: Any) -> Iterator[Server]:
    """An inbox that is served, and registered, and comes back."""
    with Server(inbox, **options) as server:
        assert inbox.wait_registered(20)
        yield server


def test_an_inbox_receives_what_its_handlers_want(client: Bus) -> None:
    """Registered under its topics while it is served."""
    inbox, got = Inbox(client), list[Event]()
    inbox.on("inbox.*")(got.append)
    with served(inbox) as server:
        (seen,) = client.subscribers()
        assert (seen.address, seen.topics) == (f"127.0.0.1:{server.port}", ("inbox.*",))
        ids = [client.publish(topic, {"n": 1}).id for topic in ("inbox.a", "other", "inbox.b")]
        eventually(lambda: len(got) == 2, 10)
    assert {(event.id, event.topic) for event in got} == {(ids[0], "inbox.a"), (ids[2], "inbox.b")}


def test_a_handler_decides_what_becomes_of_an_event(client: Bus) -> None:
    """Retry comes again, Reject is a dead letter with its reason, and so the account shows."""
    inbox, attempts = Inbox(client), list[int]()

    @inbox.on("inbox.retry")
    def later(event: Event) -> None:
        attempts.append(event.attempt)
        if event.attempt < 3:
            raise Retry("not yet")

    @inbox.on("inbox.reject")
    def never(_: Event) -> None:
        raise Reject("no such order")

    with served(inbox):
        client.publish("inbox.retry")
        client.publish("inbox.reject")
        eventually(lambda: (client.subscribers()[0].delivered, client.subscribers()[0].dead) == (1, 1), 20)
        (letter,) = client.dead_letters(address=inbox.address)
        client.discard(letter=letter.id)
    assert attempts == [1, 2, 3]
    assert (letter.last_status, letter.last_answer) == (422, b"no such order")


def test_a_pause_holds_the_whole_subscriber(client: Bus) -> None:
    """Retry with ``after`` is a pause for everything that comes to this inbox."""
    inbox, got = Inbox(client), list[str]()

    @inbox.on("inbox.pause")
    def pause(event: Event) -> None:
        got.append(event.text)
        if event.attempt == 1:
            raise Retry(after=1)

    with served(inbox):
        client.publish("inbox.pause", "x")
        eventually(lambda: client.subscribers()[0].state == "paused", 10)
        eventually(lambda: len(got) == 2, 10)


def test_a_path_in_the_address_is_where_events_are_taken(client: Bus) -> None:
    """Anywhere else there is nothing, and what is not a delivery is an error."""
    port = free_port()
    inbox, got = Inbox(client, f"http://127.0.0.1:{port}/in/box/"), list[Event]()
    inbox.on()(got.append)
    with served(inbox, port=port), RawConnection(port) as connection:
        client.publish(None, b"x")
        eventually(lambda: got, 10)
        assert connection.request("POST", "/event", body=b"x").status == 404
        assert connection.request("POST", "/in/box/event", body=b"x").status == 400
        assert connection.request("OPTIONS", "/in/box/event").header("WebHook-Allowed-Origin") == "*"
        assert connection.request("POST", "/in/box/event", [("Content-Length", str(10**9))]).status == 413


def test_an_address_is_needed_where_none_can_be_guessed() -> None:
    """Listening everywhere is no address by which the bus comes back."""
    with pytest.raises(UsageError, match="by which address"):
        Server(Inbox(Bus("http://bus")), host="0.0.0.0")  # noqa: S104 - what is refused
    with pytest.raises(UsageError, match="under an address"):
        Inbox().start()


def test_signed_deliveries_are_taken_and_others_are_not(tmp_path: Path) -> None:
    """With one of two secrets known here; a bus that signs with another gets nothing delivered."""
    settings = {"EVENTBUS_SIGNING_SECRETS": ",".join(SECRETS), "EVENTBUS_VERIFY": "handshake"}
    with BusServer(tmp_path, settings) as server, Bus(f"http://127.0.0.1:{server.port}") as client:
        knowing, strange, got = (
            Inbox(client, verifier=Verifier(SECRETS[1])),
            Inbox(client, verifier=Verifier("whsec_" + base64.b64encode(b"x" * 32).decode())),
            list[Event](),
        )
        for inbox in (knowing, strange):
            inbox.on()(got.append)
        with served(knowing), served(strange):
            client.publish("a", b"\xff\r\n")
            eventually(lambda: len(got) == 1, 10)
            eventually(lambda: [letter.last_status for letter in client.dead_letters()] == [401], 10)
        assert got[0].body == b"\xff\r\n"


def test_an_inbox_consents_to_its_own_bus_and_to_no_other(tmp_path: Path) -> None:
    """The bus returns its name; an inbox with another name for it consents only to that."""
    settings = {"EVENTBUS_VERIFY": "handshake", "EVENTBUS_ORIGIN": "bus.example.com"}
    with BusServer(tmp_path, settings) as server, Bus(f"http://127.0.0.1:{server.port}") as client:
        own, other, got = Inbox(client), Inbox(client, verifier=Verifier(origin="other.example")), list[Event]()
        for inbox in (own, other):
            inbox.on()(got.append)
        with served(own), served(other):
            with RawConnection(int((own.address or "").rpartition(":")[2])) as connection:
                assert connection.request("OPTIONS", "/event").header("WebHook-Allowed-Origin") == "bus.example.com"
            client.publish("a", b"")
            eventually(lambda: len(got) == 1, 10)
            eventually(lambda: {found.state for found in client.subscribers()} == {"ok", "down"}, 10)
            (down,) = [found for found in client.subscribers() if found.state == "down"]
            assert down.address == other.address
            assert "allows 'other.example' and not the origin bus.example.com" in (down.last_error or "")


def test_an_inbox_registers_again_where_the_bus_has_forgotten_it(tmp_path: Path) -> None:
    """After a bus came back without its journal, the next renewal is a registration, and is reported as one."""
    with BusServer(tmp_path) as server, Bus(f"http://127.0.0.1:{server.port}") as client:
        changes: list[Registration] = []
        inbox, got = Inbox(client, terms=SHORT, on_state=changes.append), list[Event]()
        inbox.on("a")(got.append)
        with served(inbox):
            server.kill()
            for part in tmp_path.glob("bus.db*"):
                part.unlink()
            server.start()
            eventually(lambda: any(found.state is State.REGISTERED_AGAIN for found in changes), 30)
            client.publish("a")
            eventually(lambda: got, 10)
        states = [found.state for found in changes]
    assert states[0] is State.REGISTERED
    assert states[-1] is State.STOPPED


@pytest.mark.parametrize("renewals", [2, pytest.param(4, marks=pytest.mark.soak, id="longer than a lease")])
def test_a_lease_is_kept(renewals: int, client: Bus) -> None:
    """The same registration is renewed, well before its end, until the inbox is closed."""
    changes: list[Registration] = []
    inbox = Inbox(client, terms=SHORT, on_state=changes.append)
    with served(inbox):
        eventually(lambda: len(changes) > renewals, 20)
        (seen,) = client.subscribers()
        assert (seen.registered_at, seen.lease) == (changes[0].subscriber.registered_at, 5)  # type: ignore[union-attr]
    assert {found.state for found in changes[1:-1]} == {State.RENEWED}
    assert changes[-1].state is State.STOPPED


def test_an_inbox_that_closes_comes_back_to_what_it_missed(client: Bus) -> None:
    """Closing gives up nothing: the bus keeps the position, unless the terms say otherwise."""
    port, got = free_port(), list[str]()
    inbox = Inbox(client, f"127.0.0.1:{port}")
    inbox.on("inbox.kept")(lambda event: got.append(event.text))
    with kept(inbox, port=port):
        client.publish("inbox.kept", "before")
        eventually(lambda: got == ["before"], 10)
    assert [found.resume for found in client.subscribers()] == [True]
    client.publish("inbox.kept", "meanwhile")
    with served(inbox, port=port):
        eventually(lambda: got == ["before", "meanwhile"], 10)


def test_deregistering_is_asked_for(client: Bus) -> None:
    """It ends the lease at once, and returns how many deliveries were discarded."""
    inbox = Inbox(client, f"127.0.0.1:{free_port()}", terms=Terms(resume=False))
    inbox.start()
    assert inbox.wait_registered(20)
    assert [found.resume for found in client.subscribers()] == [False]
    for _ in range(3):
        client.publish("nobody.listens")
    assert inbox.deregister() == 3
    assert client.subscribers() == []
    assert inbox.deregister() == 0


SCRIPT = """
import sys
from eventbus.client import Bus, Inbox, serve

inbox = Inbox(Bus(sys.argv[1]))

@inbox.on("inbox.script")
def show(event):
    print(event.text, flush=True)

serve(inbox)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_script_serves_until_it_is_told_to_end(number: signal.Signals, client: Bus, bus: BusServer) -> None:
    """It ends with status 0, and is still a subscriber: what is published meanwhile waits for it."""
    command = [sys.executable, "-W", "error", "-c", SCRIPT, f"http://127.0.0.1:{bus.port}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            eventually(client.subscribers, 20)
            client.publish("inbox.script", "hello")
            assert process.stdout is not None
            assert process.stdout.readline() == "hello\n"
            process.send_signal(number)
            assert process.wait(20) == 0
        finally:
            process.kill()
    (left,) = client.subscribers()
    assert left.resume
    client.deregister(left.address)


def test_a_server_that_closes_answers_what_is_in_flight(client: Bus) -> None:
    """Closing waits for a handler that runs; what comes meanwhile is refused, so that the bus makes it again."""
    began, finish = threading.Event(), threading.Event()
    inbox = Inbox(client)

    @inbox.on("inbox.slow")
    def slow(_: Event) -> None:
        began.set()
        assert finish.wait(10)

    with kept(inbox) as server, RawConnection(server.port) as idle:
        assert idle.request("POST", "/event", body=b"x").status == 400
        client.publish("inbox.slow")
        assert began.wait(10)
        closing = threading.Thread(target=server.close)
        closing.start()
        assert idle.at_end()
        with pytest.raises(ConnectionRefusedError):
            RawConnection(server.port)
        assert inbox.dispatch("POST", {"Webhook-Id": "new", "Eventbus-Topic": "inbox.slow"}, b"").status == 503
        assert closing.is_alive()
        finish.set()
        closing.join(10)
        eventually(lambda: client.subscribers()[0].delivered == 1, 10)
    assert client.subscribers()[0].failed_attempts == 0
    inbox.deregister()


def test_a_body_may_come_in_chunks() -> None:
    """As a proxy may send it on; chunks that are none, or are too much, are refused."""
    inbox, got = Inbox(Bus("http://127.0.0.1:1"), "127.0.0.1:1"), list[bytes]()
    inbox.on()(lambda event: got.append(event.body))
    head = b"POST /event HTTP/1.1\r\nHost: a\r\nWebhook-Id: %d\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Server(inbox) as server:
        for number, (sent, status) in enumerate(
            [
                (render_chunks([b"in ", b"chunks"]), 200),
                (b"2;x=y\r\nok\r\n0\r\nTrailer: x\r\n\r\n", 200),
                (b"x\r\n", 411),
                (b"-5\r\n", 413),
                (b"ffffffff\r\n", 413),
            ]
        ):
            with RawConnection(server.port) as connection:
                connection.send(head % number + sent)
                assert connection.read().status == status
    assert got == [b"in chunks", b"ok"]


def test_a_body_that_breaks_off_is_not_handled() -> None:
    """A delivery whose connection ends half-way is none: the bus makes it again."""
    inbox, got = Inbox(Bus("http://127.0.0.1:1"), "127.0.0.1:1"), list[Event]()
    inbox.on()(got.append)
    with Server(inbox) as server, RawConnection(server.port) as connection:
        connection.send(b"POST /event HTTP/1.1\r\nHost: a\r\nWebhook-Id: 1\r\nContent-Length: 9\r\n\r\nhalf")
        connection.end()
        assert connection.at_end()
    assert got == []


def test_an_inbox_takes_batches(client: Bus) -> None:
    """With ``batch`` events come as lists, signed, and those that are rejected are dead letters, each by itself."""
    inbox, got = Inbox(client, terms=Terms(batch=50, batch_wait=0.2)), list[int]()

    @inbox.on_batch("inbox.*")
    def take(events: list[Event]) -> list[Reject | None]:
        got.append(len(events))
        return [Reject("seven") if event.data["n"] == 7 else None for event in events]

    with served(inbox) as server:
        ids = client.publish_many("inbox.a", ({"n": number} for number in range(100)))
        address = f"127.0.0.1:{server.port}"
        eventually(lambda: client.subscribers()[0].delivered == 99, 20)
        (letter,) = client.dead_letters(address=address)
        assert (letter.event, letter.reason, letter.last_answer) == (ids[7], "rejected", b"seven")
    assert sum(got) == 100
    assert len(got) < 20
