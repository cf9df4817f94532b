"""A dead letter that is put back: it has its time anew, and does not lose what was."""

from eventbus.core.records import Past, Retry
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, new_record
from eventbus.delivery.lane.retry_rows import deliveries_of, retry_rows_of
from tests.support.lanes import BUSY, EPOCH, answer, high, subscriber_with

PAST = Past("r", 12, EPOCH - 80_000)
#: Seconds that one delivery is tried.
TRIED = 100.0


def release(past: Past = PAST) -> Lane:
    """A lane with one delivery that was put back at zero on the monotonic clock."""
    subscriber = subscriber_with()
    rules = Rules(TRIED, high)
    lane = lane_of(new_record(subscriber, EPOCH, 0), rules, retries=1, ends=1e6, now=0, wall=EPOCH)
    row = Retry(subscriber.key, 7, 0, past.attempts, EPOCH, EPOCH, 500, "answered 500", past)
    lane.retries.begin_load()
    lane.retries.load(deliveries_of([row], 0, EPOCH), (), more=False)
    return lane


def fail(lane: Lane, now: float) -> None:
    """Make the next attempt, which fails."""
    delivery = lane.take(now)
    assert delivery is not None
    answer(lane, delivery, BUSY, now)


def test_its_attempts_go_on_counting() -> None:
    """The first attempt after a replay is the thirteenth, and the row says so and what was before."""
    lane = release()
    fail(lane, 5.0)
    (row,) = retry_rows_of(lane, 5.0, EPOCH + 5)
    assert (row.attempts, row.first_at, row.past) == (13, EPOCH + 5, PAST)


def test_its_retries_begin_anew() -> None:
    """The delays are those of the first attempts again, and it is tried for as long as a new one."""
    fresh, lane = release(Past("r", 0, None)), release()
    for each in (fresh, lane):
        fail(each, 5.0)
    assert lane.retries.next_due() == fresh.retries.next_due()
    fail(lane, 5.0 + TRIED - 1)
    assert not lane.dead
    fail(lane, 5.0 + TRIED + 60)
    (letter,) = lane.dead_letters
    assert (letter.attempts, letter.first_at, letter.last_at) == (15, PAST.first_at, EPOCH + 5 + TRIED + 60)


def test_one_that_had_not_been_attempted_has_its_first_attempt_then() -> None:
    """A dead letter without an attempt has none behind it: its first one is after the replay."""
    lane = release(Past("r", 0, None))
    delivery = lane.take(5.0)
    assert delivery is not None
    lane.dead_letter(delivery, "rejected", b"", 6.0, EPOCH + 6)
    assert (lane.dead_letters[0].attempts, lane.dead_letters[0].first_at) == (1, EPOCH + 5)
