"""A page of events is bounded in bytes, too."""

import json

from eventbus.core.model import Event
from eventbus.web.routes.events import EventPage


def event(seq: int, size: int) -> Event:
    """An event with so many bytes."""
    return Event(seq, f"e-{seq}", None, b"", b"x" * size, 0.0)


def test_a_page_ends_before_it_is_too_large() -> None:
    """What does not fit is not added; ``last`` is the event after which the next page goes on."""
    page = EventPage(10, None, 1_000)
    assert [page.add(event(seq, 300)) for seq in range(4)] == [True, True, False, False]
    assert [each.id for each in page.last] == ["e-1"]
    assert page.left == 8
    told = json.loads(page.encode("e-1"))
    assert ([each["id"] for each in told["events"]], told["next"]) == (["e-0", "e-1"], "e-1")


def test_a_page_has_one_event_at_least() -> None:
    """An event that is larger than a page makes a page of its own."""
    page = EventPage(10, None, 1_000)
    assert [page.add(event(seq, 5_000)) for seq in range(2)] == [True, False]


def test_an_empty_page_is_written_as_any_json() -> None:
    """Without events there is an empty list, and nothing to go on after."""
    assert EventPage(10, None).encode(None) == b'{"events":[],"next":null}\n'
