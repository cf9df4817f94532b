"""The bus: start, publish, register, list and drain, in one page."""

import logging
from collections.abc import Sequence

from eventbus.cluster.base import Cluster
from eventbus.cluster.single_node import SingleNode
from eventbus.core.access import OPEN, Access
from eventbus.core.addresses import Address
from eventbus.core.clock import Clock
from eventbus.core.credentials import NOTHING_GIVEN, GivenCredentials
from eventbus.core.dead_events import own_topic_warning
from eventbus.core.declarations import Declaration
from eventbus.core.errors import Draining
from eventbus.core.model import Event, Message, Terms
from eventbus.core.override import override
from eventbus.core.settings import Settings
from eventbus.delivery.attempts import SubscriberListener
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.lane.health import Health, Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.transport import Transport
from eventbus.journal.base import Appended, Journal
from eventbus.services.admission import Admission
from eventbus.services.audit import Audit
from eventbus.services.backups import Backups
from eventbus.services.dead_events import DeadEvents
from eventbus.services.dead_letters import DeadLetters
from eventbus.services.declared_subscribers import DeclaredSubscribers
from eventbus.services.deregistrations import Deregistrations
from eventbus.services.dry_runs import DryRun, PastEvents
from eventbus.services.expired import ExpiredSubscribers
from eventbus.services.expiry import LeaseExpiry
from eventbus.services.feed import Feed
from eventbus.services.group_registrations import GroupRegistrations
from eventbus.services.history import History
from eventbus.services.introductions import Introductions
from eventbus.services.journal_room import room_for
from eventbus.services.known_tokens import KnownTokens
from eventbus.services.memberships import Memberships
from eventbus.services.node import Node
from eventbus.services.node_subscriptions import NodeSubscriptions
from eventbus.services.pauses import Pauses
from eventbus.services.positions import Positions
from eventbus.services.quota_enforcer import QuotaEnforcer
from eventbus.services.registration_steps import JoinRequest, RegistrationRequest
from eventbus.services.registrations import Registration, Registrations
from eventbus.services.replays import Replays
from eventbus.services.retention import Retention
from eventbus.services.retry_now import RetryNow
from eventbus.services.schedule import Schedule
from eventbus.services.schedule_mover import ScheduleMover
from eventbus.services.service import Service
from eventbus.services.settling import Settling
from eventbus.services.skips import Skips
from eventbus.services.sweeper import Sweeper
from eventbus.services.time_series import TimeSeries
from eventbus.services.timing import DEFAULT_TIMING, ServiceTiming
from eventbus.telemetry.counters import Counters

log = logging.getLogger(__name__)


class Bus(SubscriberListener):
    """All that the routes call. A process has one."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        transport: Transport,
        clock: Clock | None = None,
        cluster: Cluster | None = None,
        timing: ServiceTiming = DEFAULT_TIMING,
    ) -> None:
        self.settings, self.clock = settings, clock or Clock()
        self.journal, self.transport, self.cluster = journal, transport, cluster or SingleNode()
        self.tokens = KnownTokens(settings.tokens, settings.tokens_file, self.clock, timing.tokens_check_seconds)
        self.counters, self.audit = Counters(), Audit()
        self.dispatcher = Dispatcher(journal, transport, self.clock, settings.max_in_flight, self.counters, self)
        self.node = node = Node(journal, self.dispatcher, self.cluster, self._rules(settings, timing), timing)
        self.expired, self.feed = ExpiredSubscribers(node), Feed(self.dispatcher.reader.pages, self.dispatcher.recent)
        self.expiry = LeaseExpiry(node, self.expired.note)
        self.memberships, self.positions = Memberships(node, self.expiry), Positions(journal, self.dispatcher.recent)
        self.sweeper = Sweeper(node, self.expiry, self.memberships, settings.sweep_seconds)
        self.replays, self.backups = Replays(node, self.positions), Backups(node, self.counters)
        admission = Admission(settings, self.dispatcher, transport)
        shared = node, admission, Introductions(node, admission, self.replays), self.sweeper, self.expiry, self.replays
        self.registrations, self.group_registrations = Registrations(*shared), GroupRegistrations(*shared)
        self.deregistrations = Deregistrations(node, self.expiry, self.expired, self.memberships)
        self.dead_letters, self.past_events = DeadLetters(node, self.expired.keep), PastEvents(node)
        self.pauses, self.retry_now, self.skips = Pauses(node), RetryNow(node), Skips(node)
        self.history, self.schedule = History(node), Schedule(node)
        self.mover, self.settling = ScheduleMover(node), Settling(node, self.history)
        quota = QuotaEnforcer(node, _quota_bytes(settings), settings.journal_max_bytes, self.dead_letters, self.expired)
        self.retention = Retention(node, settings, self.expiry, self.dead_letters, quota)
        self.time_series = TimeSeries(self.dispatcher, self.counters, timing.sample_interval_seconds)
        self.subscriptions = NodeSubscriptions(node, self.sweeper, self.expiry, self.retention, self.feed)
        self.declared = DeclaredSubscribers(node, settings.subscribers, self._register_declared, self.sweeper)
        self._services: tuple[Service, ...] = (  # started in this order, stopped in reverse
            self.dispatcher, self.expiry, self.retention, self.expired, self.time_series, self.subscriptions,
            self.sweeper, DeadEvents(node, self.retention.room), self.declared, self.mover, self.settling,
        )  # fmt: skip
        self._running: list[Service] = []
        self.draining, self.first_seq = False, 0  #: the latter is the number of the last event before this start

    def _rules(self, settings: Settings, timing: ServiceTiming) -> Rules:
        """Return what holds for all lanes."""
        handshake, find = settings.verify == "handshake", self.dispatcher.recent.get
        return Rules(settings.retry_seconds, handshake=handshake, limits=timing.lanes, find=find)

    # Start and stop

    def start(self) -> None:
        """Open the journal and continue where the last process stopped. Raises JournalError and SettingsError."""
        self.tokens.start()
        self._running.append(self.tokens)
        recovered = self.journal.open()
        self.first_seq = recovered.last_seq
        for remark in recovered.remarks:
            log.warning("%s", remark)
        lanes = self.subscriptions.restore(recovered)
        self.journal.listen(self._committed)
        self.journal.watch(self.counters.committed)
        for service in self._services:
            service.start()
            self._running.append(service)
        backlog = sum(lane.backlog for lane in lanes)
        log.info("journal read: %d subscribers, %d deliveries pending", len(self.node.leases), backlog)

    def drain(self) -> None:
        """Accept and start nothing more, finish the deliveries in flight, save all, and close the journal."""
        self.draining = True
        self.declared.stop()
        self.mover.stop()
        self.sweeper.stop()  # the next process has the leases, each for its full time
        self.feed.committed()  # who waits for something new ends
        self.settling.stop()
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
        """Stop the services, save all, and close the journal."""
        self.draining = True
        while self._running:
            self._running.pop().stop()
        self.dispatcher.checkpointer.try_save()
        self.journal.close()

    def give_way(self) -> None:
        """Let other greenlets run where this one has run for long; called between steps of work that may be long."""
        self.dispatcher.load.give_way()

    # Publishers

    def publish(
        self,
        messages: Sequence[Message],
        idempotency_key: str | None = None,
        due_at: float | None = None,
        terms: str = "",
    ) -> Appended:
        """Keep messages, all or none; return when they are safe; see ``Journal.append``. Raises Draining, too."""
        if self.draining:
            raise Draining("The bus is stopping; publish again in a few seconds.")
        self.retention.room.reserve(room_for(messages))
        appended = self.journal.append(messages, idempotency_key, due_at=due_at, terms=terms)
        if appended.duplicate:
            self.counters.duplicates += 1
        elif due_at is not None:
            self.mover.accept(due_at)
        return appended

    # Subscribers

    def register(
        self,
        address: Address,
        terms: Terms,
        start: str | None = None,
        *,
        group: str | None = None,
        drain: bool = False,
        credentials: GivenCredentials = NOTHING_GIVEN,
    ) -> Registration:
        """Begin or renew a lease by the bus itself, which may do everything; see ``accept``."""
        if group is None:
            return self.accept(RegistrationRequest(address, terms, credentials, drain=drain), start)
        return self.accept(JoinRequest(address, terms, credentials, drain=drain, group=group), start)

    def accept(self, asked: RegistrationRequest, start: str | None = None) -> Registration:
        """Begin or renew a lease; see ``register`` of Registrations and GroupRegistrations."""
        if isinstance(asked, JoinRequest):
            found = self.group_registrations.register(asked, start)
        else:
            found = self.registrations.register(asked, start)
            if found.lane.draining is not asked.drain:
                found.lane.set_draining(draining=asked.drain)
                self.dispatcher.schedule(found.lane)
        subscription = found.lane.subscriber
        if (found.created or found.changed) and (warning := own_topic_warning(subscription.options)):
            log.warning("subscriber %s: %s", subscription.key, warning, extra={"address": subscription.key})
        return found

    def _register_declared(self, each: Declaration) -> Lane:
        terms, group, credentials = each.terms, each.group, each.credentials
        found = self.register(each.address, terms, each.start, group=group, drain=each.drain, credentials=credentials)
        return found.lane

    def dry_run(self, asked: RegistrationRequest, start: str | None = None) -> DryRun:
        """Return what a registration would be; change nothing, and raise what it would raise at this moment."""
        if isinstance(asked, JoinRequest):
            return self.group_registrations.check(asked, start)
        return self.registrations.check(asked, start)

    def deregister(self, key: str, by: Access = OPEN) -> int:
        """Remove a registration; see ``Deregistrations.deregister``."""
        return self.deregistrations.deregister(key, by)

    @override
    def gone(self, lane: Lane, target: Health) -> None:
        self.deregistrations.subscriber_gone(lane, target)

    def subscribers(self) -> list[Lane]:
        """Return the lanes of registered subscribers and groups, by address or name."""
        now = self.clock.monotonic()
        live = [lane for lane in self.dispatcher.lanes.values() if lane.lease.ends > now]
        return sorted(live, key=lambda lane: lane.subscriber.key)

    def oldest_pending_seconds(self, lane: Lane) -> float:
        """Return the seconds that the oldest event has been pending for a subscriber; 0 if none is."""
        seq = lane.oldest()
        at = None if seq is None else self.dispatcher.event_times.at(seq)
        return 0.0 if at is None else round(max(0.0, self.clock.wall() - at), 3)

    def _committed(self, events: Sequence[Event]) -> None:
        self.dispatcher.committed(events)
        self.feed.committed()


def _quota_bytes(settings: Settings) -> int:
    """Return how much of the journal one subscription may use."""
    return settings.journal_quota_bytes or settings.journal_max_bytes // 4
