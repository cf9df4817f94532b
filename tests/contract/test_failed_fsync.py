"""A commit that fails is no commit: nobody is told that it worked, nothing of it is kept, and the next one works."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import gevent
import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.errors import JournalError, JournalFull, JournalUnavailable
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Event, Message, Terms
from eventbus.core.records import Checkpoint, DeadLetter
from eventbus.core.settings import Settings
from eventbus.delivery.lane.lane_record import new_record
from eventbus.journal.group_commit import Publish
from eventbus.journal.sqlite import SqliteJournal
from eventbus.journal.sqlite.store import Store
from eventbus.services.bus import Bus
from tests.support.deadline import eventually
from tests.support.faulty_sqlite import Faults, faulty_connect, sqlite_error
from tests.support.lanes import TAKEN, subscriber_with
from tests.support.scripted import ScriptedTransport

FSYNC = "SQLITE_IOERR_FSYNC"
PUBLISHERS = 20
ALL = 1_000_000


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """What fails, which is nothing until a test plans it."""
    planned = Faults()
    monkeypatch.setattr(sqlite3, "connect", faulty_connect(planned))
    return planned


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the journal is."""
    return str(tmp_path / "bus.db")


@pytest.fixture
def journal(faults: Faults, path: str) -> Iterator[SqliteJournal]:
    """An open journal with one event in it."""
    opened = SqliteJournal(path)
    opened.open()
    opened.append(messages("first"))
    yield opened
    opened.close()


def messages(*bodies: str) -> list[Message]:
    """Messages with these bodies."""
    return [Message(new_event_id(), None, b"", body.encode(), 1.0) for body in bodies]


def kept(path: str) -> list[tuple[int, str]]:
    """What a process that opens the journal now finds: numbers and bodies."""
    journal = SqliteJournal(path)
    journal.open()
    events = journal.page(0, ALL, ALL, ALL).events
    journal.close()
    return [(event.seq, event.body.decode()) for event in events]


def publish_at_once(journal: SqliteJournal, count: int) -> list[JournalError | None]:
    """So many publishers that share a commit; what each was told."""

    def publish(number: int) -> JournalError | None:
        try:
            journal.append(messages(f"lost {number}"), f"key-{number}")
        except JournalError as error:
            return error
        return None

    publishers = [gevent.spawn(publish, number) for number in range(count)]
    gevent.joinall(publishers, raise_error=True)
    return [publisher.value for publisher in publishers]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (FSYNC, JournalUnavailable),
        ("SQLITE_IOERR_WRITE", JournalUnavailable),
        ("SQLITE_IOERR", JournalUnavailable),
        ("SQLITE_FULL", JournalFull),
    ],
)
def test_nobody_in_a_failed_batch_is_told_that_it_worked(
    journal: SqliteJournal, faults: Faults, path: str, name: str, kind: type[JournalError]
) -> None:
    """Every publisher of the batch is refused with a sentence, and none of their events is there after reopening."""
    faults.plan("COMMIT", sqlite_error(name))
    told = publish_at_once(journal, PUBLISHERS)
    assert faults.met == ["COMMIT"]
    assert all(isinstance(error, kind) and "nothing of this was kept" in str(error) for error in told)
    assert journal.append(messages("next")).duplicate is False
    journal.close()
    assert kept(path) == [(1, "first"), (2, "next")]


@pytest.mark.parametrize("statement", ["COMMIT", "BEGIN IMMEDIATE"])
def test_a_failed_batch_is_not_offered_to_anybody(journal: SqliteJournal, faults: Faults, statement: str) -> None:
    """Who listens hears of no event whose commit failed, and of the next ones with no number left out."""
    heard: list[Event] = []
    journal.listen(heard.extend)
    faults.plan(statement, sqlite_error(FSYNC))
    assert None not in publish_at_once(journal, PUBLISHERS)
    journal.append(messages("a", "b"))
    assert [(event.seq, event.body) for event in heard] == [(2, b"a"), (3, b"b")]


def test_a_failed_publish_does_not_use_its_key_up(journal: SqliteJournal, faults: Faults) -> None:
    """The idempotency key of a publish that failed is free for the publisher's next attempt."""
    faults.plan("COMMIT", sqlite_error(FSYNC))
    with pytest.raises(JournalUnavailable):
        journal.append(messages("try"), "key")
    assert journal.append(messages("again"), "key").duplicate is False
    assert journal.append(messages("again"), "key").duplicate is True


def test_a_disk_that_stays_broken_keeps_nothing(journal: SqliteJournal, faults: Faults, path: str) -> None:
    """However often commits fail in a row, each is refused, and the first that works is kept."""
    faults.plan("COMMIT", *(sqlite_error(FSYNC) for _ in range(10)))
    for _ in range(10):
        with pytest.raises(JournalUnavailable):
            journal.append(messages("lost"))
    journal.append(messages("kept"))
    journal.close()
    assert kept(path) == [(1, "first"), (2, "kept")]


@pytest.mark.parametrize(
    "commit",
    [lambda journal: journal.append(messages("lost"), "key"), lambda journal: journal.checkpoint(Checkpoint(1.0, 9))],
    ids=["publish", "checkpoint"],
)
def test_a_rollback_that_fails_as_well_keeps_nothing(
    journal: SqliteJournal, faults: Faults, path: str, commit: Callable[[SqliteJournal], object]
) -> None:
    """When not even the rollback works, nothing of the batch is ever kept, and what is appended next is."""
    faults.plan("COMMIT", sqlite_error(FSYNC))
    faults.plan("ROLLBACK", sqlite_error(FSYNC))
    with pytest.raises(JournalUnavailable):
        commit(journal)
    assert faults.met == ["COMMIT", "ROLLBACK"]

    def appended() -> bool:
        try:
            journal.append(messages("kept"))
        except JournalUnavailable:
            return False
        return True

    eventually(appended, 5)
    journal.close()
    assert [body for _, body in kept(path)] == ["first", "kept"]


def test_what_is_not_foreseen_fails_the_batch_alone(journal: SqliteJournal, faults: Faults, path: str) -> None:
    """An error of any other kind refuses the batch too, and does not end the writer."""
    faults.plan("COMMIT", MemoryError(), RuntimeError("surprise"))
    for _ in range(2):
        with pytest.raises(JournalUnavailable):
            journal.append(messages("lost"))
    journal.append(messages("kept"))
    journal.close()
    assert [body for _, body in kept(path)] == ["first", "kept"]


def letters(journal: SqliteJournal) -> Sequence[int]:
    """The numbers of the events that have dead letters."""
    return [found.letter.seq for found in journal.dead_letters(None, 0, ALL)]


def test_a_failed_checkpoint_saves_nothing(journal: SqliteJournal, faults: Faults) -> None:
    """A checkpoint is saved whole or not at all, and can be saved again."""
    record = new_record(subscriber_with(), 1.0, 0)
    dead = DeadLetter(record.subscriber.key, 1, 0, "rejected", 1, 1.0, 1.0, 422, "", b"")
    checkpoint = Checkpoint(1.0, 1, lanes=(record,), dead=(dead,))
    faults.plan("COMMIT", sqlite_error(FSYNC))
    with pytest.raises(JournalUnavailable):
        journal.checkpoint(checkpoint)
    assert (letters(journal), journal.lane(record.subscriber.key)) == ([], None)
    journal.checkpoint(checkpoint)
    assert letters(journal) == [1]


def test_a_bus_delivers_nothing_of_a_failed_commit(faults: Faults, path: str) -> None:
    """No subscriber gets an event that was refused, and everybody gets the next."""
    transport = ScriptedTransport(TAKEN)
    bus = Bus(Settings(), SqliteJournal(path), transport)
    bus.start()
    try:
        lane = bus.register(parse_address("127.0.0.1:8000"), Terms()).lane
        bus.dispatcher.checkpointer.save()
        faults.plan("COMMIT", sqlite_error(FSYNC))
        with pytest.raises(JournalUnavailable):
            bus.publish(messages("lost"))
        (event,) = bus.publish(messages("kept")).ids
        eventually(lambda: lane.delivered == 1, 10)
        assert transport.taken == {(lane.subscriber.key, event): 1}
        assert (lane.accepted, lane.backlog) == (1, 0)
    finally:
        bus.stop()


def test_a_probe_writes_once_a_second_at_most(path: str) -> None:
    """Whether the journal can be written is found by writing to it, and known for a second."""
    store, log = Store(path), Path(f"{path}-wal")
    store.open()
    store.commit([Publish(messages("first"), None)], [])
    sizes = []
    for now in (0.0, 0.5, 1.0):
        store.probe(now)
        sizes.append(log.stat().st_size)
    assert sizes[0] == sizes[1] < sizes[2]
    store.close()
    assert kept(path) == [(1, "first")]


@pytest.mark.parametrize(("name", "refused"), [(FSYNC, True), ("SQLITE_FULL", False)])
def test_a_probe_tells_a_disk_that_fails_until_it_works(faults: Faults, path: str, name: str, refused: bool) -> None:
    """A journal that cannot be written is not ready, one on a full disk is, and the next second is asked for again."""
    store = Store(path)
    store.open()
    faults.plan("COMMIT", sqlite_error(name))
    for now in (0.0, 0.5):
        with pytest.raises(JournalUnavailable) if refused else nullcontext():
            store.probe(now)
    assert faults.met == ["COMMIT"]
    store.probe(1.0)
    store.close()
