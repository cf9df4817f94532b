"""What becomes of a delivery whose attempt failed: a retry, and when it is due, or a dead letter. Pure."""

from eventbus.core import backoff
from eventbus.core.event_expiry import EXPIRED
from eventbus.core.records import DeadLetter
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.health import Moment
from eventbus.delivery.lane.lifecycle import Lifecycle
from eventbus.delivery.lane.outcome import AttemptResult, DeliveryResponse, Verdict
from eventbus.delivery.lane.phase import CLOSED, ENDING

#: Why a delivery is dead that an operator has skipped.
SKIPPED = "skipped"
#: After these a delivery is attempted again at once, however old it is.
AT_ONCE = (Verdict.GONE, Verdict.SPLIT)
#: Verdicts about events, of a subscriber that works.
REFUSED = (Verdict.REJECTED, Verdict.SPLIT)


class Failures(Lifecycle):
    """A lane's deliveries that have failed, or expired."""

    def _leave(self, delivery: Delivery) -> None:
        """Remove a delivery from those in flight."""
        self.in_flight.discard(delivery)
        self._retried.discard(delivery)

    def release(self, delivery: Delivery, due: float) -> None:
        """Undo ``take``, since no attempt was made: let the delivery wait until ``due``."""
        self._leave(delivery)
        if self.phase is CLOSED:
            return
        delivery.attempts -= 1
        self._wait_again(delivery, due)
        self.touch()

    def _wait_again(self, delivery: Delivery, due: float) -> None:
        """Let a delivery wait that was in flight; one that was skipped meanwhile is dead."""
        if delivery.skipped is not None:
            self.count_skipped(delivery)
            self.dead_letters.append(delivery.skipped)
            return
        delivery.due = due
        self.retries.push(delivery)

    # What has expired

    def expire(self, delivery: Delivery, now: float, wall: float) -> None:
        """Undo ``take``, since the event has expired and no attempt was made: it is dead."""
        self._leave(delivery)
        if self.phase is CLOSED:
            return
        delivery.attempts -= 1
        self.expiring = self.looks_ahead = True
        self._dead_letter_unsent(delivery, now, wall)

    def note_unexpired(self) -> None:
        """Note that what is next has not expired."""
        self.expiring, self.looks_ahead = False, self.filter is not None

    def _dead_letter_unsent(self, delivery: Delivery, now: float, wall: float) -> None:
        """Make a delivery dead whose event expired before its attempt; one that was skipped meanwhile is so."""
        if delivery.skipped is not None:
            self.count_skipped(delivery)
            self.dead_letters.append(delivery.skipped)
        else:
            self.dead_letter(delivery, EXPIRED, b"", now, wall)

    # What an operator skips

    def withhold(self, delivery: Delivery) -> None:
        """Count a delivery that was taken out of those that wait as in flight, until it is settled otherwise."""
        self.in_flight.add(delivery)
        self.touch()

    def release_withheld(self, delivery: Delivery, now: float) -> None:
        """Let a delivery wait again that was withheld."""
        self.retries.unload(self.in_flight)
        self._leave(delivery)
        if self.phase is not CLOSED:
            self._wait_again(delivery, now)
            self.touch()

    def count_skipped(self, delivery: Delivery) -> None:
        """Count a delivery as dead whose dead letter is saved, or about to be."""
        self._leave(delivery)
        self.retries.forget(delivery)
        self.dead += 1
        self.touch()

    def restore_skipped(self, letter: DeadLetter, *, has_row: bool) -> None:
        """Count a delivery as dead that was skipped in flight, and of which nothing is known since."""
        if has_row:
            self.retries.drop_row(letter.seq, letter.replay_id)
        self.dead += 1
        self.dead_letters.append(letter)
        self.touch()

    def skip_in_flight(self, delivery: Delivery, letter: DeadLetter) -> None:
        """Make a delivery in flight this dead letter unless it is delivered."""
        delivery.skipped = letter
        self.touch()

    def fail(self, delivery: Delivery, outcome: AttemptResult, answer: DeliveryResponse, moment: Moment) -> None:
        """Let a delivery whose attempt failed wait for a retry, or make it a dead letter."""
        self._let_others_go(delivery, outcome.wait, moment.now)
        self._leave(delivery)
        if self.phase is CLOSED:
            return
        self.touch()
        self.count_failure(delivery, answer, moment.wall)
        was_held = self.held
        if outcome.verdict in REFUSED:
            self.count_rejection(delivery, moment.now)
        elif self.phase is not ENDING:
            self.slow_down(outcome, delivery, moment.now)
            if self.held:
                self.live.shrink()
        self._settle_failed(delivery, outcome, answer, moment, held=was_held)

    def _settle_failed(
        self,
        delivery: Delivery,
        outcome: AttemptResult,
        answer: DeliveryResponse,
        moment: Moment,
        *,
        held: bool,
        wait: float | None = None,
    ) -> None:
        """Let a delivery wait, for ``wait`` seconds if they are given, or make it a dead letter."""
        now, wall = moment.now, moment.wall
        if delivery.skipped is not None:
            self.dead_letter(delivery, SKIPPED, answer.excerpt, now, wall)
            return
        if outcome.verdict is Verdict.REJECTED:
            self.dead_letter(delivery, "rejected", answer.excerpt, now, wall)
            return
        if self.phase is ENDING:
            self.dead_letter(delivery, "lease ended", answer.excerpt, now, wall)
            return
        if outcome.verdict not in AT_ONCE and (reason := self._given_up(delivery, moment)):
            self.dead_letter(delivery, reason, answer.excerpt, now, wall)
            return
        own_wait = self._wait(delivery, outcome, held=held)
        delivery.due = now + (own_wait if wait is None else wait)
        self.retries.push(delivery)

    def _wait(self, delivery: Delivery, outcome: AttemptResult, *, held: bool) -> float:
        """Return the seconds until an event that failed is attempted again."""
        if outcome.verdict is Verdict.RETRY and outcome.wait:  # the subscriber has said when
            return outcome.wait
        return outcome.wait + self._own_wait(delivery, outcome.verdict, held=held)

    def _own_wait(self, delivery: Delivery, verdict: Verdict, *, held: bool) -> float:
        """Return the seconds that an event which failed waits by itself, so that it does not keep others waiting.

        While a lane is held back the failure is the subscriber's, and the event does not wait longer for it.
        """
        if verdict in AT_ONCE:
            return 0.0
        if verdict is Verdict.PAUSE:
            others_delivered = delivery.tries > 1 and self.delivered > self._delivered_before_pause
            self._delivered_before_pause = self.delivered
            if self.subscriber.options.one_at_a_time or (self._source() is None and not others_delivered):
                return 0.0  # there is no other
        tries = 1 if held else max(1, delivery.tries)
        return backoff.delay(tries, self._rules.rng, self.subscriber.options.backoff)

    def dead_letter(self, delivery: Delivery, reason: str, excerpt: bytes, now: float, wall: float) -> None:
        """Make a delivery a dead letter."""
        self.retries.forget(delivery)
        self.dead += 1
        self.touch()
        self.dead_letters.append(self.letter_of(delivery, reason, excerpt, now, wall))

    def letter_of(self, delivery: Delivery, reason: str, excerpt: bytes, now: float, wall: float) -> DeadLetter:
        """Return the dead letter that a delivery becomes."""
        return DeadLetter(
            self.subscriber.key, delivery.seq, delivery.replay_id, reason, delivery.attempts,
            delivery.first_at(now, wall), wall, delivery.status, delivery.error, excerpt,
            dead_to=self.subscriber.options.dead_to,
        )  # fmt: skip
