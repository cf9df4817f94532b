from hypothesis import given
from hypothesis import strategies as st

from eventbus.telemetry.event_times import MAX_SAMPLES, EventTimes


def test_nothing_is_known_before_the_first_event() -> None:
    """Without any sample no event's time is known."""
    assert EventTimes().at(1) is None


def test_a_time_is_that_of_the_nearest_sample_before() -> None:
    """An event's time is that of the last sample up to it, or of the first one for events before all samples."""
    event_times = EventTimes()
    event_times.note(10, 100.0)
    event_times.note(20, 200.0)
    assert [event_times.at(seq) for seq in (1, 10, 19, 20, 99)] == [100.0, 100.0, 100.0, 200.0, 200.0]


def test_samples_are_a_second_apart() -> None:
    """Events that come within a second of a sample are not sampled, and are told with its time."""
    event_times = EventTimes()
    for seq in range(100):
        event_times.note(seq, 5.0 + seq / 100)
    assert event_times.at(99) == 5.0
    event_times.note(100, 6.0)
    assert (event_times.at(99), event_times.at(100)) == (5.0, 6.0)


def test_a_clock_that_is_set_back_adds_no_sample() -> None:
    """Times only rise: what is noted with an earlier time is passed over."""
    event_times = EventTimes()
    event_times.note(1, 100.0)
    event_times.note(2, 50.0)
    assert event_times.at(2) == 100.0


@given(st.lists(st.integers(0, 24).map(lambda eighths: eighths / 8), min_size=1, max_size=200))
def test_every_time_is_good_to_a_second(gaps: list[float]) -> None:
    """As long as no samples were dropped, each event's time is known to within a second, and never too late."""
    event_times, times, at = EventTimes(), list[float](), 0.0
    for seq, gap in enumerate(gaps):
        at += gap
        times.append(at)
        event_times.note(seq, at)
    for seq, time in enumerate(times):
        found = event_times.at(seq)
        assert found is not None
        assert found <= time < found + 1.0


def test_a_year_of_samples_takes_bounded_memory_and_stays_useful() -> None:
    """Samples are thinned when there are too many; the newest stay exact, the old ones are near."""
    event_times = EventTimes()
    for seq in range(10 * MAX_SAMPLES):
        event_times.note(seq, float(seq))
    assert len(event_times) <= 2 * MAX_SAMPLES
    newest = 10 * MAX_SAMPLES - 1
    assert event_times.at(newest) == newest
    for seq in range(0, newest, 997):
        found = event_times.at(seq)
        assert found is not None
        assert 0 <= seq - found <= newest / 100


def test_times_of_events_that_are_no_more_are_forgotten() -> None:
    """Where the journal has lost its end, the next events have those numbers, and their own times."""
    event_times = EventTimes()
    for seq in range(MAX_SAMPLES + 10):  # some of them among the older ones
        event_times.note(seq, float(seq))
    event_times.cut(5)
    event_times.note(6, 9_000.0)
    assert [event_times.at(seq) for seq in (4, 5, 6, 7, MAX_SAMPLES)] == [4.0, 5.0, 9_000.0, 9_000.0, 9_000.0]
    event_times.cut(0)
    assert event_times.at(3) == 0.0
