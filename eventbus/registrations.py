"""Who is registered, and until when: leases begin, are renewed, and end, each with its lane."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

from gevent.event import Event as Signal
from gevent.lock import RLock

from eventbus.addresses import Address
from eventbus.admission import Admission
from eventbus.company import Alone, Company
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.health import Rules
from eventbus.delivery.interests import MAX_SPANS
from eventbus.delivery.lane import Lane
from eventbus.delivery.place import lane_of, new_record
from eventbus.endings import Endings
from eventbus.errors import Elsewhere, JournalError
from eventbus.journal.base import Journal
from eventbus.leases import Lease, Leases
from eventbus.model import LaneRecord, Subscriber, Terms
from eventbus.replays import Replays

#: Addresses may begin a lease at the same time, but for those that share one of so many locks.
STRIPES = 64

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Registration:
    """A registration that was accepted, and whether it was a new one."""

    lane: Lane
    created: bool


class Registrations:
    """The subscribers of a bus, as they come and go."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        journal: Journal,
        admission: Admission,
        endings: Endings,
        replays: Replays,
        rules: Rules,
    ) -> None:
        self._dispatcher = dispatcher
        self._journal = journal
        self._admission = admission
        self._endings = endings
        self._replays = replays
        self._rules = rules
        self._clock = dispatcher.clock
        self.leases = Leases()
        self.began = Signal()  #: set when a lease may end sooner than the sweeper expects
        self.company: Company = Alone()  #: the other buses, one of which may have an address
        self._locks = tuple(RLock() for _ in range(STRIPES))
        dispatcher.on_gone = self._gone

    def register(self, address: Address, terms: Terms, start: str | None = None) -> Registration:
        """Begin or renew a lease; every event that is accepted after this returns goes to the subscriber.

        A first registration may ``start`` with a replay from a place in the journal (see Places).
        Raises BadAddress, Elsewhere, JournalError, NotKnown, Refused and TooMany.
        """
        lane = self._live(address.key)
        if lane is None:
            if address.key not in self._dispatcher.lanes:
                self._admission.admit(address)  # which may take a moment, in which nobody else is held up
            with self.alone_with(address.key):
                self.company.claim(address.key)
                lane = self._live(address.key)
                if lane is None:
                    lane = self._begin(address, terms, start)
                    self._confirm(lane)
                    return Registration(lane, created=True)
        self._renew(lane, address, terms)
        self._confirm(lane)
        return Registration(lane, created=False)

    def deregister(self, address: Address) -> int:
        """End a lease at once and discard what is pending: so many deliveries. Raises Elsewhere and JournalError."""
        discarded = 0
        with self.alone_with(address.key):
            if address.key not in self._dispatcher.lanes:
                self.company.claim(address.key)
            self.leases.end(address.key)
            lane = self._dispatcher.lanes.get(address.key)
            if lane is not None:
                log.info(
                    "lease of %s ended: deregistered, %d pending discarded",
                    address.key,
                    lane.backlog,
                    extra={"address": address.key},
                )
                discarded = self._endings.discard(lane)
        self._journal.confirm()
        return discarded

    def restore(self, lane: Lane) -> None:
        """Go on with the lease of a lane that was put back."""
        self.leases.restore(lane.lease)
        self.began.set()

    def end_lease(self, lease: Lease) -> None:
        """A lease was not renewed: its place is kept, or what is pending becomes dead letters."""
        lane = self._dispatcher.lanes.get(lease.subscriber.key)
        if lane is None or lane.closed:
            return
        log.info(
            "lease of %s ended: not renewed, %d pending",
            lease.subscriber.key,
            lane.backlog,
            extra={"address": lease.subscriber.key},
        )
        if lane.subscriber.options.resume:
            lane.ended_at = self._clock.wall()
            lane.touch()
        else:
            self._endings.bury(lane)

    @contextmanager
    def alone_with(self, *keys: str) -> Iterator[None]:
        """Nobody else begins or ends a lease of these addresses meanwhile."""
        with ExitStack() as stack:
            for stripe in sorted({hash(key) % STRIPES for key in keys}):  # in one order, so that nobody waits for ever
                stack.enter_context(self._locks[stripe])
            yield

    def _confirm(self, lane: Lane) -> None:
        """Whether a lane was still this bus's when it was saved. Raises Elsewhere, and JournalError."""
        if self._dispatcher.lanes.get(lane.subscriber.key) is not lane:
            raise Elsewhere
        if not lane.confirmed:
            confirmed = lane.subscriber
            self._journal.confirm()
            lane.confirmed = lane.subscriber is confirmed

    def _live(self, key: str) -> Lane | None:
        return self._dispatcher.lanes.get(key) if self.leases.get(key, self._clock.monotonic()) else None

    def _renew(self, lane: Lane, address: Address, terms: Terms) -> None:
        options = terms.applied(lane.subscriber.options)
        changed = options != lane.subscriber.options or address != lane.subscriber.address or not lane.confirmed
        self._lease(lane, Subscriber(address, options))
        if changed:
            lane.confirmed = False
            self._dispatcher.index(lane)
            self._dispatcher.checkpointer.save()
        self._dispatcher.look(lane)

    def _lease(self, lane: Lane, subscriber: Subscriber) -> None:
        now = self._clock.monotonic()
        lease = self.leases.renew(subscriber, now, self._clock.wall())
        lane.renew(lease, self._dispatcher.recent.newest, now)
        self.began.set()

    def _begin(self, address: Address, terms: Terms, start: str | None) -> Lane:
        """A first registration, or one after the last lease ended."""
        era = self._dispatcher.checkpointer.era
        self._end_if_over(address.key)
        self._endings.wait(address.key)
        parked = self._dispatcher.lanes.get(address.key)
        if parked is not None:
            log.info(
                "lease of %s began: resumed, %d pending", address.key, parked.backlog, extra={"address": address.key}
            )
            self._renew(parked, address, terms)
            return parked
        after = None if start is None else self._replays.places.before(start)
        subscriber, past = self._admission.subscriber(address, terms), self._journal.lane(address.key)
        self._dispatcher.checkpointer.check_era(era)  # else there may be a lane with what is pending, which nobody has
        lane = self._begin_new(subscriber, past)
        if after is not None:
            self._replays.replay(lane, after, lane.interests[-1].after)
        return lane

    def _begin_new(self, subscriber: Subscriber, past: LaneRecord | None) -> Lane:
        self._admission.check_room(subscriber.address)  # others may have come while this one was looked at
        now, wall, scanned = self._clock.monotonic(), self._clock.wall(), self._dispatcher.recent.newest
        record = new_record(subscriber, wall, scanned)
        if past is not None:
            record = replace(
                record,
                account=past.account,
                failed_attempts=past.failed_attempts,
                former_attempts=past.account.delivered + past.failed_attempts,
                runs=past.runs,
                interests=(*past.interests[1 - MAX_SPANS :], *record.interests),
                replayed=past.replayed,
            )
        lane = lane_of(record, self._rules, deferred=0, ends=now, now=now, wall=wall)
        lane.confirmed = False
        self._lease(lane, subscriber)
        self._dispatcher.add(lane)
        try:
            self._dispatcher.checkpointer.save()
        except JournalError:
            self.leases.end(subscriber.key)
            self._dispatcher.remove(lane)
            raise
        log.info("lease of %s began", subscriber.key, extra={"address": subscriber.key})
        return lane

    def _end_if_over(self, key: str) -> None:
        """The lease may be over though the sweeper has not come by yet."""
        lease = self.leases.end(key)
        if lease is not None:
            self.end_lease(lease)

    def _gone(self, lane: Lane) -> None:
        """The subscriber answered 410: it wants no more."""
        log.info(
            "lease of %s ended: it answered 410, %d pending discarded",
            lane.subscriber.key,
            lane.backlog,
            extra={"address": lane.subscriber.key},
        )
        self.leases.end(lane.subscriber.key)
        with suppress(Elsewhere, JournalError):  # it stands, and is saved with the next places
            self._endings.discard(lane)
