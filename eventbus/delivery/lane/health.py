"""How a subscriber is doing: its window, and when it may be attempted again. Pure.

The window is how many attempts may be in flight. It grows with successes and shrinks on failures. A subscriber is down
when one event gets no answer twice, and no other event has got one since. When several events get no answer, the lane
is held back, and probed with one event at a time. An event that fails while others are answered waits by itself.
"""

import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from eventbus.core import backoff
from eventbus.core.credentials import NO_CREDENTIALS, Credentials
from eventbus.core.delivery_rate import Rate, parse_rate
from eventbus.core.model import Event, State
from eventbus.core.records import LaneRecord
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.limits import DEFAULT_LIMITS, LaneLimits
from eventbus.delivery.lane.outcome import AttemptResult, DeliveryResponse, Verdict
from eventbus.delivery.lane.pace import Pace
from eventbus.delivery.lane.start_time import StartTime

#: Attempts in flight to a subscriber that has not delivered yet.
FIRST_WINDOW = 4
#: Different events without an answer that hold a lane back.
MAX_SUSPECTS = FIRST_WINDOW
#: Characters of an error that are kept.
MAX_ERROR = 300
#: Changes of state that are kept.
MAX_NOTES = 20


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all lanes."""

    retry_seconds: float = 86_400  # seconds that one delivery is tried
    rng: Callable[[], float] = random.random  # 0 to 1, for jitter
    handshake: bool = False  # whether a subscriber is asked for its consent before the first delivery
    limits: LaneLimits = DEFAULT_LIMITS
    find: Callable[[int], Event | None] = lambda _: None  # an event that is in memory, by its sequence number


@dataclass(frozen=True, slots=True)
class Moment:
    """When an answer came, and how long the event had waited."""

    now: float  # monotonic
    wall: float  # seconds since 1970
    waited: float = 0.0  # seconds since the event was accepted


class Health(StartTime):
    """What a lane knows of its subscriber. Times are seconds on the monotonic clock."""

    def __init__(self, record: LaneRecord, rules: Rules) -> None:
        super().__init__(record)
        self._rules, self.limits = rules, rules.limits
        self.subscriber = record.subscriber
        self.attempts_name = 0  #: by which the ring of the newest attempts knows it; see ``take_attempts_name``
        self.failures = record.failures  # how often in a row it was held back
        self.pauses = 0  # that it asked for, one after another, without a delivery in between
        self.down_since: float | None = None  # since when it has given no answer
        self.last_error, self.last_error_at = record.last_error, record.last_error_at
        self.window = FIRST_WINDOW
        self.notes: deque[tuple[float, str]] = deque(maxlen=MAX_NOTES)  #: what happened lately, and when (wall clock)
        #: The last attempt took long or got no answer, or there was none: the next one may hold its greenlet for long.
        self.slow = not record.account.delivered or record.state is State.DOWN
        self.hung = self.hanging = 0  # attempts that took long unexpectedly, in this process; those in flight
        self.consented = not rules.handshake
        self.draining = False  # it asked for nothing new, until it renews
        self.credentials = NO_CREDENTIALS  #: what its deliveries are authorized and signed with
        self.pace = Pace()  #: the spaces between its deliveries
        self._consented_rates: tuple[Rate, ...] = ()
        self.companions = 0  # deliveries in flight that go along with others in one request
        self._held_at = -math.inf  # when it was last held back
        self.answered_at = -math.inf  # when the latest attempt began that got an answer, in this process
        self._suspects: set[tuple[int, int]] = set()  # events (sequence number, replay id) that have got none since
        self._fit()

    def note(self, text: str, wall: float) -> None:
        """Keep a note of what happened to the subscriber, for whoever asks."""
        self.notes.append((wall, text[:MAX_ERROR]))

    def take_attempts_name(self, number: int) -> None:
        """Keep the number by which the ring of the newest attempts knows this subscriber."""
        self.attempts_name = number

    def set_slow(self, *, slow: bool) -> None:
        """Note whether the last attempt took long or got no answer: the next one may hold its greenlet for long."""
        self.slow = slow

    def begin_hanging(self) -> None:
        """Count an attempt that takes long unexpectedly, until ``end_hanging``."""
        self.hung += 1
        self.hanging += 1

    def end_hanging(self) -> None:
        """Note that an attempt which took long has ended."""
        self.hanging -= 1

    def set_draining(self, *, draining: bool) -> None:
        """Start nothing new, or go on."""
        self.draining = draining
        self._fit()

    def take_credentials(self, credentials: Credentials) -> None:
        """Authorize and sign deliveries with these from now on."""
        self.credentials = credentials
        self._fit()

    @property
    def starts_nothing(self) -> bool:
        """Return whether it gets no deliveries until it renews: it asked for that, or its credentials are not there."""
        return self.draining or self.lacks_credentials

    def hold(self, until: float) -> None:
        """Start no attempt before ``until``: the subscriber is down, or asked for a pause."""
        self.wait_until(until)
        self._fit()

    def _fit(self) -> None:
        """Compute how many deliveries may be in flight, and whether a success changes more than counts."""
        options, self.works = self.subscriber.options, self.state is State.OK  # a look-up is slow in Python 3.11
        self.held = self.state is State.DOWN and self.own_wait_ends > -math.inf  # several events got no answer
        self.lacks_credentials = bool(self.credentials.lacking(self.subscriber.credentials))
        one_at_a_time = options.one_at_a_time or self.held or self.state is State.PAUSED or not self.consented
        attempts = 0 if self.starts_nothing else 1 if one_at_a_time else min(self.window, options.max_in_flight)
        self.limit = attempts + self.companions
        self.batch, self.gather_seconds = options.batch, options.batch_wait if options.batch > 1 else 0.0
        if options.rate or self.pace.space:
            self._set_pace()
        self.together = min(self.batch, self.pace.most)  #: events in one attempt, at most
        self.paced = self.pace.space > 0.0 or self.gather_seconds > 0.0  # whether an attempt may have to wait
        settled_silently = self.window >= options.max_in_flight and not options.by_key
        self.steady = self.works and not self._suspects and settled_silently

    def consent(self, per_minute: int | None, now: float) -> None:
        """Note that the subscriber consents to deliveries, perhaps to ``per_minute`` at most; the first starts now."""
        self.consented = True
        self._consented_rates = (Rate(per_minute, 60.0),) if per_minute else ()
        self._set_pace()
        self.pace.wait_for(1, now)
        self._fit()

    def _set_pace(self) -> None:
        rate = parse_rate(self.subscriber.options.rate)
        self.pace.set_rates(self._consented_rates if rate is None else (rate, *self._consented_rates))

    def begin_pace(self, now: float) -> None:
        """Wait as if an attempt had just been made, as large as there may be: what was before a restart is unknown."""
        self.pace.wait_for(self.together, now)

    def count_success(self, now: float) -> None:
        """Let the window grow, and note that the subscriber works, after an attempt that began at ``now``."""
        self.pauses = 0
        if self.window < self.subscriber.options.max_in_flight:
            self.window += 1
            self._fit()
        if self._suspects or not self.works:
            self._answered(now)

    def _answered(self, now: float) -> None:
        """Note that the subscriber works; a pause that it asked for goes on all the same."""
        if self.asked_for_pause(now):
            return
        self.state, self.failures, self.down_since = State.OK, 0, None
        self._suspects.clear()
        self.hold(-math.inf)

    def count_failure(self, delivery: Delivery, answer: DeliveryResponse, wall: float) -> None:
        """Count an attempt that failed, and note why."""
        self.failed_attempts += 1
        self.describe_failure(delivery, answer)
        self.last_error, self.last_error_at = delivery.error, wall

    def describe_failure(self, delivery: Delivery, answer: DeliveryResponse) -> None:
        """Note in a delivery why its attempt failed."""
        delivery.status = answer.status
        delivery.error = (answer.error or f"answered {answer.status}")[:MAX_ERROR].replace("\0", " ")

    def count_rejection(self, delivery: Delivery, now: float) -> None:
        """Note that the subscriber works, though it rejected an event."""
        self.answered_at = delivery.began
        self._answered(now)

    def slow_down(self, outcome: AttemptResult, delivery: Delivery, now: float) -> None:
        """Change window, state and pause after an attempt that failed."""
        known = delivery.first < self.answered_at  # others were answered since its first attempt: it fails by itself
        if outcome.verdict is not Verdict.DOWN:
            self.answered_at = delivery.began
        if outcome.verdict is Verdict.RETRY:
            if self.works and not known:
                self._halve()
            self._answered(now)
        elif outcome.verdict is Verdict.PAUSE:
            self.pauses += not self.asked_for_pause(now)
            self.state, self.window = State.PAUSED, FIRST_WINDOW
            self.failures, self.down_since = 0, None
            self._suspects.clear()
            self.wait_until(now + outcome.wait)
        elif outcome.verdict is Verdict.DOWN and not known and not self.asked_for_pause(now):
            self._not_reached(delivery, now)
        self._fit()

    def _not_reached(self, delivery: Delivery, now: float) -> None:
        """Count an attempt that got no answer, and hold the lane back where that is not the first."""
        event = delivery.seq, delivery.replay_id
        again = event in self._suspects
        if len(self._suspects) < MAX_SUSPECTS:
            self._suspects.add(event)
        self.down_since = now if self.down_since is None else self.down_since
        several = len(self._suspects) == MAX_SUSPECTS or (again and len(self._suspects) > 1)
        holds = self.held or several or not self.consented
        if holds and delivery.began >= self._held_at:  # those that failed together count once
            self.failures, self._held_at = self.failures + 1, now
            self.wait_until(now + backoff.delay(self.failures, self._rules.rng, self.subscriber.options.backoff))
        if holds or again or self.answered_at == -math.inf:
            self.state, self.window = State.DOWN, FIRST_WINDOW
        else:
            self._halve()

    def _halve(self) -> None:
        self.window = max(1, self.window // 2)

    @property
    def retry_for(self) -> float:
        """Return the seconds for which one delivery is attempted."""
        return self.subscriber.options.retry_for or self._rules.retry_seconds

    def _given_up(self, delivery: Delivery, moment: Moment) -> str | None:
        """Return why a delivery that failed is not attempted again; None if it is."""
        if self._tried_for(delivery, moment) >= self.retry_for:
            self.wait_until(min(self.own_wait_ends, moment.now))  # so that others as old need not wait their turn
            return f"not delivered within {self.retry_for:g} s"
        most = self.subscriber.options.max_attempts
        return f"not delivered in {most} attempts" if most and delivery.tries >= most else None

    def _tried_for(self, delivery: Delivery, moment: Moment) -> float:
        """Return the seconds since the first attempt; if longer, those waited for a subscriber that was down."""
        down = 0.0 if self.down_since is None else moment.now - self.down_since
        return max(moment.now - delivery.first, min(moment.waited, down))
