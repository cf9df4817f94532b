"""How much room the journal has, and for whom."""

import logging
from unittest.mock import Mock

import pytest

from eventbus.core.errors import BacklogFull
from eventbus.core.model import Message
from eventbus.journal.base import Usage
from eventbus.services.journal_room import EVENT_OVERHEAD_BYTES, JournalRoom, room_for

LIMIT = 1_000_000


def room_with(used: int) -> JournalRoom:
    """Of a journal that holds so many bytes, and where no publish waits."""
    journal = Mock()
    journal.usage.return_value = Usage(used, 1)
    room = JournalRoom(journal, LIMIT, 0.0)
    room.measure()
    return room


def test_any_publish_fits_as_long_as_there_is_room_enough() -> None:
    """Below the high-water mark one may take all that is left."""
    room = room_with(LIMIT // 2)
    room.reserve(LIMIT // 2)
    assert room.bytes == LIMIT


def test_a_large_publish_leaves_the_last_room_to_small_ones() -> None:
    """Above the high-water mark a publish takes an eighth of what is left at most, and keeps no small one out."""
    room = room_with(LIMIT - 80_000)
    with pytest.raises(BacklogFull):
        room.reserve(10_001)
    room.reserve(10_000)
    for _ in range(500):
        room.reserve(50)
    with pytest.raises(BacklogFull):
        room.reserve(10_000)
    assert room.bytes < LIMIT


def test_nothing_fits_a_full_journal() -> None:
    """The limit is never passed."""
    room = room_with(LIMIT - 10)
    with pytest.raises(BacklogFull):
        room.reserve(11)


def test_what_the_bus_keeps_itself_leaves_the_last_room_to_publishers() -> None:
    """It fits up to a tenth of the limit, and counts as what is published does."""
    room = room_with(0)
    room.reserve_spare(LIMIT * 8 // 10)
    assert room.bytes == LIMIT * 8 // 10
    with pytest.raises(BacklogFull, match="its last room is for publishers"):
        room.reserve_spare(LIMIT * 2 // 10)
    room.reserve(LIMIT // 100)
    assert room.bytes == LIMIT * 81 // 100


def test_a_message_needs_room_for_its_body_its_head_and_its_row() -> None:
    """The bytes of bodies and heads count as they are, and a fixed number for the rest of each message."""
    messages = [Message("a", "t", b"12", b"123", 1.0), Message("bc", None, b"", b"1234", 2.0)]
    assert (room_for(messages), room_for([])) == (9 + 2 * EVENT_OVERHEAD_BYTES, 0)


def test_a_full_journal_is_logged_once_until_what_was_refused_fits(caplog: pytest.LogCaptureFixture) -> None:
    """Large publishes that go on being refused, and measurements in between, add no lines."""
    caplog.set_level(logging.INFO)
    journal = Mock()
    journal.usage.return_value = Usage(LIMIT - 80_000, 1)
    room = JournalRoom(journal, LIMIT, 0.0)
    for size in (30_000, 20_000, 50_000):
        room.measure()
        with pytest.raises(BacklogFull):
            room.reserve(size)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    journal.usage.return_value = Usage(LIMIT // 2, 1)
    for _ in range(2):
        room.measure()
    assert [record.getMessage() for record in caplog.records[1:]] == ["the journal has room again"]
