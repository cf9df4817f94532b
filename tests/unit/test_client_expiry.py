"""The client, the fake bus and the command say when events expire as the bus reads it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventbus.client import Inbox, KeyReused, UsageError
from eventbus.client.batches import events_in_batch
from eventbus.client.encoding import expiry
from eventbus.client.model import Event
from eventbus.core.event_view import EventView
from eventbus.delivery.transport.batch_request import element_of
from eventbus.testing import FakeBus
from tests.support.events import event

AT = datetime(2099, 1, 31, 12, tzinfo=UTC)
HEADER = b"ce-expirytime: 2099-01-31T12:00:00Z\r\n"


@pytest.mark.parametrize(
    ("expires", "query", "headers"),
    [
        (None, [], {}),
        (30, [("expires", "30.0")], {}),
        (0.5, [("expires", "0.5")], {}),
        (timedelta(minutes=1), [("expires", "60.0")], {}),
        (AT, [], {"ce-expirytime": "2099-01-31T12:00:00Z"}),
    ],
)
def test_seconds_are_a_parameter_and_a_time_is_an_attribute(
    expires: Any, query: list[tuple[str, str]], headers: dict[str, str]
) -> None:
    """As a number, as a time span, or as a time with an offset."""
    assert expiry(expires) == (query, headers)


@pytest.mark.parametrize("expires", [0, -1, timedelta(0), 32_000_000, AT.replace(tzinfo=None)])
def test_what_the_bus_would_refuse_is_an_error_before_it_is_asked(expires: Any) -> None:
    """A number out of range, and a time without an offset."""
    with pytest.raises(UsageError):
        FakeBus().publish("a", expires=expires)


@pytest.mark.parametrize("expires", [30, AT])
def test_an_event_says_when_it_expires(expires: Any) -> None:
    """One that was published alone, or in a batch, and is read."""
    bus = FakeBus()
    bus.publish("a", expires=expires)
    bus.publish_many("a", [1], expires=expires)
    for each in (*bus.published, *bus.events()):
        assert each.expires_at is not None
        assert each.expires_at == AT or abs(each.expires_at - each.at - timedelta(seconds=30)) < timedelta(seconds=1)
    bus.publish("b")
    assert bus.published[-1].expires_at is None


def test_a_delivered_event_says_it_too() -> None:
    """By its header, in a batch by its attribute, and as a structured CloudEvent by its body."""
    plain = event(1, head=HEADER)
    structured = event(2, b'{"id":"x","source":"/s"}', head=HEADER + b"Content-Type: application/cloudevents+json\r\n")
    batch = b"[%s]" % b",".join(element_of(each).text for each in (plain, structured, event(3)))
    assert [each.expires_at for each in events_in_batch({}, batch, 0.0)] == [AT, AT, None]
    strange = Event("1", None, b"", {"ce-expirytime": "soon"}, AT)
    assert strange.expires_at is None


def test_a_fake_bus_delivers_nothing_that_has_expired() -> None:
    """It is recorded, as the bus keeps it."""
    bus, found = FakeBus(), list[Any]()
    inbox = Inbox(bus, "localhost:8001")
    inbox.on("a")(lambda event: found.append(event.data))
    bus.deliver_to(inbox)
    bus.publish("a", 1, expires=datetime(2000, 1, 1, tzinfo=UTC))
    bus.publish("a", 2, expires=60)
    assert ([each.json() for each in bus.published], found) == ([1, 2], [2])
    fate = bus.publish("a", 3, expires=datetime(2000, 1, 1, tzinfo=UTC), settle=1).fate
    assert fate is not None
    assert (fate.dead, fate.subscriptions[0].attempts) == (1, 0)


def test_a_key_of_a_fake_bus_stands_for_the_expiry_too() -> None:
    """As with a bus."""
    bus = FakeBus()
    first = bus.publish("a", key="k", expires=30)
    assert bus.publish("a", key="k", expires=30).id == first.id
    with pytest.raises(KeyReused):
        bus.publish("a", key="k", expires=31)


def test_a_filter_sees_the_time_in_either_mode() -> None:
    """Of a structured CloudEvent what the bus keeps beside the body, unless that says it."""
    structured = b"Content-Type: application/cloudevents+json\r\n"
    for head, body in ((HEADER, b"{}"), (structured + HEADER, b'{"id":"x"}')):
        assert EventView(event(1, body, head=head)).attributes["expirytime"] == "2099-01-31T12:00:00Z"
    own = json.dumps({"expirytime": "2099-01-31T13:00:00Z"}).encode()
    assert EventView(event(1, own, head=structured + HEADER)).attributes["expirytime"] == "2099-01-31T13:00:00Z"


def test_a_scheduled_event_of_a_fake_bus_expires_after_it_was_due() -> None:
    """Seconds count from then on."""
    bus = FakeBus()
    published = bus.publish("a", delay=3_600, expires=60)
    expires_at = bus.event(published.id).expires_at
    assert published.scheduled_for is not None
    assert expires_at is not None
    assert abs((expires_at - published.scheduled_for).total_seconds() - 60) < 0.01
