"""What is pending or dead keeps its event, whatever comes back while the journal lets go of what is settled."""

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Terms
from eventbus.core.records import Checkpoint, LaneRecord
from eventbus.core.settings import Settings
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from tests.support.deadline import eventually
from tests.support.lanes import BUSY, EPOCH, REFUSED, TAKEN, UNWANTED
from tests.support.scripted import ScriptedTransport

EVENTS = 3
#: Seconds that settled events stay, and later than that.
RETENTION, LATER = 10, 60
ALL = 1_000_000


class Scene:
    """A bus with a few events under way to one subscriber, all older than the retention."""

    def __init__(self, path: str) -> None:
        self.now = 0.0
        self.transport = ScriptedTransport()
        clock = Clock(lambda: self.now, lambda: EPOCH + self.now)
        self.bus = Bus(Settings(retention_seconds=RETENTION), SqliteJournal(path, clock), self.transport, clock)
        self.bus.start()
        self.lane = self.bus.register(parse_address("127.0.0.1:8000"), Terms(lease=600)).lane
        messages = [Message(new_event_id(), None, b"", b"", EPOCH) for _ in range(EVENTS)]
        self.ids = self.bus.publish(messages).ids
        eventually(lambda: len(self.transport.held) == EVENTS, 10)
        self.now = LATER

    def answer(self, said: DeliveryResponse) -> None:
        """Answer everything that is under way, and wait until that is settled."""
        self.transport.answer(list(self.transport.held), said)
        eventually(lambda: not self.bus.dispatcher.busy, 10)

    def kept(self) -> list[str]:
        """The ids of the events that are in the journal."""
        return [event.id for event in self.bus.journal.page(0, ALL, ALL, ALL).events]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A bus in the midst of deliveries."""
    found = Scene(str(tmp_path / "bus.db"))
    yield found
    found.transport.always = TAKEN
    found.bus.stop()


@pytest.mark.parametrize(
    "said", [UNWANTED, BUSY, REFUSED], ids=["rejected", "to be tried again", "for one that is down"]
)
def test_an_answer_in_the_midst_of_trimming_costs_no_event(
    scene: Scene, said: DeliveryResponse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that becomes a dead letter, or waits again, while places are being saved for a trim, is kept."""
    checkpoint = scene.bus.journal.checkpoint

    def answered_meanwhile(changes: Checkpoint) -> None:
        if scene.transport.held:
            scene.answer(said)
        checkpoint(changes)

    monkeypatch.setattr(scene.bus.journal, "checkpoint", answered_meanwhile)
    scene.lane.touch()
    scene.bus.retention.run_once()
    assert scene.kept() == list(scene.ids)
    letters = scene.bus.dead_letters.page(None, 0, ALL)
    assert {letter.event_id for letter in letters} == (set(scene.ids) if said is UNWANTED else set())


def test_what_is_delivered_is_let_go(scene: Scene) -> None:
    """The same events go once they are delivered."""
    scene.answer(TAKEN)
    gevent.sleep(0)
    scene.bus.retention.run_once()
    assert scene.kept() == []


def test_what_is_under_way_is_kept(scene: Scene) -> None:
    """An event whose attempt has not been answered stays, however old it is."""
    scene.bus.retention.run_once()
    assert scene.kept() == list(scene.ids)


def test_who_registers_while_old_accounts_are_forgotten_is_kept(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address whose former lease has long ended, and which begins another one in just that moment, stays."""
    scene.answer(TAKEN)
    scene.bus.deregister(scene.lane.subscriber.key)
    scene.now += 2 * LATER
    closed_lanes = scene.bus.journal.closed_lanes

    def registered_meanwhile(before: float, limit: int) -> list[LaneRecord]:
        found = closed_lanes(before, limit)
        assert [record.subscriber.key for record in found] == [scene.lane.subscriber.key]
        scene.bus.register(scene.lane.subscriber.address, Terms(lease=600))
        return found

    monkeypatch.setattr(scene.bus.journal, "closed_lanes", registered_meanwhile)
    scene.bus.retention.run_once()
    record = scene.bus.journal.lane(scene.lane.subscriber.key)
    assert record is not None
    assert record.open
