"""The rules of the feed: events after a cursor, in order, whose topics match, a bounded page at a time."""

from typing import Any, cast

import gevent

from eventbus.delivery.recent_events import RecentEvents
from eventbus.delivery.shared_pages import SharedPages
from eventbus.services.feed import PAGE_BYTES, PAGE_EVENTS, Feed
from tests.support.memory_node import MemoryJournal


class Scene:
    """A feed; events after the ``first`` are in memory, those before it only in the journal."""

    def __init__(self) -> None:
        self.journal = MemoryJournal()
        self.recent = RecentEvents()
        self.feed = Feed(SharedPages(cast(Any, self.journal), self.recent), self.recent)

    def publish(self, *topics: str | None, body: bytes = b"") -> None:
        """Keep events, and wake who waits."""
        self.recent.add(self.journal.publish(*topics, body=body))
        self.feed.committed()

    def read(self, cursor: int, patterns: tuple[str, ...] = (), limit: int = 100) -> tuple[list[int], int]:
        """Return the numbers of the events that are read, and the cursor after them."""
        part = self.feed.read(cursor, patterns, limit)
        return [event.seq for event in part.events], part.cursor


def test_a_reader_gets_what_comes_after_its_cursor() -> None:
    """The next page begins where this one ends."""
    scene = Scene()
    scene.publish(None, None, None)
    assert scene.read(1) == ([2, 3], 3)
    assert scene.read(3) == ([], 3)


def test_a_reader_gets_what_matches_and_passes_over_the_rest() -> None:
    """The cursor goes on past events that do not match, so that they are read once."""
    scene = Scene()
    scene.publish("a", "b", "a", "b")
    assert scene.read(0, ("a",)) == ([1, 3], 4)


def test_a_page_ends_at_the_limit() -> None:
    """The cursor is at the last event of the page, so that none is missed."""
    scene = Scene()
    scene.publish("a", "b", "a", "a")
    assert scene.read(0, ("a",), limit=2) == ([1, 3], 3)


def test_a_page_is_bounded_in_bytes() -> None:
    """It has as many events as fit, and at least one."""
    scene = Scene()
    scene.publish(None, None, None, body=b"x" * (PAGE_BYTES // 2))
    assert scene.read(0) == ([1, 2], 2)
    scene.publish(None, body=b"x" * (2 * PAGE_BYTES))
    assert scene.read(3) == ([4], 4)


def test_what_has_left_the_memory_is_read_from_the_journal() -> None:
    """A cursor that lags gets the same events, a page at a time."""
    scene = Scene()
    scene.journal.publish(*[None] * (PAGE_EVENTS + 10))
    scene.recent.start(PAGE_EVENTS + 10)
    seqs, cursor = scene.read(0, limit=1_000)
    assert (len(seqs), cursor) == (PAGE_EVENTS, PAGE_EVENTS)


def test_a_reader_waits_until_there_is_something() -> None:
    """It is woken by the next event, and does not wait for what is there already."""
    scene = Scene()
    waiting = gevent.spawn(scene.feed.wait, 0, 60.0)
    gevent.idle()
    assert not waiting.ready()
    scene.publish(None)
    assert waiting.get(timeout=10) is True
    assert scene.feed.wait(0, 60.0)
    assert not scene.feed.wait(1, 0.0)
