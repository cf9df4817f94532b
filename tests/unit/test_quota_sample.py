"""The sample of a full journal's events that tells who holds back how much."""

import random

from eventbus.services.quota_sample import choose

DICE = random.Random(1)  # noqa: S311 - the same choice each time


def test_all_events_are_chosen_where_they_are_few() -> None:
    """Each of them stands for its own bytes."""
    assert choose({1: 10.0, 2: 20.0}, 2, DICE) == {1: 10, 2: 20}
    assert choose({}, 2, DICE) == {}


def test_a_few_large_events_are_chosen_among_many_small_ones() -> None:
    """What is chosen stands for all bytes, and the large events for about as many of them as they have."""
    large = dict.fromkeys(range(1, 41), 500000.0)
    sizes = large | dict.fromkeys(range(41, 20041), 300.0)
    chosen = choose(sizes, 64, DICE)
    total = sum(sizes.values())
    assert len(chosen) <= 64
    assert abs(sum(chosen.values()) - total) < 0.01 * total
    found = sum(size for seq, size in chosen.items() if seq in large)
    assert abs(found - sum(large.values())) < 0.2 * total
