"""How lanes that lag at the same position share the pages that are read for them."""

from collections.abc import Callable
from typing import Any, cast

import gevent
import pytest

from eventbus.core.errors import JournalUnavailable
from eventbus.core.model import Event
from eventbus.delivery.recent_events import RecentEvents
from eventbus.delivery.shared_pages import KEPT_PAGES, SharedPages
from eventbus.journal.base import Page

MANY = 1_000


class SlowJournal:
    """Has as many events as it is asked for, counts how often it is read, and lets others run meanwhile."""

    def __init__(self) -> None:
        self.reads = 0
        self.fails = 0  # reads that fail from now on
        self.meanwhile: Callable[[], object] = lambda: None

    def page(self, after: int, end: int, limit: int, _max_bytes: int) -> Page:
        """See JournalQueries.page."""
        self.reads += 1
        gevent.sleep(0)
        self.meanwhile()
        if self.fails:
            self.fails -= 1
            raise JournalUnavailable("The journal cannot be read just now.")
        last = min(end, after + limit)
        return Page(tuple(Event(seq, f"id-{seq}", None, b"", b"", 0.0) for seq in range(after + 1, last + 1)), last)


def shared() -> tuple[SlowJournal, RecentEvents, SharedPages]:
    """Pages of a journal that is slow."""
    journal, recent = SlowJournal(), RecentEvents()
    return journal, recent, SharedPages(cast(Any, journal), recent)


def test_lanes_that_read_the_same_page_at_once_read_it_once() -> None:
    """A hundred lanes that begin at the same event cost one read, and get the same events."""
    journal, _, pages = shared()
    readers = [gevent.spawn(pages.page, 5, 100, 10, MANY) for _ in range(100)]
    gevent.joinall(readers, raise_error=True)
    assert journal.reads == 1
    assert {reader.value.events for reader in readers} == {pages.page(5, 100, 10, MANY).events}


def test_a_page_is_cut_to_what_a_lane_has_room_for() -> None:
    """A lane that takes fewer events gets the first ones, and reads on after the last of them."""
    journal, _, pages = shared()
    pages.page(0, 100, 10, MANY)
    assert pages.page(0, 100, 3, MANY).cursor == 3
    assert [event.seq for event in pages.page(0, 100, 3, MANY).events] == [1, 2, 3]
    assert journal.reads == 1


def test_a_page_that_ends_later_is_no_page_for_a_lane() -> None:
    """A replay that ends at an event gets none after it."""
    journal, _, pages = shared()
    pages.page(0, 100, 10, MANY)
    assert pages.page(0, 5, 10, MANY).cursor == 5
    assert journal.reads == 2


def test_only_the_last_pages_are_kept() -> None:
    """The memory that pages need is bounded: one that is too old is read again."""
    journal, _, pages = shared()
    for after in range(KEPT_PAGES + 1):
        pages.page(after, 100, 10, MANY)
    pages.page(0, 100, 10, MANY)
    assert journal.reads == KEPT_PAGES + 2


def test_a_read_that_fails_is_tried_by_who_waits_for_it() -> None:
    """Who waits for another's read is not told of its failure, but reads the page itself."""
    journal, _, pages = shared()
    journal.fails = 1
    readers = [gevent.spawn(pages.page, 0, 100, 10, MANY) for _ in range(3)]
    gevent.joinall(readers)
    assert [type(reader.exception) for reader in readers].count(JournalUnavailable) == 1
    assert journal.reads == 2


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_pages_of_an_earlier_epoch_are_forgotten(when: str) -> None:
    """Sequence numbers stand for other events after a reset, so what was read before is read again."""
    journal, recent, pages = shared()
    if when == "meanwhile":
        journal.meanwhile = recent.expire
    pages.page(0, 100, 10, MANY)
    journal.meanwhile = lambda: None
    if when == "before":
        recent.expire()
    pages.page(0, 100, 10, MANY)
    assert journal.reads == 2
