"""The lane that a request is about: the one of a subscription that is registered, and that this node owns."""

from eventbus.core.errors import Conflict, NotOwner
from eventbus.core.model import not_registered
from eventbus.core.target_path import split_path, with_path
from eventbus.delivery.lane.group_lane import GroupLane
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.member import Member
from eventbus.services.node import Node


def registered_lane(node: Node, key: str, then: str) -> Lane:
    """Return the lane of a subscription, or raise Conflict, which says to register and ``then`` to ask again.

    A subscription whose lease has ended, and whose position is kept, has one. Raises NotOwner for one that is closing.
    """
    lane = node.dispatcher.lanes.get(key)
    if lane is None:
        raise no_lane(node, key, then)
    check_owned(node, lane)
    return lane


def registered_target(node: Node, key: str, member: str | None, then: str) -> tuple[Lane, Lane | Member]:
    """Return a lane, and itself or a member of its group. Raises Conflict and NotOwner."""
    lane = registered_lane(node, key, then)
    found = None if member is None or not isinstance(lane, GroupLane) else lane.roster.get(member)
    if member is not None and found is None:
        raise no_lane(node, member, then)
    return lane, lane if found is None else found


def no_lane(node: Node, key: str, then: str = "replay") -> Conflict:
    """Return the error for an address or a group that is not registered; it names what this node has at the address."""
    address = split_path(key)[0]
    begin = with_path(address, "/")
    known = (*node.dispatcher.lanes, *node.dispatcher.registry.groups)
    elsewhere = sorted(one for one in known if one != key and (one == address or one.startswith(begin)))
    return not_registered(key, then, elsewhere)


def check_owned(node: Node, lane: Lane) -> None:
    """Raise NotOwner where a lane is not this node's any more, or about to be closed."""
    if node.dispatcher.lanes.get(lane.subscriber.key) is not lane or not lane.renewable:
        raise NotOwner
