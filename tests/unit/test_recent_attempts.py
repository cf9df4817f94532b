"""Attempts of the last ten minutes, sampled from counters, and when a subscriber is failing."""

from hypothesis import given
from hypothesis import strategies as st

from eventbus.delivery.lane.recent_attempts import BUCKET_SECONDS, TEN_MINUTES, RecentAttempts

MINUTE_SECONDS = 60.0


class Subscriber:
    """Counters of a lane, and what is made of them."""

    def __init__(self) -> None:
        self.succeeded = self.failed = 0
        self.recent = RecentAttempts(0, 0)

    def attempts(self, now: float, succeeded: int = 0, failed: int = 0, oldest_failures: int = 0) -> bool:
        """Count attempts that have ended, and judge; whether it is failing."""
        self.succeeded += succeeded
        self.failed += failed
        self.recent.sample(now, self.succeeded, self.failed)
        self.recent.judge(now, oldest_failures)
        return self.recent.failing


def test_what_was_counted_before_is_not_recent() -> None:
    """Counters of earlier, which a restart has kept, are where sampling begins."""
    recent = RecentAttempts(500, 300)
    assert recent.sample(0.0, 500, 300) is False
    assert (recent.counts(0.0), recent.error_rate(0.0)) == ((0, 0), None)
    assert recent.sample(1.0, 501, 303) is True
    assert (recent.counts(1.0), recent.error_rate(1.0)) == ((1, 3), 0.75)


def test_attempts_are_forgotten_after_their_time() -> None:
    """A minute later they are in no error rate, and ten minutes later in no count."""
    one = Subscriber()
    one.attempts(0.0, 3, 1)
    assert one.recent.error_rate(50.0) == 0.25
    assert one.recent.error_rate(MINUTE_SECONDS) is None
    assert one.recent.counts(599.0) == (3, 1)
    assert one.recent.counts(600.0) == (0, 0)


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 9), st.integers(0, 9)), max_size=200))
def test_counts_are_bounded_and_exact(steps: list[tuple[float, int, int]]) -> None:
    """However long it is sampled, no more than the last ten minutes are kept, and all of those."""
    one, now, said = Subscriber(), 0.0, list[tuple[float, int, int]]()
    for wait, succeeded, failed in steps:
        now += wait
        one.attempts(now, succeeded, failed)
        said.append((now, succeeded, failed))
    first = now // BUCKET_SECONDS - TEN_MINUTES
    kept = [step for step in said if step[0] // BUCKET_SECONDS > first]
    assert one.recent.counts(now) == (sum(step[1] for step in kept), sum(step[2] for step in kept))
    assert len(one.recent) <= TEN_MINUTES


def test_more_than_half_of_ten_attempts_within_a_minute_are_failing() -> None:
    """Nine failures are too few to judge by, and half of the attempts are not more than half."""
    assert Subscriber().attempts(0.0, failed=9) is False
    assert Subscriber().attempts(0.0, failed=10) is True
    assert Subscriber().attempts(0.0, 10, 10) is False
    assert Subscriber().attempts(0.0, 10, 11) is True
    spread = Subscriber()
    assert [spread.attempts(at, failed=1) for at in range(0, 200, 10)].count(True) == 0


def test_an_oldest_event_that_failed_three_times_is_failing() -> None:
    """However well others go; and once it has been delivered no more."""
    one = Subscriber()
    assert one.attempts(0.0, 1_000, 2, oldest_failures=2) is False
    assert one.attempts(1.0, 1_000, 1, oldest_failures=3) is True
    assert one.attempts(2.0, 1) is False


def test_what_is_failing_remains_so_until_something_shows_that_it_works() -> None:
    """Not for want of attempts; but when three of five succeed, or when nothing has failed for ten minutes."""
    one = Subscriber()
    assert one.attempts(0.0, failed=20) is True
    assert one.attempts(100.0) is True
    assert one.attempts(101.0, 1, 2) is True
    assert one.attempts(102.0, 2) is False
    assert one.attempts(103.0, failed=20) is True
    assert one.attempts(699.0) is True
    assert one.attempts(703.0 + BUCKET_SECONDS) is False


def test_failures_of_a_time_that_is_over_are_not_held_against_it() -> None:
    """While it was down, or asked for a pause, failing was to be expected."""
    one = Subscriber()
    one.attempts(0.0, failed=20)
    one.recent.clear(5.0)
    assert one.attempts(6.0, 1, oldest_failures=9) is False
    assert one.recent.counts(6.0) == (1, 20)
    assert one.attempts(12.0, failed=10) is True


def test_an_error_rate_around_the_limit_does_not_change_the_state_again_and_again() -> None:
    """What is failing at more than half remains so until three of five attempts succeed."""
    one = Subscriber()
    assert one.attempts(0.0, 9, 11) is True
    assert one.attempts(61.0, 10, 10) is True
    assert one.attempts(122.0, 11, 9) is True
    assert one.attempts(183.0, 12, 8) is False
    assert one.attempts(244.0, 10, 10) is False
