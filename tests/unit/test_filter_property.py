"""Random filters tell of random events what a naive implementation tells."""

import json
import random

from eventbus.core.event_view import EventView
from eventbus.core.filters import parse_filter
from tests.support.filter_reference import random_event, random_filter, says


def test_random_filters_choose_the_events_that_a_naive_implementation_chooses() -> None:
    """Of 10,000 random events each of some filters chooses the same as a naive implementation, and often some."""
    rng, chosen = random.Random(7), 0  # noqa: S311 - the same ones each time
    events = [random_event(rng, seq) for seq in range(10_000)]
    for number in range(0, len(events), 20):
        expression = [random_filter(rng) for _ in range(rng.randint(1, 2))]
        found = parse_filter(json.dumps(expression))
        assert found is not None
        part = events[number : number + 20]
        delivered = {event.seq for event in part if found.matches(EventView(event))}
        assert delivered == {event.seq for event in part if says(expression, event)}, json.dumps(expression)
        chosen += len(delivered)
    assert 1_000 < chosen < 9_000
