"""What a load makes of what arrives."""

import math

from eventbus.cli.load import Load, LoadRecord, LoadResult, percentile
from eventbus.cli.named_subscription import canonical_address
from eventbus.cli.replay import SettledCount
from eventbus.testing.fake import FakeBus


def test_percentiles_are_values_that_were_measured() -> None:
    """The smallest that so many percent do not exceed."""
    values = [float(value) for value in range(1, 201)]
    assert (percentile(values, 50), percentile(values, 99), percentile([7.0], 99)) == (100.0, 198.0, 7.0)
    assert percentile([], 50) is None


def test_what_is_lost_and_doubled_is_counted() -> None:
    """Against what should have arrived; rates are of what did."""
    load, one = (Load(events, subscribers, 8, 1, None) for events, subscribers in ((10, 2), (1, 1)))
    measured = LoadResult.of(load, 0.5, 2.0, [0.001] * 19, 21)
    assert (measured.lost, measured.duplicated) == (1, 2)
    assert (measured.publishes_a_second, measured.deliveries_a_second) == (20.0, 9.5)
    assert measured.lines()[2] == "end-to-end latency  p50 1.0 ms, p99 1.0 ms"
    nothing = LoadResult.of(one, 0.0, 0.0, [], 0)
    assert (nothing.lost, nothing.lines()[2]) == (1, "end-to-end latency  unknown: nothing arrived")


def test_a_record_tells_events_and_subscribers_apart() -> None:
    """The first arrival counts, and every other is a duplicate."""
    record, bus, load = LoadRecord(), FakeBus(), Load(events=2, subscribers=2, size=10, connections=1, rate=None)
    record.published = {0: -math.inf, 1: 0.0}
    for number in range(2):
        bus.publish("a", load.body(number))
    assert [len(event.body) for event in bus.published] == [10, 10]
    for subscriber, number in ((0, 1), (1, 1), (1, 1), (0, 0)):
        record.add(subscriber, bus.published[number])
    assert (len(record.arrivals), sum(record.arrived.values()), load.deliveries) == (3, 4, 4)


def test_a_replay_is_followed_by_the_account() -> None:
    """Done is what has been settled since, whatever is published meanwhile; and all, once nothing is pending."""
    before = SettledCount(settled=100, pending=0)
    assert before.done(SettledCount(100, 10), 10) == 0
    assert before.done(SettledCount(104, 9), 10) == 4
    assert before.done(SettledCount(115, 3), 10) == 10
    assert before.done(SettledCount(90, 0), 10) == 10


def test_one_address_has_many_spellings() -> None:
    """Case, the default port, the scheme that is usual and a last slash make no difference."""
    assert {canonical_address(address) for address in ("H:80", "http://h", "h/", "HTTP://H:80/")} == {"h"}
    assert canonical_address("https://H:443/A/") == "https://h/A"
    assert canonical_address("h:8001/a") != canonical_address("h:8001/A")
