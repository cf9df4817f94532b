"""What all services of a node work with."""

from dataclasses import dataclass, field

from eventbus.cluster.base import Cluster
from eventbus.core.clock import Clock
from eventbus.core.leases import Leases
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.lane.health import Rules
from eventbus.journal.base import Journal
from eventbus.services.subscriber_locks import SubscriberLocks
from eventbus.services.timing import DEFAULT_TIMING, ServiceTiming


@dataclass(frozen=True, slots=True)
class Node:
    """This process as a node: its journal, the lanes that it delivers for, and the cluster that it belongs to."""

    journal: Journal
    dispatcher: Dispatcher
    cluster: Cluster
    rules: Rules
    timing: ServiceTiming = DEFAULT_TIMING
    leases: Leases = field(default_factory=Leases)
    locks: SubscriberLocks = field(default_factory=SubscriberLocks)

    @property
    def clock(self) -> Clock:
        """The clock of deliveries and leases."""
        return self.dispatcher.clock
