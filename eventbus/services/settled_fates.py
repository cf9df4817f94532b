"""What became of an event for each subscription, as several nodes know it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from eventbus.core.model import Subscription
from eventbus.delivery.awaited import DeliveryState


class SettledFate(NamedTuple):
    """What became of an event for one subscription."""

    subscription: Subscription
    delivery: DeliveryState


Fates = Mapping[str, SettledFate]


@dataclass(frozen=True, slots=True)
class PeerFates:
    """What became of an event on the other nodes, by key, and whether all of them know, or there are none."""

    fates: Fates = field(default_factory=dict)
    complete: bool = True

    @property
    def settled(self) -> bool:
        """Whether nothing is pending there."""
        return self.complete and not any(fate.delivery.state == "pending" for fate in self.fates.values())


class FatePeers(Protocol):
    """The other nodes of a cluster, as a publish that waits asks them."""

    def watch(self, event_id: str) -> None:
        """Have them note what becomes of an event that is about to be published; do not wait for them."""

    def ask(self, event_id: str) -> PeerFates:
        """Return what became of it so far."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of an event: for each subscription, and ``unknown`` ones, whose nodes did not say."""

    fates: Fates
    unknown: int = 0


#: If two nodes disagree the later state is right: pending may be one that the subscription's former node knew last.
_ORDER = ("pending", "discarded", "dead", "filtered", "delivered")


def merged(own: Fates, peer_fates: Fates) -> Fates:
    """Return the fates of all nodes, one for each subscription."""
    found = dict(own)
    for key, fate in peer_fates.items():
        if key not in found or _rank(fate) > _rank(found[key]):
            found[key] = fate
    return found


def _rank(fate: SettledFate) -> tuple[int, bool]:
    return _ORDER.index(fate.delivery.state), fate.delivery.attempts is not None
