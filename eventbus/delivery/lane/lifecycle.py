"""A lane's lifecycle: its lease and its phase, one method for each transition. Pure."""

from dataclasses import replace

from eventbus.core.leases import Lease
from eventbus.core.model import FormerFilter, Interest, State, Subscription
from eventbus.core.records import LaneRecord, Span
from eventbus.delivery.lane import interests
from eventbus.delivery.lane.backlog import Backlog
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.interests import MAX_SPANS
from eventbus.delivery.lane.phase import RENEWABLE, SOURCES, CloseReason, ImpossibleTransition, Phase


class Lifecycle(Backlog):
    """What a lane knows of its subscriber's registration. Each method names the phases it goes from and to."""

    def __init__(self, record: LaneRecord, lease: Lease, rules: Rules, *, retries: int = 0) -> None:
        super().__init__(record, rules, retries)
        self.lease = lease
        self.ended_at = record.ended_at  # when the lease ended, seconds since 1970
        self.durable = True  # whether the registration is known to be in the journal
        self.phase = _first_phase(record)
        self._stays_as = self.phase  # where a lane that was leaving goes on
        self.close_reason: CloseReason | None = None

    @property
    def closed(self) -> bool:
        """Return whether nothing is delivered, or counted, any more."""
        return self.phase is Phase.CLOSED

    @property
    def renewable(self) -> bool:
        """Return whether the subscriber may renew; a lane about to close takes neither renewals nor redeliveries."""
        return self.phase in RENEWABLE

    @property
    def expired(self) -> bool:
        """Return whether the lease has ended and what was pending then is dead letters; the record keeps that."""
        return self._lease_phase in (Phase.EMPTIED, Phase.EXPIRED)

    @property
    def _lease_phase(self) -> Phase:
        """Return the phase, as if the lane were not about to be handed over."""
        return self._stays_as if self.phase is Phase.LEAVING else self.phase

    def _enter(self, phase: Phase) -> None:
        """Enter a phase. Raises ImpossibleTransition."""
        if self.phase not in SOURCES[phase]:
            found = self.phase.value
            if self.close_reason is not None:
                found += f" since {self.close_reason.value},"
            raise ImpossibleTransition(f"The lane of {self.subscriber.key} is {found} and cannot become {phase.value}.")
        self.phase = self._stays_as = phase

    def _enter_unless_leaving(self, phase: Phase) -> None:
        """Enter a phase, or remember it for a lane that is leaving. Raises ImpossibleTransition."""
        leaving = self.phase is Phase.LEAVING
        self._enter(phase)
        if leaving:
            self.phase = Phase.LEAVING

    # Transitions

    def renew(self, lease: Lease, scanned: int, now: float) -> None:
        """Begin the lease's new term, on its options: from ACTIVE, PARKED or EXPIRED to ACTIVE; LEAVING stays LEAVING.

        What the subscriber asks for now holds for events after ``scanned``. Raises TooMany, and ImpossibleTransition.
        """
        subscriber = lease.subscriber
        found = self.interests_with(subscriber.options.topics, scanned)
        former_filters = self.filters_before(subscriber)
        self._enter_unless_leaving(Phase.ACTIVE)
        self.touch()
        begins = self.interests[-1].until is not None  # nothing was for the subscriber since its lease had ended
        self.interests, self.former_filters = found, former_filters
        if self.ended_at is not None:
            self.former_attempts = self.delivered + self.failed_attempts
        self.subscriber, self.lease, self.ended_at = subscriber, lease, None
        self._apply_options()
        if begins:
            self.live = self.new_range(Span(0, scanned, None, 0))
        self._fit()
        self._wake(now)

    def end_lease(self, now: float) -> None:
        """End the lease now, unless it has ended."""
        self.lease = replace(self.lease, ends=min(now, self.lease.ends))

    def park(self, wall: float) -> None:
        """Keep the position of a subscriber whose lease has ended: from ACTIVE to PARKED; LEAVING stays LEAVING."""
        self._enter_unless_leaving(Phase.PARKED)
        self.ended_at = wall
        self.touch()

    def leave(self) -> None:
        """Start nothing more, so that another node can go on: from ACTIVE, PARKED or EXPIRED to LEAVING."""
        stays_as = self.phase
        self._enter(Phase.LEAVING)
        self._stays_as = stays_as

    def stay(self) -> None:
        """Go on here after all: from LEAVING to what the lane would be by now."""
        if self.phase is not Phase.LEAVING:
            raise ImpossibleTransition(f"The lane of {self.subscriber.key} is {self.phase.value}, and not leaving.")
        self.phase = self._stays_as

    def begin_ending(self, scanned: int, wall: float) -> None:
        """Take no event after ``scanned``, retry nothing: from ACTIVE, PARKED, EXPIRED or LEAVING to ENDING."""
        self._enter(Phase.ENDING)
        self.retries.unload(self.in_flight)
        self.end_pause()
        self.ended_at = wall if self.ended_at is None else self.ended_at
        self.unsubscribe(scanned)
        self.touch()

    def finish_ending(self) -> None:
        """Note that nothing is pending any more: from ENDING to EMPTIED."""
        self._enter(Phase.EMPTIED)
        self.touch()

    def begin_discarding(self, now: float) -> None:
        """Start nothing more, as all will be discarded: from any phase but DISCARDING and CLOSED to DISCARDING."""
        self._enter(Phase.DISCARDING)
        self.retries.unload(self.in_flight)
        self.end_lease(now)

    def close(self, reason: CloseReason) -> None:
        """Deliver and count nothing any more: from any other phase to CLOSED."""
        self._enter(Phase.CLOSED)
        self.close_reason = reason

    # The registration in the journal

    def mark_not_durable(self) -> None:
        """Have the next renewal wait until it is in the journal, whatever it asks for."""
        self.durable = False

    def mark_durable(self, subscriber: Subscription) -> None:
        """Note that the registration of this subscriber is in the journal; another one since then may not be."""
        self.durable = self.subscriber is subscriber

    # What the subscriber is interested in

    def interests_with(self, topics: tuple[str, ...], scanned: int) -> tuple[Interest, ...]:
        """Return the interests if these topics are asked for after ``scanned``. Raises TooMany."""
        if self.interests[-1].until is not None:
            return (*self.interests[1 - MAX_SPANS :], Interest(scanned, None, topics))
        if topics == self.subscriber.options.topics:
            return self.interests
        return interests.changed(self.interests, topics, scanned, self.live.span().cursor)

    def filters_before(self, subscriber: Subscription) -> tuple[FormerFilter, ...]:
        """Return the filters that the subscription had, once its subscriber is this one."""
        own, until = self.subscriber.options.filter, self.live.span().cursor
        return interests.filters_before(self.former_filters, own, subscriber.options.filter, until)

    def unsubscribe(self, scanned: int) -> None:
        """Take no event after ``scanned`` until the subscriber registers again."""
        self.interests = interests.ended(self.interests, scanned)

    def _wake(self, now: float) -> None:
        """Wake a subscriber that is down, on renewal: it is probed at once."""
        if self.state is State.DOWN:
            self.end_backoff(now)
            if not self._fresh_waits():
                self.retries.hasten(now)


def _first_phase(record: LaneRecord) -> Phase:
    """Return the phase of a lane that was read from the journal; one that was ENDING begins again from PARKED."""
    if record.ended_at is None:
        return Phase.ACTIVE
    return Phase.EXPIRED if record.expired else Phase.PARKED
