"""The bus: start, register, deregister, publish, list and drain, in one page."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from gevent.event import Event as Signal
from gevent.lock import RLock

from eventbus.addresses import Address
from eventbus.clock import Clock
from eventbus.company import Alone, Company
from eventbus.dead_letters import DeadLetters
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.health import Rules
from eventbus.delivery.interests import MAX_SPANS
from eventbus.delivery.lane import Lane
from eventbus.delivery.place import lane_of, new_record
from eventbus.delivery.transport import Transport
from eventbus.endings import Endings
from eventbus.errors import BadAddress, Draining, Elsewhere, JournalError, TooMany
from eventbus.feed import Feed
from eventbus.history import History
from eventbus.journal.base import Appended, Journal
from eventbus.leases import Lease, Leases
from eventbus.meters import Meters
from eventbus.model import Event, LaneRecord, Message, Options, Subscriber, Terms
from eventbus.places import Places
from eventbus.recovery import adopt, restore
from eventbus.replays import Replays
from eventbus.retention import OVERHEAD, Retention
from eventbus.samples import Samples
from eventbus.settings import Settings

#: Addresses may begin a lease at the same time, but for those that share one of so many locks.
STRIPES = 64

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Registration:
    """A registration that was accepted, and whether it was a new one."""

    lane: Lane
    created: bool


class Bus:
    """All that the routes call. A process has one."""

    def __init__(self, settings: Settings, journal: Journal, transport: Transport, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or Clock()
        self.journal = journal
        self.leases = Leases()
        self._transport = transport
        self.meters = Meters()
        self.dispatcher = Dispatcher(journal, transport, self.clock, settings.max_in_flight, self.meters)
        self._rules = Rules(settings.retry_seconds, handshake=settings.verify == "handshake")
        self.endings = Endings(self.dispatcher, journal, self.clock)
        self.dispatcher.on_gone = self._gone
        self.places = Places(journal, self.dispatcher.recent)
        self.replays = Replays(self.dispatcher, journal, self.places, self.clock)
        self.dead_letters = DeadLetters(self.dispatcher, journal, self.clock)
        self.feed = Feed(journal, self.dispatcher.recent)
        self.history = History(self.dispatcher, journal)
        self.retention = Retention(settings, self.dispatcher, journal, self.endings, self.dead_letters)
        self.samples = Samples(self.dispatcher, self.meters)
        self.lease_began = Signal()  #: set when a lease may end sooner than the sweeper expects
        self.company: Company = Alone()  #: the others that share the journal
        self.draining = False
        self.first_seq = 0  #: the number of the last event before this start
        self._registering = tuple(RLock() for _ in range(STRIPES))

    # Start and stop

    def start(self) -> None:
        """Open the journal and carry on where the last process stopped. Raises JournalError."""
        recovered = self.journal.open()
        self.first_seq = recovered.last_seq
        for remark in recovered.remarks:
            log.warning("%s", remark)
        lanes = restore(recovered, self.journal, self.dispatcher, self._rules, self.clock)
        for lane in lanes:
            self.carry_on(lane)
        self.dispatcher.start()
        self.journal.listen(self._committed)
        self.journal.watch(self.meters.committed)
        self.retention.start()
        self.samples.start()
        backlog = sum(lane.backlog for lane in lanes)
        log.info("journal read: %d subscribers, %d deliveries pending", len(self.leases), backlog)

    def join(self, company: Company) -> None:
        """Be one of several buses from now on."""
        self.company = self.retention.company = self.dead_letters.company = company

    def carry_on(self, lane: Lane) -> None:
        """Go on with a lane that was put back."""
        if lane.ended_at is None:
            self.leases.restore(lane.lease)
            self.lease_began.set()
        elif not lane.subscriber.options.resume:
            self.endings.bury(lane)
        self.dispatcher.look(lane)

    def adopt(self, kept: Sequence[tuple[LaneRecord, int]]) -> list[Lane]:
        """Put back lanes that another bus had, each with how much is deferred for it."""
        return adopt(kept, self.journal, self.dispatcher, self._rules, self.clock)

    def drain(self) -> None:
        """Accept and start nothing more, let deliveries under way finish, save the places, close the journal."""
        self.draining = True
        self.feed.committed()  # who waits for something new ends
        seconds = self.settings.drain_seconds
        log.info("draining: %d deliveries under way get up to %g s", self.dispatcher.busy, seconds)
        self.company.withdraw()
        ended = self.dispatcher.drain(seconds)
        if ended:
            log.info("drained")
        else:
            log.warning("drained: %d deliveries did not end in time, and will be made again", self.dispatcher.busy)
        self.stop()

    def stop(self) -> None:
        """Save the places and let go of the journal."""
        self.draining = True
        self.company.stop()
        self.retention.stop()
        self.samples.stop()
        self.endings.stop()
        self.dispatcher.stop()
        self.dispatcher.checkpointer.try_save()
        self.journal.close()

    # Publishers

    def publish(self, messages: Sequence[Message], idempotency_key: str | None = None) -> Appended:
        """Keep messages, all or none; returns when they are safe. Raises Draining and JournalError."""
        if self.draining:
            raise Draining("The bus is stopping; publish again in a few seconds.")
        self.retention.make_room(sum(len(message.body) + len(message.head) + OVERHEAD for message in messages))
        appended = self.journal.append(messages, idempotency_key)
        if appended.duplicate:
            self.meters.duplicates += 1
        return appended

    # Subscribers

    def register(self, address: Address, terms: Terms, start: str | None = None) -> Registration:
        """Begin or renew a lease; every event that is accepted after this returns goes to the subscriber.

        A first registration may ``start`` with a replay from a place in the journal (see Places).
        Raises BadAddress, Draining, Elsewhere, JournalError, NotKnown, Refused and TooMany.
        """
        if self.draining:
            raise Draining("The bus is stopping; register again in a few seconds.")
        lane = self._live(address.key)
        if lane is None:
            if address.key not in self.dispatcher.lanes:
                self._admit(address)  # which may take a moment, in which nobody else is held up
            with self.alone_with(address.key):
                self.company.claim(address.key)
                lane = self._live(address.key)
                if lane is None:
                    lane = self._begin(address, terms, start)
                    self._check_kept(lane)
                    return Registration(lane, created=True)
        self._renew(lane, address, terms)
        self._check_kept(lane)
        return Registration(lane, created=False)

    def deregister(self, address: Address) -> None:
        """End a lease at once and discard what is pending. Raises JournalError."""
        with self.alone_with(address.key):
            if address.key not in self.dispatcher.lanes:
                self.company.claim(address.key)
            self.leases.end(address.key)
            lane = self.dispatcher.lanes.get(address.key)
            if lane is not None:
                log.info(
                    "lease of %s ended: deregistered, %d pending discarded",
                    address.key,
                    lane.backlog,
                    extra={"address": address.key},
                )
                self.endings.discard(lane)

    def subscribers(self) -> list[Lane]:
        """The lanes whose subscribers are live, by address."""
        return [self.dispatcher.lanes[lease.subscriber.key] for lease in self.leases.live(self.clock.monotonic())]

    def oldest_pending_seconds(self, lane: Lane) -> float:
        """Seconds that the oldest event has been pending for this subscriber; 0 when none is."""
        seq = lane.oldest()
        at = None if seq is None else self.dispatcher.ages.at(seq)
        return 0.0 if at is None else round(max(0.0, self.clock.wall() - at), 3)

    def end_lease(self, lease: Lease) -> None:
        """A lease was not renewed: its place is kept, or what is pending becomes dead letters."""
        lane = self.dispatcher.lanes.get(lease.subscriber.key)
        if lane is None or lane.closed:
            return
        log.info(
            "lease of %s ended: not renewed, %d pending",
            lease.subscriber.key,
            lane.backlog,
            extra={"address": lease.subscriber.key},
        )
        if lane.subscriber.options.resume:
            lane.ended_at = self.clock.wall()
            lane.touch()
        else:
            self.endings.bury(lane)

    def _committed(self, events: Sequence[Event]) -> None:
        self.dispatcher.committed(events)
        self.feed.committed()

    @contextmanager
    def alone_with(self, *keys: str) -> Iterator[None]:
        """Nobody else begins or ends a lease of these addresses meanwhile."""
        with ExitStack() as stack:
            for stripe in sorted({hash(key) % STRIPES for key in keys}):  # in one order, so that nobody waits for ever
                stack.enter_context(self._registering[stripe])
            yield

    def _check_kept(self, lane: Lane) -> None:
        """Whether a lane was still this bus's when it was saved. Raises Elsewhere."""
        if self.dispatcher.lanes.get(lane.subscriber.key) is not lane:
            raise Elsewhere("This subscriber went to another bus, or ended, in this moment; ask again.")

    def _live(self, key: str) -> Lane | None:
        return self.dispatcher.lanes.get(key) if self.leases.get(key, self.clock.monotonic()) else None

    def _renew(self, lane: Lane, address: Address, terms: Terms) -> None:
        options = terms.applied(lane.subscriber.options)
        changed = options != lane.subscriber.options or address != lane.subscriber.address
        self._lease(lane, Subscriber(address, options))
        if changed:
            self.dispatcher.index(lane)
            self.dispatcher.checkpointer.save()
        self.dispatcher.look(lane)

    def _lease(self, lane: Lane, subscriber: Subscriber) -> None:
        now = self.clock.monotonic()
        lease = self.leases.renew(subscriber, now, self.clock.wall())
        lane.renew(lease, self.dispatcher.recent.newest, now)
        self.lease_began.set()

    def _begin(self, address: Address, terms: Terms, start: str | None) -> Lane:
        """A first registration, or one after the last lease ended."""
        self._end_if_over(address.key)
        self.endings.wait(address.key)
        parked = self.dispatcher.lanes.get(address.key)
        if parked is not None:
            log.info(
                "lease of %s began: resumed, %d pending", address.key, parked.backlog, extra={"address": address.key}
            )
            self._renew(parked, address, terms)
            return parked
        after = None if start is None else self.places.before(start)
        lane = self._begin_new(Subscriber(address, terms.applied(self._defaults())), self.journal.lane(address.key))
        if after is not None:
            self.replays.replay(lane, after, lane.interests[-1].after)
        return lane

    def _admit(self, address: Address) -> None:
        """Let a new subscriber in. Raises BadAddress and TooMany."""
        self._check_room(address)
        reason = self._transport.refusal(address)
        if reason is not None:
            raise BadAddress(reason)

    def _check_room(self, address: Address) -> None:
        """Whether one more may be there. Raises TooMany."""
        lanes, hosts, settings = self.dispatcher.lanes, self.dispatcher.hosts, self.settings
        if len(lanes) >= settings.max_subscribers:
            raise TooMany(f"There are {len(lanes)} subscribers; no more are let in (EVENTBUS_MAX_SUBSCRIBERS).")
        if hosts[address.host] >= settings.max_subscribers_per_host:
            raise TooMany(
                f"There are {hosts[address.host]} subscribers on {address.host}; no more are let in there"
                " (EVENTBUS_MAX_SUBSCRIBERS_PER_HOST)."
            )

    def _begin_new(self, subscriber: Subscriber, past: LaneRecord | None) -> Lane:
        self._check_room(subscriber.address)  # others may have come while this one was looked at
        now, wall, scanned = self.clock.monotonic(), self.clock.wall(), self.dispatcher.recent.newest
        record = new_record(subscriber, wall, scanned)
        if past is not None:
            record = replace(
                record,
                account=past.account,
                failed_attempts=past.failed_attempts,
                runs=past.runs,
                interests=(*past.interests[1 - MAX_SPANS :], *record.interests),
                replayed=past.replayed,
            )
        lane = lane_of(record, self._rules, deferred=0, ends=now, now=now, wall=wall)
        self._lease(lane, subscriber)
        self.dispatcher.add(lane)
        try:
            self.dispatcher.checkpointer.save()
        except JournalError:
            self.leases.end(subscriber.key)
            self.dispatcher.remove(lane)
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
        self.endings.discard(lane)

    def _defaults(self) -> Options:
        return Options(lease_seconds=self.settings.lease_seconds)
