"""A page of events is bounded in bytes, too."""

import json

import pytest

from eventbus.core.errors import TooManyStreams
from eventbus.core.model import Event
from eventbus.telemetry.counters import Counters
from eventbus.web.event_page import EventPage, page_bytes
from eventbus.web.event_stream import holding
from eventbus.web.pages import MAX_PAGE_BYTES
from eventbus.web.server.byte_budget import ByteBudget, budget_of
from eventbus.web.server.connections import ClientConnection, Connections


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


def connection(budget: ByteBudget) -> ClientConnection:
    """A client's connection, whose bytes the budget counts."""
    return ClientConnection(Connections(10, Counters(), lambda: 0.0, budget), None, "peer")


def test_events_count_while_a_page_is_made_of_them() -> None:
    """They count once, and the largest twice more for its JSON; what does not fit is refused, and counts nothing."""
    budget = ByteBudget(10_000, 10_000)
    client = connection(budget)
    with holding(page_bytes([event(1, 1_000), event(2, 3_000)]), client):
        assert budget.held == 4_000 + 2 * 3_000
        with pytest.raises(TooManyStreams), holding(1, client):
            pass
    assert budget.held == page_bytes([]) == 0
    with holding(20_000, None):
        assert budget.held == 0


def test_the_largest_event_fits_a_page() -> None:
    """Whatever the largest body is, the budget has room for its JSON and for what counts while that is made."""
    for largest in (1, 20 * MAX_PAGE_BYTES):
        client = connection(budget_of(0, largest))
        with holding(page_bytes([event(1, largest)]), client):
            client.take(largest)


def test_nothing_is_released_twice() -> None:
    """What is released after the end of its request, as by a stream that is left, is not counted below nothing."""
    budget = ByteBudget(100, 100)
    client = connection(budget)
    client.take(60)
    client.mark_idle()
    client.release(60)
    assert budget.held == 0
