"""When a publish is due, as the client takes it; and scheduled events on a fake bus."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from eventbus.client import AsyncBus, BadTime, Conflict, Inbox, NotFound, Terms, UsageError
from eventbus.client.scheduling import due_query
from eventbus.testing import FakeBus
from tests.unit.test_client_calls import bus_on

EIGHT = datetime(2026, 12, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "query"),
    [
        ({}, []),
        ({"delay": 0}, [("delay", "0")]),
        ({"delay": 900}, [("delay", "900")]),
        ({"delay": 1.5}, [("delay", "1.5")]),
        ({"delay": 0.1 + 0.2}, [("delay", "0.3")]),
        ({"delay": 1e-9}, [("delay", "0")]),
        ({"delay": timedelta(minutes=15, milliseconds=1)}, [("delay", "900.001")]),
        ({"delay": timedelta(days=366)}, [("delay", "31622400")]),
        ({"deliver_at": EIGHT}, [("deliver_at", "2026-12-01T08:00:00Z")]),
        (
            {"deliver_at": datetime(2026, 12, 1, 8, tzinfo=timezone(timedelta(hours=1)))},
            [("deliver_at", "2026-12-01T07:00:00Z")],
        ),
        ({"deliver_at": "2026-12-01T08:00:00.5+01:00"}, [("deliver_at", "2026-12-01T08:00:00.5+01:00")]),
    ],
)
def test_a_time_is_written_as_the_bus_reads_it(given: dict[str, Any], query: list[tuple[str, str]]) -> None:
    """Seconds without an exponent, and times with their offset."""
    assert due_query(given.get("delay"), given.get("deliver_at")) == query


@pytest.mark.parametrize(
    "given",
    [
        {"delay": -1}, {"delay": float("nan")}, {"delay": float("inf")}, {"delay": True}, {"delay": "15"},
        {"delay": timedelta(seconds=-1)}, {"deliver_at": EIGHT.replace(tzinfo=None)},
        {"deliver_at": "2026-12-01T08:00:00"},
        {"deliver_at": "tomorrow"}, {"deliver_at": ""}, {"deliver_at": 1_800_000_000},
        {"delay": 1, "deliver_at": EIGHT},
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_before_the_bus_is_asked(given: dict[str, Any]) -> None:
    """It is a ValueError and a UsageError, of a batch, too."""
    bus = FakeBus()
    with pytest.raises(BadTime):
        bus.publish("a", **given, settle=1)
    with pytest.raises(ValueError, match=r"^(delay is|deliver_at is|Give either)") as caught:
        bus.publish("a", **given)
    assert isinstance(caught.value, BadTime)
    with pytest.raises(UsageError):
        bus.publish_many("a", [1], **given)
    assert (bus.published, list(bus.scheduled())) == ([], [])


def test_batches_of_one_call_are_due_at_the_same_time() -> None:
    """A delay counts from the first one: the rest is given the time that the bus answered."""
    answer = {"ids": ["e"], "subscribers": 0, "duplicate": False}
    bus, transport = bus_on({**answer, "scheduled_for": "2026-12-01T08:00:00.250Z"}, answer, answer)
    found = bus.publish_many("a", [1, 2, 3], size=1, delay=900)
    queries = [parse_qs(urlsplit(request.target).query) for request in transport.requests]
    same = {"topic": ["a"], "batch": ["lines"], "deliver_at": ["2026-12-01T08:00:00.250000Z"]}
    assert queries == [{"topic": ["a"], "batch": ["lines"], "delay": ["900"]}, same, same]
    assert found.scheduled_for == EIGHT.replace(microsecond=250_000)
    assert found == ["e"] * 3


def test_scheduled_events_are_read_page_by_page() -> None:
    """Until the bus says that there are no more."""
    events = [
        {
            "id": f"e{number}", "topic": None, "key": None, "headers": {}, "body": {"text": ""},
            "accepted_at": "2026-12-01T07:00:00Z", "scheduled_for": "2026-12-01T08:00:00.000Z",
        }
        for number in range(3)
    ]  # fmt: skip
    bus, transport = bus_on({"events": events[:2], "next": "1-2"}, {"events": events[2:], "next": None})
    found = list(bus.scheduled())
    assert [(event.id, event.scheduled_for) for event in found] == [(f"e{number}", EIGHT) for number in range(3)]
    assert [parse_qs(urlsplit(request.target).query).get("after") for request in transport.requests] == [None, ["1-2"]]


def test_a_fake_bus_keeps_what_is_scheduled_until_it_is_told() -> None:
    """It is not published before, and then is, in the order in which it is due."""
    bus = FakeBus()
    late = bus.publish("late", "x", delay=timedelta(days=1), key="k")
    soon = bus.publish("soon", "y", delay=0.001)
    at_once = bus.publish("now", "z", deliver_at=EIGHT - timedelta(days=10_000))
    assert late.scheduled_for is not None
    assert at_once.scheduled_for is None
    assert bus.publish("late", "x", key="k").scheduled_for == late.scheduled_for
    assert [event.topic for event in bus.published] == ["now"]
    assert [event.id for event in bus.scheduled()] == [soon.id, late.id]
    assert bus.event(late.id).scheduled_for == late.scheduled_for
    assert [event.id for event in bus.enter_scheduled(datetime.now(UTC) + timedelta(hours=1))] == [soon.id]
    assert [event.id for event in bus.enter_scheduled()] == [late.id]
    assert bus.enter_scheduled() == []
    assert [event.topic for event in bus.published] == ["now", "soon", "late"]
    assert bus.event(late.id).scheduled_for is None
    assert bus.published[-1].at == late.scheduled_for


def test_a_fake_bus_delivers_what_enters() -> None:
    """What is published together comes together; what a handler schedules waits for the next time."""
    bus, requests = FakeBus(), []
    inbox = Inbox(terms=Terms(batch=10))

    @inbox.on_batch("due")
    def due(events: Any) -> None:
        requests.append(len(events))
        bus.publish("due", 1, delay=60)

    bus.deliver_to(inbox)
    assert bus.publish_many("due", range(3), delay=60).scheduled_for is not None
    assert requests == []
    assert len(bus.enter_scheduled()) == 3
    assert requests == [3]
    assert len(bus.enter_scheduled()) == 1
    assert requests == [3, 1]


def test_a_fake_bus_cancels_what_waits() -> None:
    """Once it is cancelled it stays so, and what has entered cannot be."""
    bus = FakeBus()
    first, second = bus.publish_many("a", [1, 2], delay=60)
    at = bus.cancel(first)
    assert bus.cancel(first) == at
    assert [event.id for event in bus.enter_scheduled()] == [second]
    with pytest.raises(Conflict):
        bus.cancel(second)
    with pytest.raises(NotFound):
        bus.cancel("nope")


async def _asked() -> tuple[list[str], list[str]]:
    bus = AsyncBus.of(FakeBus())
    first = await bus.publish("a", delay=60)
    ids = [first.id, *await bus.publish_many("a", [1], delay=61)]
    await bus.cancel(first.id)
    return ids, [event.id async for event in bus.scheduled()]


def test_an_asyncio_client_schedules_too() -> None:
    """It publishes for later, lists and cancels as the other one does."""
    ids, left = asyncio.run(_asked())
    assert left == ids[1:]
