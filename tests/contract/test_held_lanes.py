"""Subscribers that do not answer take nothing from those that do, also where the event loop has no time left."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Terms
from eventbus.core.settings import Settings
from eventbus.delivery.run_queue import SATURATED_IN_FLIGHT
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from tests.support.deadline import eventually
from tests.support.lanes import EPOCH, TAKEN
from tests.support.scripted import Attempt, ScriptedTransport

HEALTHY = "127.0.0.1:8000"


@pytest.fixture
def transport() -> ScriptedTransport:
    """Answers when a test says so."""
    return ScriptedTransport()


@pytest.fixture
def bus(tmp_path: Path, transport: ScriptedTransport) -> Iterator[Bus]:
    """One whose loop has no time left, as it seems to it."""
    found = Bus(Settings(), SqliteJournal(str(tmp_path / "bus.db")), transport)
    found.start()
    found.dispatcher.load.stop()
    found.dispatcher.load.saturated = True
    yield found
    transport.always = TAKEN
    found.stop()


def publish(bus: Bus, topic: str, count: int = 1) -> None:
    """Publish events."""
    bus.publish([Message(new_event_id(), topic, b"", b"", EPOCH) for _ in range(count)])


def test_a_lane_is_not_held_back_for_those_that_only_wait(bus: Bus, transport: ScriptedTransport) -> None:
    """A subscriber that answers has several deliveries under way beside very many that never end."""

    def attempts() -> list[Attempt]:
        return [attempt for attempt in transport.held if attempt.key == HEALTHY]

    lane = bus.register(parse_address(HEALTHY), Terms(topics=("calm",), lease=600)).lane
    for number in range(1, 4):
        publish(bus, "calm")
        eventually(attempts, 10)
        transport.answer(attempts(), TAKEN)
        eventually(lambda: lane.delivered == number, 10)  # noqa: B023 - called at once
    for number in range(SATURATED_IN_FLIGHT):
        bus.register(parse_address(f"127.0.0.2:{9_000 + number}"), Terms(topics=("bait",), lease=600))
    publish(bus, "bait")
    eventually(lambda: len(transport.held) == SATURATED_IN_FLIGHT, 10)
    publish(bus, "calm", 3)
    eventually(lambda: len(attempts()) > 1, 10, "the lane was held back")
