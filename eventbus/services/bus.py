"""The bus: start, publish, register, list and drain, in one page."""

import logging
from collections.abc import Sequence

from eventbus.cluster.cluster import Cluster, SingleNode
from eventbus.core.addresses import Address
from eventbus.core.clock import Clock
from eventbus.core.columns import body_bytes, head_bytes
from eventbus.core.errors import Draining
from eventbus.core.model import Event, LaneRecord, Message, Terms
from eventbus.core.settings import Settings
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.transport import Transport
from eventbus.journal.base import Appended, Journal
from eventbus.services.admission import Admission
from eventbus.services.dead_letters import DeadLetters
from eventbus.services.expired import ExpiredSubscribers
from eventbus.services.expiry import LeaseExpiry
from eventbus.services.feed import Feed
from eventbus.services.history import History
from eventbus.services.positions import Positions
from eventbus.services.quota_enforcer import QuotaEnforcer
from eventbus.services.recovery import adopt, restore
from eventbus.services.registrations import Registration, Registrations
from eventbus.services.replays import Replays
from eventbus.services.retention import OVERHEAD, Retention
from eventbus.services.time_series import TimeSeries
from eventbus.telemetry.counters import Counters

log = logging.getLogger(__name__)


class Bus:
    """All that the routes call. A process has one."""

    def __init__(self, settings: Settings, journal: Journal, transport: Transport, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or Clock()
        self.journal = journal
        self.counters = Counters()
        self.dispatcher = Dispatcher(journal, transport, self.clock, settings.max_in_flight, self.counters)
        self._rules = Rules(settings.retry_seconds, handshake=settings.verify == "handshake")
        self.expiry = LeaseExpiry(self.dispatcher, journal, self.clock)
        self.positions = Positions(journal, self.dispatcher.recent)
        self.replays = Replays(self.dispatcher, journal, self.positions, self.clock)
        self.registrations = Registrations(
            self.dispatcher,
            journal,
            Admission(settings, self.dispatcher, transport),
            self.expiry,
            self.replays,
            self._rules,
        )
        self.expired = ExpiredSubscribers(self.dispatcher, journal, self.registrations, self._rules)
        self.expiry.on_expired = self.expired.note
        self.dead_letters = DeadLetters(self.dispatcher, journal, self.clock, self.expired.keep)
        self.feed = Feed(journal, self.dispatcher.recent)
        self.history = History(self.dispatcher, journal)
        quota = settings.journal_quota_bytes or settings.journal_max_bytes // 4
        self.quota = QuotaEnforcer(quota, self.dispatcher, journal, self.dead_letters)
        self.retention = Retention(settings, self.dispatcher, journal, self.expiry, self.dead_letters, self.quota)
        self.time_series = TimeSeries(self.dispatcher, self.counters)
        self.cluster: Cluster = SingleNode()  #: the others that share the journal
        self.draining = False
        self.first_seq = 0  #: the number of the last event before this start

    # Start and stop

    def start(self) -> None:
        """Open the journal and carry on where the last process stopped. Raises JournalError."""
        recovered = self.journal.open()
        self.first_seq = recovered.last_seq
        for remark in recovered.remarks:
            log.warning("%s", remark)
        lanes = restore(recovered, self.journal, self.dispatcher, self._rules, self.clock)
        for lane in lanes:
            self.resume(lane)
        self.dispatcher.start()
        self.journal.listen(self._committed)
        self.journal.watch(self.counters.committed)
        self.retention.start()
        self.expired.start()
        self.time_series.start()
        backlog = sum(lane.backlog for lane in lanes)
        log.info("journal read: %d subscribers, %d deliveries pending", len(self.registrations.leases), backlog)

    def join(self, cluster: Cluster) -> None:
        """Be one of several buses from now on."""
        self.cluster = cluster
        self.registrations.cluster = self.retention.cluster = self.quota.cluster = cluster
        self.dead_letters.cluster = self.expired.cluster = cluster

    def resume(self, lane: Lane) -> None:
        """Go on with a lane that was put back."""
        if lane.ended_at is None:
            self.registrations.restore(lane)
        elif not lane.subscriber.options.resume and not lane.expired:
            self.expiry.dead_letter(lane)
        self.dispatcher.schedule(lane)

    def adopt(self, kept: Sequence[tuple[LaneRecord, int]]) -> list[Lane]:
        """Put back lanes that another bus had, each with how much is deferred for it."""
        return adopt(kept, self.journal, self.dispatcher, self._rules, self.clock)

    def reset(self, newest: int) -> None:
        """Go on from the journal's end as it is now, with no lanes: the journal is not what it was."""
        self.dispatcher.reset(newest)
        self.feed.committed()  # who waits looks anew

    def drain(self) -> None:
        """Accept and start nothing more, let deliveries under way finish, save the places, close the journal."""
        self.draining = True
        self.feed.committed()  # who waits for something new ends
        seconds = self.settings.drain_seconds
        log.info("draining: %d deliveries under way get up to %g s", self.dispatcher.busy, seconds)
        self.cluster.withdraw()
        ended = self.dispatcher.drain(seconds)
        if ended:
            log.info("drained")
        else:
            log.warning("drained: %d deliveries did not end in time, and will be made again", self.dispatcher.busy)
        self.stop()

    def stop(self) -> None:
        """Save the places and let go of the journal."""
        self.draining = True
        self.cluster.stop()
        self.retention.stop()
        self.expired.stop()
        self.time_series.stop()
        self.expiry.stop()
        self.dispatcher.stop()
        self.dispatcher.checkpointer.try_save()
        self.journal.close()

    def give_way(self) -> None:
        """Let others run where the event loop's turn has taken long; called between steps of what may be long work."""
        self.dispatcher.load.give_way()

    # Publishers

    def publish(self, messages: Sequence[Message], idempotency_key: str | None = None) -> Appended:
        """Keep messages, all or none; returns when they are safe. Raises Draining and JournalError."""
        if self.draining:
            raise Draining("The bus is stopping; publish again in a few seconds.")
        self.retention.make_room(body_bytes(messages) + head_bytes(messages) + OVERHEAD * len(messages))
        appended = self.journal.append(messages, idempotency_key)
        if appended.duplicate:
            self.counters.duplicates += 1
        return appended

    # Subscribers

    def register(self, address: Address, terms: Terms, start: str | None = None) -> Registration:
        """Begin or renew a lease; see ``Registrations.register``."""
        return self.registrations.register(address, terms, start)

    def deregister(self, address: Address) -> int:
        """End a lease at once and discard what is pending: so many deliveries. Raises Elsewhere and JournalError."""
        discarded = self.registrations.deregister(address)
        self.expired.remove(address.key)
        return discarded

    def subscribers(self) -> list[Lane]:
        """The lanes whose subscribers are live, by address."""
        live = self.registrations.leases.live(self.clock.monotonic())
        return [self.dispatcher.lanes[lease.subscriber.key] for lease in live]

    def oldest_pending_seconds(self, lane: Lane) -> float:
        """Seconds that the oldest event has been pending for this subscriber; 0 when none is."""
        seq = lane.oldest()
        at = None if seq is None else self.dispatcher.event_times.at(seq)
        return 0.0 if at is None else round(max(0.0, self.clock.wall() - at), 3)

    def _committed(self, events: Sequence[Event]) -> None:
        self.dispatcher.committed(events)
        self.feed.committed()
