"""A bus publishes the events of dead letters again, once each."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Event, Message, Terms
from eventbus.core.settings import Settings
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.journal.base import Appended
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services import journal_room
from eventbus.services.bus import Bus
from eventbus.services.dead_letters import Chosen
from eventbus.services.timing import ServiceTiming
from tests.support.deadline import eventually
from tests.support.lanes import EPOCH, UNWANTED
from tests.support.scripted import ScriptedTransport

KEY, OTHER = "127.0.0.1:8000", "127.0.0.1:8001"
TOPIC = "orders.dead"


class Scene:
    """A bus on a file whose subscribers take nothing, and may be started again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.start()

    def start(self) -> None:
        """Start the bus."""
        self.transport = ScriptedTransport()
        self.transport.always = UNWANTED
        timing = ServiceTiming(dead_events_interval_seconds=0.02, dead_events_page=7)
        self.bus = Bus(Settings(), SqliteJournal(str(self._path)), self.transport, timing=timing)
        self.bus.start()

    def publish(self, count: int = 1, topic: str = "orders.created") -> None:
        """Publish so many events."""
        self.bus.publish([Message(new_event_id(), topic, b"ce-a: b\r\n", b"%d" % n, EPOCH) for n in range(count)])

    def dead_events(self) -> list[Event]:
        """What was published under the topic."""
        return [event for event in self.bus.journal.page(0, 10_000, 1_000, 2**30).events if event.topic == TOPIC]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """One of these."""
    found = Scene(tmp_path / "bus.db")
    yield found
    found.bus.stop()


def test_a_dead_letter_is_published_and_stays_one(scene: Scene) -> None:
    """With body and headers, in order; the account counts a dead letter, and the new event as any other."""
    scene.bus.register(parse_address(KEY), Terms(dead_to=TOPIC, topics=("orders.created",), max_in_flight=1))
    scene.publish(3)
    eventually(lambda: len(scene.dead_events()) == 3, 10)
    assert [event.body for event in scene.dead_events()] == [b"0", b"1", b"2"]
    headers = scene.dead_events()[0].headers
    first = scene.bus.journal.find([1])[0]
    assert headers == {
        "ce-a": "b",
        "Eventbus-Dead-Reason": "rejected",
        "Eventbus-Dead-Subscriber": KEY,
        "Eventbus-Dead-Event": first.id,
        "Eventbus-Dead-Topic": "orders.created",
    }
    lane = scene.bus.dispatcher.lanes[KEY]
    assert (lane.accepted, lane.dead, lane.backlog) == (3, 3, 0)


def test_a_dead_event_that_dies_is_not_published_again(scene: Scene) -> None:
    """Not where its own subscriber takes everything, nor where another one names the same topic."""
    for key in (KEY, OTHER):
        scene.bus.register(parse_address(key), Terms(dead_to=TOPIC))
    scene.publish()
    lanes = scene.bus.dispatcher.lanes
    eventually(lambda: [lanes[key].dead for key in (KEY, OTHER)] == [3, 3], 10)  # one event, and one of each
    eventually(lambda: not scene.bus.journal.unpublished_letters(1), 10)
    assert len(scene.dead_events()) == 2


def test_what_is_discarded_is_not_published(scene: Scene) -> None:
    """A subscriber that answers 410 discards what is pending: nothing of that is dead."""
    scene.transport.always = DeliveryResponse(410)
    scene.bus.register(parse_address(KEY), Terms(dead_to=TOPIC, topics=("orders.created",)))
    scene.publish(5)
    eventually(lambda: KEY not in scene.bus.dispatcher.lanes, 10)
    assert scene.bus.dead_letters.page(None, 0, 10) == []
    assert scene.dead_events() == []


def test_a_replayed_dead_letter_that_dies_again_is_published_again(scene: Scene) -> None:
    """Each death is one."""
    scene.bus.register(parse_address(KEY), Terms(dead_to=TOPIC, topics=("orders.created",)))
    scene.publish()
    eventually(lambda: len(scene.dead_events()) == 1, 10)
    assert scene.bus.dead_letters.replay(Chosen(KEY), new_event_id()).replayed == 1
    eventually(lambda: len(scene.dead_events()) == 2, 10)


def test_without_the_option_nothing_is_published_and_a_change_holds_from_then_on(scene: Scene) -> None:
    """What was dead before the option was set stays a dead letter alone."""
    topics = ("orders.created",)
    scene.bus.register(parse_address(KEY), Terms(topics=topics))
    scene.publish()
    lanes = scene.bus.dispatcher.lanes
    eventually(lambda: lanes[KEY].dead == 1, 10)
    scene.bus.register(parse_address(KEY), Terms(dead_to=TOPIC, topics=topics))
    scene.publish()
    eventually(lambda: len(scene.dead_events()) == 1, 10)
    scene.bus.register(parse_address(KEY), Terms(dead_to="", topics=topics))
    scene.publish()
    eventually(lambda: lanes[KEY].dead == 3, 10)
    assert scene.bus.journal.unpublished_letters(10) == []
    assert len(scene.dead_events()) == 1


def test_what_a_lease_leaves_is_published(scene: Scene) -> None:
    """Also what becomes dead letters in bulk, when a lease ends, some at a time."""
    scene.transport.always = DeliveryResponse(None, error="refused")
    scene.bus.register(parse_address(KEY), Terms(dead_to=TOPIC, topics=("orders.created",)))
    scene.publish(100)
    lane = scene.bus.dispatcher.lanes[KEY]
    scene.bus.expiry.dead_letter(lane)
    eventually(lambda: len(scene.dead_events()) == 100, 20)
    assert {event.headers["Eventbus-Dead-Reason"] for event in scene.dead_events()} == {"lease ended"}
    assert scene.bus.journal.unpublished_letters(1) == []


def test_a_full_journal_keeps_the_dead_letter_and_publishes_it_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The dead letter counts at once, the log says what waits, and it is published when there is room."""
    room = scene.bus.retention.room
    scene.bus.register(parse_address(KEY), Terms(dead_to=TOPIC, topics=("orders.created",)))
    monkeypatch.setattr(journal_room, "HIGH_WATER", 0.0)
    scene.publish()
    said = "dead letters are not published under their topics yet: The journal is nearly full"
    eventually(lambda: said in caplog.text, 10)
    assert scene.bus.dispatcher.lanes[KEY].dead == 1
    assert scene.dead_events() == []
    monkeypatch.undo()
    room.measure()
    eventually(lambda: len(scene.dead_events()) == 1, 10)


def test_large_events_are_published_one_by_one(scene: Scene) -> None:
    """However large they are, one commit has about a MiB of them."""
    scene.bus.register(parse_address(KEY), Terms(dead_to=TOPIC, topics=("orders.created",)))
    commits: list[list[int]] = []
    append = scene.bus.journal.append

    def noted(messages: Sequence[Message], key: str | None = None, letters: Sequence[int] = ()) -> Appended:
        commits.append([len(message.body) for message in messages])
        return append(messages, key, letters)

    scene.bus.journal.append = noted  # type: ignore[method-assign] # to see what is asked of it
    large = bytes(700_000)
    for _ in range(6):
        append([Message(new_event_id(), "orders.created", b"", large, EPOCH)])
    eventually(lambda: len(scene.dead_events()) == 6, 10)
    assert max(map(len, commits)) <= 2


def test_a_groups_dead_letters_name_the_group(scene: Scene) -> None:
    """The option holds for all members, whichever has failed."""
    for key in (KEY, OTHER):
        scene.bus.register(parse_address(key), Terms(dead_to=TOPIC, topics=("orders.created",)), group="mailer")
    scene.publish(4)
    eventually(lambda: len(scene.dead_events()) == 4, 10)
    assert {event.headers["Eventbus-Dead-Subscriber"] for event in scene.dead_events()} == {"group=mailer"}


def test_each_reason_is_told(scene: Scene) -> None:
    """An event that has used up its attempts, and one that an operator has skipped, are dead letters like others."""
    scene.transport.always = DeliveryResponse(500)
    terms = Terms(dead_to=TOPIC, topics=("orders.created",), max_attempts=1)
    scene.bus.register(parse_address(KEY), terms)
    scene.publish()
    eventually(lambda: len(scene.dead_events()) == 1, 10)
    scene.bus.register(parse_address(KEY), Terms(max_attempts=0, backoff=(600.0, 600.0)))
    scene.publish()
    lane = scene.bus.dispatcher.lanes[KEY]
    eventually(lambda: lane.retries.count == 1, 10)
    newest = scene.bus.journal.find([lane.live.cursor])[0]
    scene.bus.skips.skip(KEY, newest.id)
    eventually(lambda: len(scene.dead_events()) == 2, 10)
    reasons = [event.headers["Eventbus-Dead-Reason"] for event in scene.dead_events()]
    assert reasons == ["not delivered in 1 attempts", "skipped"]


def test_what_was_not_published_is_after_a_restart(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once: those that were published before are not again."""
    scene.bus.register(parse_address(KEY), Terms(dead_to=TOPIC, topics=("orders.created",)))
    scene.publish(2)
    eventually(lambda: len(scene.dead_events()) == 2, 10)
    monkeypatch.setattr("eventbus.services.dead_events.DeadEvents.publish_next", lambda _: False)
    scene.publish(3)
    eventually(lambda: scene.bus.dispatcher.lanes[KEY].dead == 5, 10)
    scene.bus.stop()
    monkeypatch.undo()
    scene.start()
    eventually(lambda: len(scene.dead_events()) == 5, 10)
    assert len({event.headers["Eventbus-Dead-Event"] for event in scene.dead_events()}) == 5
