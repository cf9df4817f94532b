"""A bus moves what is due by its wall clock, whatever that does, and goes on after what was refused."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.errors import JournalFull
from eventbus.core.model import Message, Terms
from eventbus.core.override import override
from eventbus.core.schedule import ScheduleState
from eventbus.core.settings import Settings
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from eventbus.services.snapshot import snapshot_of
from eventbus.services.timing import ServiceTiming
from tests.support.deadline import eventually
from tests.support.lanes import TAKEN
from tests.support.scripted import ScriptedTransport

KEY = "127.0.0.1:8000"
HOUR = 3_600.0


class RefusingJournal(SqliteJournal):
    """A journal that refuses to move anything while it is told so."""

    refusing = False
    refused = 0

    @override
    def move_due(self, now: float, limit: int, max_bytes: int) -> ScheduleState:
        if self.refusing:
            self.refused += 1
            raise JournalFull("The disk that holds the journal is full; nothing of this was kept.")
        return super().move_due(now, limit, max_bytes)


class Scene:
    """A bus on a file, with a wall clock that a test steps, which may be started again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.step = 0.0  #: seconds by which the wall clock is ahead
        self.start()

    def wall(self) -> float:
        """The time of day, as the bus has it."""
        return time.time() + self.step

    def start(self, wait: float = 0.02) -> None:
        """Start the bus; nothing is waited for longer than ``wait`` seconds."""
        self.transport = ScriptedTransport(always=TAKEN)
        clock, timing = Clock(wall=self.wall), ServiceTiming(schedule_wait_seconds=wait)
        self.journal = RefusingJournal(str(self._path), clock)
        self.bus = Bus(Settings(), self.journal, self.transport, clock, timing=timing)
        self.bus.start()

    def restart(self, wait: float = 0.02) -> None:
        """Stop the bus and start it again."""
        self.bus.stop()
        self.start(wait)

    def schedule(self, event_id: str, seconds: float) -> None:
        """Publish an event that is due in so many seconds."""
        message = Message(event_id, "a", b"", b"{}", self.wall())
        self.bus.publish([message], due_at=self.wall() + seconds)

    def entered(self) -> list[str]:
        """The events of the journal, in order."""
        return [event.id for event in self.journal.page(0, 2**53, 1_000, 2**30).events]

    def delivered(self) -> list[str]:
        """The events that the subscriber has."""
        return sorted(event_id for _, event_id in self.transport.taken)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """One of these."""
    found = Scene(tmp_path / "bus.db")
    yield found
    found.bus.stop()


def test_an_event_that_is_due_before_the_others_is_not_waited_past(scene: Scene) -> None:
    """An event that is accepted while the bus waits for a later one enters when it is due."""
    scene.restart(wait=60)
    scene.schedule("later", HOUR)
    scene.schedule("soon", 0.05)
    eventually(lambda: scene.entered() == ["soon"], 10)
    assert [each.message.id for each in scene.bus.schedule.page(None, 10, 10**6)] == ["later"]


def test_no_event_enters_before_it_is_due(scene: Scene) -> None:
    """``accepted_at`` of an event that was scheduled is never before its due time."""
    due = {f"e-{number}": scene.wall() + 0.01 * number for number in range(30)}
    for event_id, moment in due.items():
        scene.schedule(event_id, moment - scene.wall())
    eventually(lambda: len(scene.entered()) == len(due), 10)
    found = scene.journal.page(0, 100, 100, 2**30).events
    assert [event.id for event in found] == list(due)
    assert all(event.accepted_at >= due[event.id] - 0.000_5 for event in found)  # due times are whole milliseconds


def test_who_registers_before_the_due_time_gets_the_event(scene: Scene) -> None:
    """Subscribers are found when an event enters the journal, and not when it is published."""
    scene.schedule("later", HOUR)
    scene.bus.register(parse_address(KEY), Terms(topics=("a",)))
    assert scene.bus.dispatcher.lanes[KEY].accepted == 0
    scene.step += HOUR
    eventually(lambda: scene.delivered() == ["later"], 10)
    assert scene.bus.dispatcher.lanes[KEY].accepted == 1


def test_a_clock_that_is_set_forward_makes_events_due(scene: Scene) -> None:
    """What is due by the new time enters, in order; the rest waits on."""
    for event_id, seconds in (("c", 3 * HOUR), ("b", HOUR - 1), ("a", HOUR - 2)):
        scene.schedule(event_id, seconds)
    scene.step += HOUR
    eventually(lambda: scene.entered() == ["a", "b"], 10)
    scene.step += 2 * HOUR
    eventually(lambda: scene.entered() == ["a", "b", "c"], 10)


def test_a_clock_that_is_set_back_lets_events_wait(scene: Scene) -> None:
    """Nothing enters before its time by the new clock, and nothing twice once that time has come again."""
    scene.schedule("before", 0)
    eventually(lambda: scene.entered() == ["before"], 10)
    scene.schedule("waits", 0.5)
    scene.step -= HOUR
    scene.schedule("after the step", 0.05)
    eventually(lambda: scene.entered() == ["before", "after the step"], 10)
    left = snapshot_of(scene.bus).scheduled_next_seconds
    assert left is not None
    assert HOUR - 1 < left < HOUR + 1
    scene.restart()
    scene.step += HOUR
    eventually(lambda: scene.entered() == ["before", "after the step", "waits"], 10)


def test_what_is_overdue_enters_at_the_start_in_order(scene: Scene) -> None:
    """After a downtime the earliest comes first, whenever it was published."""
    scene.bus.register(parse_address(KEY), Terms(topics=("a",)))
    for event_id, seconds in (("c", 90.0), ("a", 30.0), ("d", HOUR), ("b", 60.0)):
        scene.schedule(event_id, seconds)
    scene.bus.stop()
    scene.step += 100
    scene.start()
    eventually(lambda: scene.delivered() == ["a", "b", "c"], 10)
    assert scene.entered() == ["a", "b", "c"]


def test_a_refused_move_is_tried_again_and_logged_once(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """The log says it when it begins and when it ends, and the metrics show that something is overdue."""
    caplog.set_level(logging.INFO, "eventbus.services.schedule_mover")
    scene.journal.refusing = True
    scene.schedule("late", 0.01)
    eventually(lambda: scene.journal.refused >= 3, 10)
    now = snapshot_of(scene.bus)
    assert now.scheduled == 1
    assert now.scheduled_next_seconds is not None
    assert now.scheduled_next_seconds < 0
    scene.journal.refusing = False
    eventually(lambda: scene.entered() == ["late"], 10)
    eventually(lambda: "scheduled events enter the journal again" in caplog.text, 10)
    assert caplog.text.count("scheduled events do not enter the journal: The disk that holds the journal is full") == 1
    assert (snapshot_of(scene.bus).scheduled, snapshot_of(scene.bus).scheduled_next_seconds) == (0, None)


def test_a_bus_that_drains_moves_nothing(scene: Scene) -> None:
    """What is due while the bus stops is for the next start."""
    scene.schedule("due meanwhile", HOUR)
    scene.bus.drain()
    scene.step += HOUR
    scene.start(wait=60)
    eventually(lambda: scene.entered() == ["due meanwhile"], 10)


def test_a_large_backlog_enters_in_several_commits(scene: Scene) -> None:
    """What is due at once enters up to a thousand events a commit, and all of it."""
    sizes: list[int] = []
    scene.bus.publish(
        [Message(f"e-{number:04d}", None, b"", b"{}", scene.wall()) for number in range(2_500)],
        due_at=scene.wall() + HOUR,
    )
    scene.journal.listen(lambda events: sizes.append(len(events)))
    scene.step += HOUR
    eventually(lambda: sum(sizes) == 2_500, 20)
    assert [size for size in sizes if size] == [1_000, 1_000, 500]


def test_each_event_counts_once_as_accepted(scene: Scene) -> None:
    """The counter of accepted events rises when an event is published, and not again when it enters."""
    scene.schedule("a", 0.05)
    assert scene.bus.counters.accepted_events == 1
    eventually(lambda: scene.entered() == ["a"], 10)
    assert scene.bus.counters.accepted_events == 1
