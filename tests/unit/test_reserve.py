"""How much room is kept back on a disk, and how much of it the write-ahead log may need."""

import pytest

from eventbus.journal.sqlite.disk import LEAST_WAL_PAGES, WAL_PAGES, wal_pages
from eventbus.journal.sqlite.file import PAGE_SIZE
from eventbus.journal.sqlite.reserve import LEAST_BYTES, MOST_BYTES, reserve_size
from eventbus.journal.sqlite.store import MEMORY, Store

MIB, GIB = 1_048_576, 1_073_741_824


@pytest.mark.parametrize(
    ("free", "max_bytes", "size"),
    [
        (100 * GIB, GIB, 16 * MIB),
        (100 * GIB, 2**50, MOST_BYTES),
        (100 * GIB, 256 * MIB, 4 * MIB),
        (100 * GIB, MIB, LEAST_BYTES),
        (8 * MIB, GIB, MIB),
        (2 * LEAST_BYTES, GIB, LEAST_BYTES),
        (2 * LEAST_BYTES - 1, GIB, 0),
        (0, GIB, 0),
    ],
)
def test_a_reserve_is_a_share_of_the_limit_and_of_the_room(free: int, max_bytes: int, size: int) -> None:
    """It is a 64th of the limit and an eighth of what is free, within bounds, and leaves as much to publish into."""
    assert reserve_size(free, max_bytes) == size


def test_what_was_given_up_is_taken_back_whole() -> None:
    """The room that was just given up is not enough to take a smaller reserve of it, again and again."""
    assert reserve_size(MIB, GIB, least=MIB) == 0
    assert reserve_size(2 * MIB, GIB, least=MIB) == MIB


@pytest.mark.parametrize("reserve", [LEAST_BYTES, MIB, 4 * MIB, MOST_BYTES])
def test_the_log_fits_twice_into_the_reserve(reserve: int) -> None:
    """All pages of a log that is due to be emptied, and as much again, find room in the reserve."""
    pages = wal_pages(reserve)
    assert LEAST_WAL_PAGES <= pages <= WAL_PAGES
    assert 2 * pages * PAGE_SIZE <= reserve


def test_a_journal_in_memory_has_no_disk() -> None:
    """A journal that ends with the process keeps no room back, whatever its limit."""
    store = Store(MEMORY, max_bytes=GIB)
    store.open()
    assert store.usage().max_bytes is None
    assert not store.look().full
    store.close()
