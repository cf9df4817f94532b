"""A bus that is stopped while it saves places loses none of them."""

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Terms
from eventbus.core.settings import Settings
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from tests.support.scripted import ScriptedTransport

#: More than one commit saves.
LANES = 450
EVENTS = 3


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    """Where the journal is."""
    return str(tmp_path / "bus.db")


def started(path: str) -> Bus:
    """A bus whose subscribers never answer."""
    bus = Bus(Settings(), SqliteJournal(path), ScriptedTransport())
    bus.start()
    return bus


def publish(bus: Bus) -> None:
    """Publish one event for everybody."""
    bus.publish([Message(new_event_id(), None, b"", b"", bus.clock.wall())])


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_stop_in_the_midst_of_saving_loses_nothing(path: str, turns: int) -> None:
    """However far a checkpoint has come when it is broken off, each subscriber still has all that was accepted."""
    bus = started(path)
    for number in range(LANES):
        bus.register(parse_address(f"127.0.0.1:{1_000 + number}"), Terms())
    for _ in range(EVENTS):
        publish(bus)
    saving = gevent.spawn(bus.dispatcher.checkpointer.save)
    for _ in range(turns):
        gevent.sleep(0)
    saving.kill()
    bus.stop()
    again = started(path)
    try:
        accounts = {(lane.accepted, lane.backlog) for lane in again.subscribers()}
        assert len(again.subscribers()) == LANES
        assert accounts == {(EVENTS, EVENTS)}
    finally:
        again.stop()
