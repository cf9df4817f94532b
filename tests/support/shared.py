"""Buses in one process that share a journal on Redis, with a transport that does what a test says."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from eventbus.cluster.ownership import Ownership
from eventbus.cluster.timing import ClusterTiming
from eventbus.core.addresses import parse_address
from eventbus.core.credentials import NOTHING_GIVEN, GivenCredentials
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Event, Message, Terms
from eventbus.core.settings import Settings
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.journal.base import CommitListener
from eventbus.journal.redis import RedisJournal, RedisTiming, ReplicationPolicy
from eventbus.services.bus import Bus
from eventbus.services.timing import ServiceTiming
from tests.support.deadline import eventually
from tests.support.scripted import ScriptedTransport

#: Longer than any test.
NEVER_SECONDS = 1_000_000.0
NO_REPAIR = ClusterTiming(repair_interval_seconds=NEVER_SECONDS)


class SharedBus:
    """One bus of several. It sends heartbeats only while it is told to, so that a test decides who owns what."""

    def __init__(
        self,
        url: str,
        always: DeliveryResponse | None = None,
        replication: ReplicationPolicy | None = None,
        timing: RedisTiming | None = None,
        cluster_timing: ClusterTiming = NO_REPAIR,
        service_timing: ServiceTiming | None = None,
        **settings: Any,
    ) -> None:
        self.transport = ScriptedTransport(always)
        timing = replace(timing or RedisTiming(), heartbeat_interval_seconds=NEVER_SECONDS)
        self.journal = RedisJournal(url, replication=replication, timing=timing)
        self.deaf = False  #: it hears of no events
        listen = self.journal.listen
        self.journal.listen = lambda listener: listen(self._hears(listener))  # type: ignore[method-assign]
        self.sharing = Ownership(self.journal, cluster_timing)
        self.bus = Bus(
            Settings(journal=url, **settings),
            self.journal,
            self.transport,
            cluster=self.sharing,
            timing=service_timing or ServiceTiming(),
        )
        self.bus.start()

    def _hears(self, listener: CommitListener) -> CommitListener:
        def hear(events: Sequence[Event]) -> None:
            if self.deaf:
                raise ConnectionError("it hears of nothing")
            listener(events)

        return hear

    def register(self, address: str, credentials: GivenCredentials = NOTHING_GIVEN, **terms: Any) -> Lane:
        """Register or renew here."""
        return self.bus.register(parse_address(address), Terms(lease=600, **terms), credentials=credentials).lane

    def join(self, address: str, group: str, **terms: Any) -> Lane:
        """Register or renew a member of a group here."""
        return self.bus.register(parse_address(address), Terms(lease=600, **terms), group=group).lane

    def publish(self, count: int = 1, at: float | None = None) -> tuple[str, ...]:
        """Publish events with empty bodies, accepted at a moment on the wall clock; their ids."""
        moment = self.bus.clock.wall() if at is None else at
        return self.bus.publish([Message(new_event_id(), None, b"", b"", moment) for _ in range(count)]).ids


def move(giver: SharedBus, taker: SharedBus) -> None:
    """Hand all lanes from one bus to another."""
    keys = list(giver.bus.dispatcher.lanes)
    giver.sharing.rebalance(len(keys))
    eventually(lambda: not giver.bus.dispatcher.lanes and not giver.journal.members.owned(), 10)
    for key in keys:
        taker.sharing.claim(key)


@contextmanager
def shared(url: str, **settings: Any) -> Iterator[SharedBus]:
    """A bus that runs until the block ends."""
    found = SharedBus(url, **settings)
    try:
        yield found
    finally:
        found.bus.stop()
