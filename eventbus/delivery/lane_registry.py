"""The registry of lanes: which there are, which events each is offered, and the route to each subscriber."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

from eventbus.core.model import Interest, Subscriber
from eventbus.delivery.checkpointer import Checkpointer
from eventbus.delivery.fan_out import Share, fan_out, in_parts
from eventbus.delivery.lane.group_lane import GroupLane
from eventbus.delivery.lane.health import Health
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.member import Member
from eventbus.delivery.lane.phase import CloseReason
from eventbus.delivery.reader import LaneReader
from eventbus.delivery.subscriber_hosts import SubscriberHosts
from eventbus.delivery.topic_index import TopicIndex
from eventbus.delivery.transport import Route, Transport


def targets_of(lane: Lane) -> list[Lane | Member]:
    """Return what the deliveries of a lane go to: the lane's own subscriber, or the members of a group."""
    return [lane] if lane.roster is None else list(lane.roster)


def address_of(target: Health) -> Subscriber:
    """Return the subscriber that a lane without a group, or a member, stands for."""
    subscriber = target.subscriber
    assert isinstance(subscriber, Subscriber)  # noqa: S101 - only a group's lane has none, and is no target
    return subscriber


class LaneRegistry:
    """The lanes of this node."""

    def __init__(self, transport: Transport, checkpointer: Checkpointer, reader: LaneReader) -> None:
        self._transport = transport
        self._checkpointer = checkpointer
        self._reader = reader
        self.lanes: dict[str, Lane] = {}  #: by the subscriber's key
        self.announced: dict[str, Lane] = {}  #: lanes that are offered new events, and are not saved yet
        self.hosts = SubscriberHosts()  #: how many lanes lead to a host
        self.held: list[Interest] = []  #: events that have to stay in the journal, though no lane needs them yet
        self.no_longer_held = 0  #: how often such a time has ended: from then on lanes may need these events
        self.routes: dict[Health, Route] = {}  #: by lane, or by member where a lane is a group's
        self.groups: dict[str, GroupLane] = {}  #: by the address of each member
        self._without_members: set[GroupLane] = set()  # those of groups that have none just now
        self._index: TopicIndex[Lane] = TopicIndex()

    def announce(self, lane: Lane, ips: Collection[str] = ()) -> None:
        """Offer new events that match to a lane which is about to be added, or removed if it cannot be saved.

        ``ips`` are what its host has resolved to.
        """
        self.announced[lane.subscriber.key] = lane
        self.index(lane)
        for target in targets_of(lane):
            self._add_target(lane, target, ips)

    def add(self, lane: Lane) -> None:
        """Deliver to a lane, save it when it changes, and offer it new events that match."""
        key = lane.subscriber.key
        self.announced.pop(key, None)
        self.lanes[key] = lane
        self._checkpointer.watch(lane)
        self.index(lane)
        for target in targets_of(lane):
            self._add_target(lane, target)
        self._note_members(lane)

    @property
    def occupied(self) -> int:
        """Return how many subscribers there are: all addresses, and each group whose position is kept without any."""
        return len(self.routes) + len(self._without_members)

    def index(self, lane: Lane) -> None:
        """Offer a lane the events that its topics match."""
        self._index.put(lane.subscriber.key, lane.subscriber.options.topics, lane)

    def add_member(self, lane: GroupLane, member: Member, ips: Collection[str] = ()) -> None:
        """Deliver to a member that has joined a group; ``ips`` are what its host has resolved to."""
        self._add_target(lane, member, ips)
        self._note_members(lane)
        self.index(lane)

    def remove_member(self, lane: GroupLane, member: Member) -> None:
        """Deliver nothing more to a member that has left its group."""
        self._remove_target(member, counted=True)
        self._note_members(lane)
        self.index(lane)

    def _note_members(self, lane: Lane) -> None:
        """Count a group that has no members as a subscriber, as long as its lane is there."""
        if isinstance(lane, GroupLane):
            if self.lanes.get(lane.subscriber.key) is lane and not len(lane.roster):
                self._without_members.add(lane)
            else:
                self._without_members.discard(lane)

    def update_route(self, target: Health) -> None:
        """Send to a subscriber as its options and its credentials say now."""
        former = self.routes.get(target)
        self.routes[target] = self._transport.route(address_of(target), target.credentials)
        if former is not None:
            former.close()

    def _add_target(self, lane: Lane, target: Health, ips: Collection[str] = ()) -> None:
        subscriber = address_of(target)
        self.hosts.add(subscriber.key, {subscriber.address.host, *ips}, resolved=bool(ips))
        if isinstance(lane, GroupLane):
            self.groups[subscriber.key] = lane
        self.update_route(target)

    def _remove_target(self, target: Health, *, counted: bool) -> None:
        """Remove a route; ``counted`` says whether the registry counts this one for its address, and not another."""
        if (route := self.routes.pop(target, None)) is not None:
            route.close()
        if counted:
            self.groups.pop(target.subscriber.key, None)
            self.hosts.remove(target.subscriber.key)

    def unindex(self, lane: Lane) -> None:
        """Offer a lane no new events; it keeps those that it has."""
        self._index.remove(lane.subscriber.key)

    def remove(self, lane: Lane, reason: CloseReason) -> None:
        """Close a lane, unless it is closed, and deliver nothing to it any more."""
        key = lane.subscriber.key
        if not lane.closed:
            lane.close(reason)
        self._reader.forget(lane)
        there = self.lanes.get(key) or self.announced.get(key)
        if there in (lane, None):
            self._index.remove(key)
        if there is lane:
            self.lanes.pop(key, None)
            self.announced.pop(key, None)
        for target in targets_of(lane):
            self._remove_target(target, counted=there is lane)
        self._note_members(lane)

    def registered_as(self, address: str) -> str | None:
        """Return the key of the subscription that an address is registered for here: its group's, or its own."""
        group = self.groups.get(address)
        if group is not None:
            return group.subscriber.key
        lane = self.lanes.get(address)
        return None if lane is None or lane.ended_at is not None else address

    def hosts_of(self, target: Health) -> frozenset[str]:
        """Return the names and IP addresses of a subscriber's host."""
        return self.hosts.of(target.subscriber.key)

    @contextmanager
    def holding(self, events: Interest) -> Iterator[None]:
        """Keep events in the journal while the block runs."""
        self.held.append(events)
        try:
            yield
        finally:
            self.held.remove(events)
            self.no_longer_held += 1

    # Who gets an event

    def matching(self, topic: str | None) -> tuple[Lane, ...]:
        """Return the lanes that an event with this topic is offered to."""
        return self._index.matching(topic)

    def among(self, topics: Iterable[str | None], give_way: Callable[[], None]) -> set[Lane]:
        """Return the lanes that events with these topics are offered to; call ``give_way`` after each topic."""
        return self._index.among(topics, give_way)

    def fan_out(self, seqs: Sequence[int], topics: Sequence[str | None]) -> Iterator[Share[Lane]]:
        """Yield lanes with the sequence numbers of the events that each gets, every lane once at most."""
        return fan_out(seqs, topics, self._index)

    def in_parts(self, topics: Sequence[str | None], is_over: Callable[[], bool]) -> Iterator[slice]:
        """Cut a batch into parts that are offered in one go each; a part ends when ``is_over``."""
        return in_parts(topics, self._index, is_over)
