"""How one subscriber is doing: its window, and when it may be tried again. Pure.

A window (deliveries under way at once) grows with successes and shrinks on failures. A subscriber that cannot be
reached is probed with one delivery at a time.
"""

import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from eventbus.delivery import backoff
from eventbus.delivery.deferred import Delivery
from eventbus.delivery.ledger import Ledger
from eventbus.delivery.outcome import Answer, Outcome, Verdict
from eventbus.model import LaneRecord, State

#: Deliveries under way at once to a subscriber that has not shown yet what it can take.
FIRST_WINDOW = 4
#: Characters of an error that are kept.
MAX_ERROR = 300
#: Changes of state that are remembered.
MAX_NOTES = 20


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all lanes."""

    retry_seconds: float = 86_400  # seconds that one delivery is tried
    dice: Callable[[], float] = random.random  # 0 to 1, for jitter
    handshake: bool = False  # whether a subscriber is asked for its consent before the first delivery


@dataclass(frozen=True, slots=True)
class Moment:
    """When an answer came."""

    now: float  # monotonic
    wall: float  # seconds since 1970
    waited: float = 0.0  # seconds since the event was accepted


class Health(Ledger):
    """What a lane knows of its subscriber. Times are seconds on the monotonic clock."""

    def __init__(self, record: LaneRecord, rules: Rules) -> None:
        super().__init__(record)
        self._rules = rules
        self.subscriber = record.subscriber
        self.state, self.failures = record.state, record.failures
        self.not_before = -math.inf  # no attempt starts earlier
        self.down_since: float | None = None
        self.last_error = record.last_error
        self.window = FIRST_WINDOW
        self.notes: deque[tuple[float, str]] = deque(maxlen=MAX_NOTES)  #: what happened lately, and when (wall clock)
        self.consented = not rules.handshake
        self.spacing = 0.0  # seconds between the starts of two deliveries, at least
        self._started = -math.inf  # when the last one started, where that counts
        self._down_at = -math.inf  # when a failure to reach it was last counted
        self._fit()

    def state_at(self, now: float) -> State:
        """How the subscriber is doing; a pause that is over is none."""
        return State.OK if self.state is State.PAUSED and now >= self.not_before else self.state

    def _fit(self) -> None:
        """Work out how many deliveries may be under way at once, as things are, and whether a success changes that."""
        options, self.works = self.subscriber.options, self.state is State.OK  # finding State.OK is dear in Python 3.11
        alone = options.ordered or not self.works or not self.consented
        self.limit = 1 if alone else min(self.window, options.max_in_flight)
        self.steady = self.works and self.window >= options.max_in_flight

    def consent(self, per_minute: int | None, now: float) -> None:
        """The subscriber consents to deliveries, of which the first starts now, perhaps to no more than so many."""
        self.consented, self.spacing, self._started = True, 60.0 / per_minute if per_minute else 0.0, now
        self._fit()

    def _succeeded(self, now: float) -> None:
        if self.window < self.subscriber.options.max_in_flight:
            self.window += 1
            self._fit()
        if not self.works:
            self._answered(now)

    def _answered(self, now: float) -> None:
        """The subscriber has shown that it works; a pause that it asked for goes on all the same."""
        if self._paused(now):
            return
        self.state, self.failures, self.down_since = State.OK, 0, None
        self.not_before = -math.inf
        self._fit()

    def _failed(self, delivery: Delivery, answer: Answer) -> None:
        self.failed_attempts += 1
        delivery.status = answer.status
        delivery.error = (answer.error or f"answered {answer.status}")[:MAX_ERROR].replace("\0", " ")
        self.last_error = delivery.error

    def _slow_down(self, outcome: Outcome, began: float, now: float) -> None:
        """What an answer other than success means for the subscriber; attempts that failed together count once."""
        if outcome.verdict is Verdict.RETRY:
            if self.state is State.OK:
                self.window = max(1, self.window // 2)
            else:
                self._answered(now)
        elif outcome.verdict is Verdict.PAUSE:
            self.state, self.window, self.failures, self.down_since = State.PAUSED, FIRST_WINDOW, 0, None
            self.not_before = now + outcome.wait
        elif outcome.verdict is Verdict.DOWN and began >= self._down_at and not self._paused(now):
            self.failures += 1
            self._down_at = now
            self.state, self.window = State.BACKING_OFF, FIRST_WINDOW
            self.down_since = now if self.down_since is None else self.down_since
            self.not_before = now + backoff.delay(self.failures, self._rules.dice)
        self._fit()

    def _paused(self, now: float) -> bool:
        return self.state is State.PAUSED and now < self.not_before

    def _wake(self, now: float) -> None:
        """The subscriber has renewed: one that was backing off is probed at once."""
        if self.state is State.BACKING_OFF:
            self.not_before = min(self.not_before, now)

    def _tried_for(self, delivery: Delivery, moment: Moment) -> float:
        """Seconds since the first attempt; or, longer, that it has waited for a subscriber that was down."""
        down = 0.0 if self.down_since is None else moment.now - self.down_since
        return max(moment.now - delivery.first, min(moment.waited, down))
