"""What copying a journal into another does, in all four directions."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import pytest

from eventbus.core.clock import Clock
from eventbus.core.errors import JournalError, JournalLocked
from eventbus.core.records import Discard
from eventbus.journal.base import Journal
from eventbus.journal.copy.copying import Copying, RecordKind
from eventbus.journal.copy.fingerprints import CancelledEvent
from eventbus.journal.redis import RedisJournal
from eventbus.journal.sqlite import SqliteJournal
from tests.contract.test_journal import KINDS, B, Bench, assert_filled, fill, keep, letter, record, save
from tests.support.events import message
from tests.support.journal_copies import BrokenOffError, FailingTarget, JournalFolder, copy_all, open_both
from tests.support.lanes import EPOCH
from tests.support.redis_server import COMMAND, RedisServer

_NAMES = {"sqlite": "sqlite-file", "redis": "redis"}
DIRECTIONS = list(product(_NAMES, repeat=2))
#: Rows that ``fill`` puts into a journal.
FILLED = 14


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server for all tests of this module."""
    if COMMAND is None:
        pytest.skip("there is no redis-server here")
    with RedisServer(tmp_path_factory.mktemp("redis"), durable=False) as server:
        yield server


@pytest.fixture(params=DIRECTIONS, ids="-".join)
def sides(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[JournalFolder, JournalFolder]:
    """Source and target, with nothing kept."""
    found = []
    for number, kind in enumerate(request.param):
        folder = tmp_path / str(number)
        folder.mkdir()
        if kind == "redis":
            server: RedisServer = request.getfixturevalue("redis_server")
            assert server.ask("FLUSHALL") == b"+OK\r\n"
            (folder / "url").write_text(f"{server.url.removesuffix('/0')}/{number}")
        found.append(JournalFolder(kind, folder))
    return found[0], found[1]


def bench(side: JournalFolder) -> Bench:
    """A journal as a bus opens it."""
    return Bench(next(kind for kind in KINDS if kind.name == _NAMES[side.kind]), side.folder)


def filled(side: JournalFolder) -> None:
    """Put one of everything into a journal, and close it."""
    found = bench(side)
    fill(found.journal)
    found.journal.close()


def journal_of(side: JournalFolder) -> Journal:
    """A journal that is not open yet."""
    if side.kind == "redis":
        return RedisJournal((side.folder / "url").read_text(), Clock(wall=lambda: EPOCH))
    return SqliteJournal(str(side.folder / "events.db"), Clock(wall=lambda: EPOCH))


def test_everything_is_in_the_copy(sides: tuple[JournalFolder, JournalFolder]) -> None:
    """A bus on the copy finds all that the source holds; the source is as it was."""
    source, target = sides
    filled(source)
    before = source.content()
    copy_all(source, target)
    assert source.content() == target.content() == before
    found = bench(target)
    try:
        assert_filled(found)
        assert found.journal.usage().events == 3
        assert found.journal.closed_lanes(EPOCH + 1, 10) == [replace(record("over"), ended_at=EPOCH)]
    finally:
        found.journal.close()


def test_the_copy_counts_on(sides: tuple[JournalFolder, JournalFolder]) -> None:
    """Numbers of events and ids of dead letters that were used in the source are not used again, though all is gone."""
    source, target = sides
    begun = bench(source)
    keep(begun.journal, "a", "b", "c")
    save(begun.journal, 3, dead=(letter(2), letter(3)))
    last = begun.journal.last_dead_letter()
    save(begun.journal, 3, dropped=(last, last - 1))
    assert begun.journal.trim([1, 2, 3], 0) == 3
    begun.journal.close()
    copy_all(source, target)
    found = bench(target)
    try:
        keep(found.journal, "d")
        save(found.journal, 4, dead=(letter(4),))
        kept = found.journal.event("d")
        assert kept is not None
        assert kept.seq == 4
        assert found.journal.last_dead_letter() == last + 1
    finally:
        found.journal.close()


@pytest.mark.parametrize("kept", [False, True], ids=["before it is kept", "after it is kept"])
def test_a_copy_that_was_broken_off_goes_on(sides: tuple[JournalFolder, JournalFolder], kept: bool) -> None:
    """Wherever it breaks, no bus starts on what there is, and the next run adds the rest, and nothing twice."""
    source, target = sides
    filled(source)
    for nth in range(1, FILLED + 1):
        empty(target)
        with open_both(source, target) as ends:
            copying = Copying(ends[0], FailingTarget(ends[1], nth, kept=kept), rows=1)
            copying.begin()
            with pytest.raises(BrokenOffError):
                copying.run(lambda _: None)
        with pytest.raises(JournalError, match=r"unfinished copy of .*eventbus journal copy"):
            journal_of(target).open()
        told: list[int] = []
        with open_both(source, target) as ends:
            again = Copying(*ends, rows=1)
            assert again.begin().done == (nth if kept else nth - 1)
            again.run(told.append)
            assert told == list(range(nth + kept, FILLED + 1))
            again.finish(told.append)
        assert target.content() == source.content()


def empty(side: JournalFolder) -> None:
    """Let a journal hold nothing."""
    if side.kind == "redis":
        journal = RedisJournal((side.folder / "url").read_text())
        journal._client.flushdb()  # noqa: SLF001 - a test's own way to its database
        journal._client.close()  # noqa: SLF001
    else:
        for file in side.folder.glob("events.db*"):
            file.unlink()


@pytest.mark.parametrize("more", [True, False], ids=["more", "other"])
def test_a_copy_that_is_not_what_was_copied_is_no_journal(
    sides: tuple[JournalFolder, JournalFolder], more: bool
) -> None:
    """What is read back at the end is compared: where something else is there, no bus starts on it."""
    source, target = sides
    filled(source)
    with open_both(source, target) as ends:
        copying = Copying(*ends)
        copying.begin()
        copying.run(lambda _: None)
        late = CancelledEvent("not in the source", EPOCH) if more else None
        ends[1].write([late] if late else [], replace(copying.mark, digest=copying.mark.digest + (not more)))
        again = Copying(*ends)
        again.begin()
        again.run(lambda _: None)
        with pytest.raises(JournalError, match="does not hold what was copied"):
            again.finish(lambda _: None)
    with pytest.raises(JournalError, match="unfinished copy"):
        journal_of(target).open()


def test_nothing_is_copied_over_a_journal(sides: tuple[JournalFolder, JournalFolder]) -> None:
    """A target that holds something, or is the copy of something else, is refused, and so is half a copy as source."""
    source, target = sides
    filled(source)
    filled(target)
    before = target.content()
    with pytest.raises(JournalError, match="holds a journal already"):
        copy_all(source, target)
    assert target.content() == before
    empty(target)
    with open_both(source, target) as (first, second):
        second.write((), replace(Copying(first, second).begin(), source="elsewhere"))
        for one, other, why in ((first, second, "copy of elsewhere"), (second, first, "unfinished copy")):
            with pytest.raises(JournalError, match=why):
                Copying(one, other).begin()


def test_a_source_that_has_gone_on_is_copied_anew(sides: tuple[JournalFolder, JournalFolder]) -> None:
    """When the source is not any more what it was when the copy began, the copy is not finished."""
    source, target = sides
    filled(source)
    with open_both(source, target) as ends:
        Copying(*ends).begin()
    found = bench(source)
    keep(found.journal, "late")
    found.journal.close()
    with pytest.raises(JournalError, match="has changed since the copy began"):
        copy_all(source, target)


@pytest.mark.parametrize("used", [0, 1], ids=["source", "target"])
def test_a_journal_in_use_is_refused(sides: tuple[JournalFolder, JournalFolder], used: int) -> None:
    """While a bus runs on either, nothing is copied."""
    filled(sides[0])
    running = bench(sides[used])
    try:
        with pytest.raises(JournalLocked):
            copy_all(*sides)
    finally:
        running.journal.close()
    copy_all(*sides)
    assert sides[1].content() == sides[0].content()


def test_batches_are_bounded_in_rows_and_bytes(sides: tuple[JournalFolder, JournalFolder]) -> None:
    """A batch has no more rows than were asked for, and ends where its bytes do; a larger event is one alone."""
    source, _ = sides
    begun = bench(source)
    begun.journal.append([message(str(number), b"x" * 1_000) for number in range(120)])
    for number in range(120):
        begun.journal.append([message(f"keyed-{number}", b"")], f"key-{number}")
    begun.journal.close()
    with source.opened(create=False) as journal:
        for kind in (RecordKind.EVENTS, RecordKind.KEYS):
            places, counts = [""], []
            while (batch := journal.export(kind, places[-1], 100, 50_000)).rows:
                places.append(batch.position)
                counts.append(len(batch.rows))
            assert all(first != second for first, second in pairwise(places))
            assert max(counts) <= 100
            assert sum(counts) == (240 if kind is RecordKind.EVENTS else 120)
        assert len(journal.export(RecordKind.EVENTS, "", 100, 50_000).rows) <= 50
        assert len(journal.export(RecordKind.EVENTS, "", 100, 10).rows) == 1


def test_a_span_that_was_discarded_twice_at_once_counts_once(sides: tuple[JournalFolder, JournalFolder]) -> None:
    """As it does for who asks what became of an event."""
    source, target = sides
    found = bench(source)
    save(found.journal, discards=(Discard(B, 1, 2), Discard(B, 1, 2), Discard(B, 2, 2)))
    found.journal.close()
    copy_all(source, target, rows=1)
    assert len(target.content()[RecordKind.DISCARDS]) == 2 + 2
