"""Publishers wait for the journal's thread, and so for little else that it does."""

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from eventbus.core.clock import Clock
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message
from eventbus.delivery.changed_lanes import PART_LANES
from eventbus.delivery.checkpointer import Checkpointer
from eventbus.journal.sqlite import SqliteJournal
from tests.support.lanes import EPOCH, lane_with

EVENTS, BODY = 40, b"x" * 1_000_000


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """One with many large events."""
    found = SqliteJournal(str(tmp_path / "bus.db"))
    found.open()
    found.append([event() for _ in range(EVENTS)])
    yield found
    found.close()


def event() -> Message:
    """A large event."""
    return Message(new_event_id(), None, b"", BODY, EPOCH)


def test_a_commit_does_not_wait_for_all_that_is_trimmed(journal: SqliteJournal) -> None:
    """Large events are removed in parts, and what is published meanwhile is kept between two of them."""
    trim = gevent.spawn(journal.trim, list(range(1, EVENTS + 1)), 0)
    gevent.sleep(0)
    journal.append([event()])
    assert not trim.ready()
    assert trim.get(timeout=30) == EVENTS


def test_a_commit_does_not_wait_for_all_that_read(journal: SqliteJournal) -> None:
    """However many lanes read their pages, what is published is kept before most of them have theirs."""
    reads = [gevent.spawn(journal.page, 0, EVENTS, EVENTS, 10_000_000) for _ in range(20)]
    gevent.sleep(0)
    journal.append([event()])
    assert sum(read.ready() for read in reads) < 10
    gevent.joinall(reads, 30, raise_error=True)


def test_a_commit_does_not_wait_for_all_lanes_that_are_saved(journal: SqliteJournal) -> None:
    """However many lanes have changed, what is published meanwhile is kept before most of them are saved."""
    checkpointer, lanes = Checkpointer(journal, Clock(), int), [lane_with(1) for _ in range(20 * PART_LANES)]
    for lane in lanes:
        checkpointer.watch(lane)
    saving = gevent.spawn(checkpointer.save)
    gevent.sleep(0)
    journal.append([event()])
    assert sum(lane.dirty for lane in lanes) > len(lanes) // 2
    saving.get(timeout=30)
    assert not any(lane.dirty for lane in lanes)
