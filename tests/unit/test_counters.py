"""A histogram counts each value in the bucket that it belongs to, whatever it counted before."""

import math
from bisect import bisect_left

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
