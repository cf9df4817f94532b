"""A histogram counts each value in the bucket that it belongs to, whatever it counted before."""

import math
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.telemetry.counters import LATENCY_BOUNDS, Histogram

#: Values on, and on each side of, every bound, and some that are no usual ones.
VALUES = [
    *(
        value
        for bound in LATENCY_BOUNDS
        for value in (bound, math.nextafter(bound, 0.0), math.nextafter(bound, math.inf))
    ),
    *(0.0, -1.0, math.inf),
]


@given(st.lists(st.sampled_from(VALUES) | st.floats(0, 1e4), max_size=50))
def test_each_value_is_in_its_bucket(values: list[float]) -> None:
    """A bound belongs to the bucket below it; all beyond the last share one."""
    expected = [0] * (len(LATENCY_BOUNDS) + 1)
    histogram = Histogram(LATENCY_BOUNDS)
    for value in values:
        histogram.observe(value)
        expected[bisect_left(LATENCY_BOUNDS, value)] += 1
    assert histogram.counts == expected
    assert histogram.count == len(values)
    assert histogram.sum == sum(values)


@given(st.lists(st.sampled_from(VALUES) | st.floats(0, 1e4), max_size=50))
def test_values_count_together_as_one_by_one(values: list[float]) -> None:
    """Values that are counted together fall into the buckets that each has alone."""
    together, alone = Histogram(LATENCY_BOUNDS), Histogram(LATENCY_BOUNDS)
    together.observe_all(iter(values))
    for value in values:
        alone.observe(value)
    assert together.counts == alone.counts
    assert together.sum == pytest.approx(alone.sum)
    together.observe(1.0)
    alone.observe(1.0)
    assert together.counts == alone.counts
