"""What is scheduled becomes an event once, or is cancelled, in every kind of journal."""

import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import gevent
import pytest

from eventbus.core.errors import KeyReused
from eventbus.core.model import Event
from eventbus.core.schedule import FIRST_DUE, ScheduleState
from eventbus.journal.base import Appended, Journal
from eventbus.journal.sqlite import SqliteJournal
from tests.contract.test_journal import (
    ALL,
    KINDS,
    ROOT,
    Bench,
    Kind,
    bench,
    held,
    ids,
    journal,
    keep,
    kind,
    lasting,
    redis_server,
)
from tests.support.deadline import eventually
from tests.support.events import message
from tests.support.lanes import EPOCH

__all__ = ["bench", "journal", "kind", "lasting", "redis_server"]
#: More bytes than any of these tests keeps, but where it says so.
ANY = 10**9


def schedule(journal: Journal, due: float, *names: str) -> None:
    """Schedule one event for each name, all due so many seconds from now."""
    journal.append([message(name) for name in names], due_at=EPOCH + due)


def waiting(journal: Journal) -> list[str]:
    """The scheduled events, the one that is due first first."""
    return [each.message.id for each in journal.scheduled(FIRST_DUE, ALL, ANY)]


def move(journal: Journal, now: float, limit: int = ALL, max_bytes: int = ANY) -> ScheduleState:
    """Move what is due so many seconds from now."""
    return journal.move_due(EPOCH + now, limit, max_bytes)


def events(journal: Journal) -> list[str]:
    """The events of the journal, in order."""
    return ids(journal.page(0, ALL, ALL, ANY).events)


def told(bench: Bench) -> list[Event]:
    """The events of which the listener has heard."""
    return [event for batch in bench.batches for event in batch]


def test_a_scheduled_event_is_not_in_the_journal(bench: Bench) -> None:
    """It has no number, and nobody hears of it, until it is moved; it is read as it was published."""
    journal = bench.journal
    later = message("later", b"\x00\xff\n", topic="a.b", head=b"ce-a: b\r\n", at=EPOCH + 0.125, key="k ä")
    assert journal.append([later], due_at=EPOCH + 60.25) == Appended(("later",), due_at=EPOCH + 60.25)
    keep(journal, "now")
    assert (held(journal), journal.event("later"), ids(told(bench))) == ([1], None, ["now"])
    found = journal.scheduled_event("later")
    assert found is not None
    assert (found.message, found.due_at) == (later, EPOCH + 60.25)
    assert journal.scheduled(FIRST_DUE, ALL, ANY) == [found]
    assert journal.schedule_state() == ScheduleState(1, EPOCH + 60.25)
    assert (journal.scheduled_event("now"), journal.cancelled_at("later")) == (None, None)


def test_what_is_due_is_an_event_from_then_on(bench: Bench) -> None:
    """It gets the next number, is accepted at that moment, and is told to the listener; the rest of it stays."""
    journal = bench.journal
    later = message("later", b"\x00\xff\n", topic="a.b", head=b"ce-a: b\r\n", key="k ä")
    journal.append([later], due_at=EPOCH + 60)
    keep(journal, "first")
    assert move(journal, 59.999) == ScheduleState(1, EPOCH + 60)
    assert events(journal) == ["first"]
    assert move(journal, 60.5) == ScheduleState()
    moved = Event(2, *later._replace(accepted_at=EPOCH + 60.5))
    assert journal.event("later") == moved
    eventually(lambda: told(bench)[-1:] == [moved], 5)
    assert (waiting(journal), journal.scheduled_event("later")) == ([], None)
    keep(journal, "last")
    assert events(journal) == ["first", "later", "last"]


def test_events_move_in_the_order_in_which_they_are_due(journal: Journal) -> None:
    """The earliest first, and those of one time in the order in which they were accepted, also within a batch."""
    batch = [f"batch-{number}" for number in random.Random(7).sample(range(100), 30)]  # noqa: S311 - any order
    schedule(journal, 20, *batch)
    schedule(journal, 10, "first")
    schedule(journal, 20, "same time")
    schedule(journal, 15, "second")
    expected = ["first", "second", *batch, "same time"]
    assert waiting(journal) == expected
    assert move(journal, 20, limit=2) == ScheduleState(31, EPOCH + 20)
    assert move(journal, 20, limit=11) == ScheduleState(20, EPOCH + 20)
    assert move(journal, 20) == ScheduleState()
    assert events(journal) == expected


def test_a_move_is_bounded_in_bytes(journal: Journal) -> None:
    """As many move as fit the bytes, and always one."""
    for number in range(5):
        journal.append([message(f"e-{number}", b"x" * 1_000)], due_at=EPOCH)
    assert move(journal, 0, max_bytes=10).count == 4
    assert move(journal, 0, max_bytes=2_900).count == 2
    assert move(journal, 0, max_bytes=ANY).count == 0
    assert events(journal) == [f"e-{number}" for number in range(5)]


def test_pages_of_the_schedule_leave_nothing_out(journal: Journal) -> None:
    """Each page begins after the last event of the one before, though many are due at once and others come and go."""
    schedule(journal, 10, *(f"same-{number}" for number in range(7)))
    schedule(journal, 5, "early")
    schedule(journal, 10.001, "late")
    found: list[str] = []
    position = FIRST_DUE
    while page := journal.scheduled(position, 2, ANY):
        found += [each.message.id for each in page]
        position = page[-1].position
        journal.cancel(found[0], EPOCH)
        move(journal, 5)
    assert found == ["early", *(f"same-{number}" for number in range(7)), "late"]


def test_a_page_of_the_schedule_is_bounded_in_bytes(journal: Journal) -> None:
    """More than one event is on a page only while they fit."""
    for number in range(3):
        journal.append([message(f"e-{number}", b"x" * 1_000)], due_at=EPOCH + number)
    assert [len(journal.scheduled(FIRST_DUE, ALL, size)) for size in (1, 2_500, ANY)] == [1, 2, 3]


def test_a_cancelled_event_never_moves(bench: Bench) -> None:
    """It is gone from the schedule, and the same is answered again; one that has moved is not cancelled."""
    journal = bench.journal
    schedule(journal, 10, "a", "b")
    schedule(journal, 5, "due")
    move(journal, 5)
    assert journal.cancel("a", EPOCH + 6.5) == EPOCH + 6.5
    assert journal.cancel("a", EPOCH + 7) == EPOCH + 6.5
    assert (journal.cancelled_at("a"), waiting(journal)) == (EPOCH + 6.5, ["b"])
    assert journal.schedule_state() == ScheduleState(1, EPOCH + 10)
    assert (journal.cancel("due", EPOCH + 8), journal.cancel("unknown", EPOCH + 8)) == (None, None)
    move(journal, 100)
    assert events(journal) == ["due", "b"]
    assert journal.cancel("b", EPOCH + 101) is None


def test_cancelled_events_are_forgotten_after_a_day(journal: Journal) -> None:
    """A later cancellation forgets those before, so that they take no room for good."""
    schedule(journal, 10, "old", "young", "new")
    journal.cancel("old", EPOCH)
    journal.cancel("young", EPOCH + 1)
    journal.cancel("new", EPOCH + 86_400.5)
    assert (journal.cancelled_at("old"), journal.cancelled_at("young")) == (None, EPOCH + 1)
    assert journal.cancelled_at("new") == EPOCH + 86_400.5


def test_only_so_many_cancelled_events_are_remembered(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit the oldest are forgotten."""
    for module in ("sqlite.schedule", "redis.store.schedule"):
        monkeypatch.setattr(f"eventbus.journal.{module}.MAX_CANCELLED", 3)
    found = Bench(kind, tmp_path)
    names = [f"e-{number}" for number in range(6)]
    schedule(found.journal, 10, *names)
    for number, name in enumerate(names):
        found.journal.cancel(name, EPOCH + number)
    assert [found.journal.cancelled_at(name) is not None for name in names] == [False] * 3 + [True] * 3
    found.journal.close()


def test_a_key_stands_for_what_was_scheduled_first(bench: Bench) -> None:
    """A repeated key has the same ids and time, whenever it comes; only other content is refused."""
    journal, due = bench.journal, EPOCH + 60
    first = Appended(("a", "b"), due_at=due)
    again = Appended(("a", "b"), duplicate=True, due_at=due)
    assert journal.append([message("a"), message("b")], "key", due_at=due) == first
    assert journal.append([message("c"), message("d")], "key", due_at=due + 5) == again
    assert journal.append([message("c"), message("d")], "key") == again
    with pytest.raises(KeyReused):
        journal.append([message("c", b"other"), message("d")], "key", due_at=due)
    move(journal, 60)
    assert journal.append([message("c"), message("d")], "key", due_at=due) == again
    assert journal.append([message("e")], "direct") == Appended(("e",))
    assert journal.append([message("f")], "direct", due_at=due) == Appended(("e",), duplicate=True)
    assert (events(journal), waiting(journal)) == (["a", "b", "e"], [])


def test_a_key_of_a_cancelled_event_schedules_nothing(journal: Journal) -> None:
    """The same publish again is known, and nothing comes of it."""
    journal.append([message("a")], "key", due_at=EPOCH + 5)
    journal.cancel("a", EPOCH)
    assert journal.append([message("b")], "key", due_at=EPOCH + 5).duplicate
    move(journal, 10)
    assert events(journal) == []


def test_scheduled_events_count_for_the_size_of_the_journal(journal: Journal) -> None:
    """They take room from when they are accepted, none more when they move, and none when they are cancelled."""
    empty = journal.usage().bytes
    for name in ("a", "b"):
        journal.append([message(name, b"x" * 100_000)], due_at=EPOCH)
    full = journal.usage().bytes
    assert full - empty >= 190_000
    assert journal.cancel("a", EPOCH) == EPOCH
    half = journal.usage().bytes
    assert full - half >= 95_000
    move(journal, 0)
    assert abs(journal.usage().bytes - half) < 50_000
    assert journal.trim([1], 0) == 1
    assert journal.usage().bytes - empty < 50_000


def test_scheduled_events_outlive_a_trim(journal: Journal) -> None:
    """What is removed from the journal takes nothing out of the schedule."""
    schedule(journal, 60, "later")
    keep(journal, "a")
    assert journal.trim([1], EPOCH + 10**6) == 1
    assert waiting(journal) == ["later"]


def test_the_schedule_outlives_a_close(lasting: Bench) -> None:
    """What waits, what was cancelled, and how many there are is known after the journal was opened again."""
    schedule(lasting.journal, 10, "a", "b", "c")
    lasting.journal.cancel("b", EPOCH)
    found = lasting.reopen()
    assert (waiting(found), found.schedule_state()) == (["a", "c"], ScheduleState(2, EPOCH + 10))
    assert found.cancelled_at("b") == EPOCH
    move(found, 10, limit=1)
    keep(found, "direct")
    assert events(lasting.reopen()) == ["a", "direct"]
    assert waiting(lasting.journal) == ["c"]


#: A process that moves what is due in its journal, one event a commit, until it is killed; it says what it has moved.
MOVES = """
import sys
sys.path.insert(0, {root!r})
from gevent import monkey
monkey.patch_all()
from pathlib import Path
from tests.contract.test_journal import KINDS, Bench
kind = next(kind for kind in KINDS if kind.name == {name!r})
found = Bench(kind, Path({folder!r})).journal
print("open", flush=True)
while found.move_due({now!r}, 1, 1).count:
    print("moved", flush=True)
"""
#: Events that are due at once, and how often the process that moves them is killed.
DUE, KILLS = 120, 3


def test_each_event_moves_once_whenever_the_process_is_killed(kind: Kind, tmp_path: Path) -> None:
    """A process that is killed while it moves leaves each event in the schedule or in the journal, in order."""
    if not kind.lasts:
        pytest.skip("this kind ends with the process")
    found = Bench(kind, tmp_path)
    names = [f"e-{number:03d}" for number in range(DUE)]
    for name in names:
        schedule(found.journal, 0, name)
    found.journal.close()
    script = MOVES.format(root=str(ROOT), name=kind.name, folder=str(tmp_path), now=EPOCH)
    for _ in range(KILLS):
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(random.randint(2, 20)):  # noqa: S311 - at any moment of the commit after so many lines
                process.stdout.readline()
            process.kill()
        found = Bench(kind, tmp_path)
        moved = events(found.journal)
        assert moved
        assert [*moved, *waiting(found.journal)] == names
        assert found.journal.schedule_state().count == DUE - len(moved)
        found.journal.close()
    found = Bench(kind, tmp_path)
    move(found.journal, 0)
    assert (events(found.journal), waiting(found.journal)) == (names, [])
    found.journal.close()


def test_an_event_is_cancelled_or_moves_and_the_answer_says_which(bench: Bench) -> None:
    """Where many are cancelled while they move and others are published, each is one of both, and never both."""
    journal = bench.journal
    names = [f"e-{number:03d}" for number in range(300)]
    schedule(journal, 0, *names)
    cancelled: dict[str, bool] = {}

    def cancel_some(mine: list[str]) -> None:
        for name in mine:
            cancelled[name] = journal.cancel(name, EPOCH) is not None

    def move_all() -> None:
        while move(journal, 0, limit=7).count:
            gevent.sleep(0)

    order = random.sample(names, len(names))
    others = gevent.spawn(lambda: [keep(journal, f"direct-{number}") for number in range(20)])
    greenlets = [gevent.spawn(cancel_some, order[start::4]) for start in range(4)]
    gevent.joinall([*greenlets, gevent.spawn(move_all), gevent.spawn(move_all), others], raise_error=True)
    in_journal = [name for name in events(journal) if name.startswith("e-")]
    assert in_journal == [name for name in names if not cancelled[name]]
    assert 0 < len(in_journal) < len(names)
    eventually(lambda: len(told(bench)) == len(in_journal) + 20, 5)
    assert ids(told(bench)) == events(journal)
    assert journal.schedule_state() == ScheduleState()


def test_two_nodes_move_each_event_once(kind: Kind, tmp_path: Path) -> None:
    """Whichever node of a cluster moves an event, it is in the journal once, and both hear of it."""
    if kind.name != "redis":
        pytest.skip("one process owns this kind")
    nodes = [Bench(kind, tmp_path) for _ in range(2)]
    names = [f"e-{number:03d}" for number in range(100)]
    schedule(nodes[0].journal, 0, *names)

    def move_all(journal: Journal) -> None:
        while move(journal, 0, limit=3).count:
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(move_all, node.journal) for node in nodes], raise_error=True)
    assert events(nodes[0].journal) == names
    for node in nodes:
        eventually(lambda node=node: ids(told(node)) == names, 5)
        node.journal.close()


def test_a_journal_of_the_version_before_has_nothing_scheduled(tmp_path: Path) -> None:
    """A file without the tables of the schedule gets them when it is opened, and keeps its keys."""
    path = tmp_path / "events.db"
    found = Bench(KINDS[0], tmp_path)
    found.journal.append([message("a")], "key")
    found.journal.close()
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "ALTER TABLE deferred DROP COLUMN past_expires;"  # of a later version
            "DROP TABLE scheduled; DROP TABLE cancelled; ALTER TABLE idempotency DROP COLUMN due_at;"
            "PRAGMA user_version = 7"
        )
    journal = SqliteJournal(str(path))
    journal.open()
    assert (journal.schedule_state(), waiting(journal)) == (ScheduleState(), [])
    assert journal.append([message("b")], "key") == Appended(("a",), duplicate=True)
    schedule(journal, 0, "c")
    move(journal, 0)
    assert events(journal) == ["a", "c"]
    journal.close()
