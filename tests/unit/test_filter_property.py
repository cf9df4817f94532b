"""Random filters tell of random events what a naive implementation tells."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from eventbus.core.event_view import EventView
from eventbus.core.filters import MAX_FILTER_BYTES, parse_filter
from tests.support.filter_reference import random_event, random_filter, random_wide_filter, says


@pytest.mark.parametrize(("make", "count"), [(random_filter, 10_000), (random_wide_filter, 2_500)])
def test_random_filters_choose_the_events_that_a_naive_implementation_chooses(
    make: Callable[[random.Random], Any], count: int
) -> None:
    """Of thousands of random events each of some filters chooses the same as a naive implementation, and often some."""
    rng, chosen = random.Random(7), 0  # noqa: S311 - the same ones each time
    events = [random_event(rng, seq) for seq in range(count)]
    for number in range(0, count, 20):
        expression = [make(rng) for _ in range(rng.randint(1, 2))]
        text = json.dumps(expression, separators=(",", ":"))
        found = parse_filter(text) if len(text.encode()) <= MAX_FILTER_BYTES else None
        if found is not None:
            part = events[number : number + 20]
            delivered = {event.seq for event in part if found.matches(EventView(event))}
            assert delivered == {event.seq for event in part if says(expression, event)}, text
            chosen += len(delivered)
    assert 0.1 * count < chosen < 0.9 * count
