"""Being a subscriber from a terminal: what is answered to the bus, and when."""

import threading

import pytest

from eventbus.cli.exit_status import CommandFailed
from eventbus.cli.local_subscriber import DeliveryQueue, address_seen_from, serve_inbox
from eventbus.cli.screen import Screen
from eventbus.client import Event, Inbox, Registration, State, Unreachable
from eventbus.testing import FakeBus, deliver
from tests.support.deadline import eventually


@pytest.fixture
def deliveries() -> DeliveryQueue:
    """Hands over to a screen that is none."""
    return DeliveryQueue(Screen(), seen="seen-before")


def taking(deliveries: DeliveryQueue) -> Inbox:
    """An inbox whose deliveries are handed over."""
    inbox = Inbox()
    inbox.on("a")(deliveries.put)
    return inbox


def delivered(inbox: Inbox, event_id: str, answers: list[int]) -> threading.Thread:
    """A delivery under way."""
    thread = threading.Thread(target=lambda: answers.append(deliver(inbox, "a", "x", event_id=event_id).status))
    thread.start()
    return thread


def broken(_: Event) -> None:
    """An output that nobody reads any more."""
    raise BrokenPipeError


def test_a_delivery_is_answered_when_it_has_been_printed(deliveries: DeliveryQueue) -> None:
    """Not before: what could not be printed may come again."""
    answers: list[int] = []
    printed: list[str] = []

    def show(event: Event) -> None:
        assert answers == []
        printed.append(event.id)

    thread = delivered(taking(deliveries), "one", answers)
    deliveries.print_events(show, 1)
    thread.join(10)
    assert (printed, answers) == (["one"], [200])


@pytest.mark.parametrize("when", ["it breaks", "it has ended", "it waits"])
def test_what_is_not_printed_comes_again(deliveries: DeliveryQueue, when: str) -> None:
    """To the next subscriber at this address: the bus delivers it again."""
    answers: list[int] = []
    inbox = taking(deliveries)
    if when == "it breaks":
        thread = delivered(inbox, "one", answers)
        with pytest.raises(BrokenPipeError):
            deliveries.print_events(broken, None)
    elif when == "it has ended":
        with deliveries:
            pass
        thread = delivered(inbox, "one", answers)
    else:
        with deliveries:
            thread = delivered(inbox, "one", answers)
            eventually(lambda: not deliveries._queue.empty(), 10)  # noqa: SLF001 - it has arrived when it is queued
    thread.join(10)
    assert answers == [503]


def test_the_place_to_begin_after_is_not_printed(deliveries: DeliveryQueue) -> None:
    """The bus begins with that event; it is answered at once."""
    assert deliver(taking(deliveries), "a", "x", event_id="seen-before").status == 200


def test_a_registration_is_told_where_it_changes(deliveries: DeliveryQueue, capsys: pytest.CaptureFixture[str]) -> None:
    """Renewals are no news; a bus that is away is, once, and so is its return."""
    subscriber = FakeBus().register("h:1")
    away = Registration(State.UNREACHABLE, error=Unreachable("No answer\x1b.", sent=False))
    renewed = Registration(State.RENEWED, subscriber)
    for registration in (Registration(State.REGISTERED, subscriber), renewed, away, away, renewed, renewed):
        deliveries.put_state(registration)
    printed: list[Event] = []
    thread = delivered(taking(deliveries), "one", [])
    deliveries.print_events(printed.append, 1)
    thread.join(10)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "Registered as h:1; Ctrl-C ends.",
        "Unreachable, trying again: No answer\\x1b.",
        "Renewed as h:1; Ctrl-C ends.",
    ]


def test_a_bus_that_never_took_it_ends_it(deliveries: DeliveryQueue) -> None:
    """With its error."""
    deliveries.put_state(Registration(State.UNREACHABLE, error=Unreachable("nobody", sent=False)))
    with pytest.raises(Unreachable, match="nobody"):
        deliveries.print_events(broken, None)


def test_a_port_is_found_or_taken() -> None:
    """The way to a bus here is loopback, on a free port; a port that is in use is an error."""
    assert address_seen_from("localhost:3000") == "127.0.0.1:0"
    with pytest.raises(CommandFailed, match="No way from here"):
        address_seen_from("http://[::1]:3000")
    bus = FakeBus()
    with serve_inbox(bus, Inbox(bus), "127.0.0.1:0") as server:
        address = server.inbox.address or ""
        with pytest.raises(CommandFailed, match="name another port"), serve_inbox(bus, Inbox(bus, address), address):
            pass
    assert bus.subscribers() == []
