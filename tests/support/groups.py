"""Groups for tests of rules: a group's lane with members, and what it does in one moment."""

from typing import Any

from eventbus.core.addresses import parse_address
from eventbus.core.leases import Lease
from eventbus.core.model import Group, Options, Subscriber
from eventbus.core.topics import union
from eventbus.delivery.lane.group_lane import GroupLane
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane_record import lane_of, new_member_record, new_record
from eventbus.delivery.lane.member import Member
from tests.support.lanes import EPOCH, high

A, B, C = (f"127.0.0.1:{port}" for port in (8001, 8002, 8003))
#: The name of the group.
MAILER = "mailer"


def member_of(address: str, number: int = 1, **options: Any) -> Member:
    """A member at zero on the monotonic clock."""
    subscriber = Subscriber(parse_address(address), Options(**options))
    lease = Lease(subscriber, EPOCH, EPOCH, 1_000.0)
    return Member(new_member_record(subscriber, EPOCH), lease, Rules(rng=high), number)


def group_with(*seqs: int, members: tuple[Subscriber, ...], retry_seconds: float = 86_400, **options: Any) -> GroupLane:
    """A group's lane that begins at zero on the monotonic clock, and has been offered these events."""
    topics = union(member.options.topics for member in members)
    group = Group(MAILER, Options(**options, topics=topics))
    record = new_record(group, EPOCH, 0, tuple(new_member_record(member, EPOCH) for member in members))
    lane = lane_of(record, Rules(retry_seconds, high), retries=0, ends=0, now=0, wall=EPOCH)
    assert isinstance(lane, GroupLane)
    lane.offer(seqs)
    return lane


def subscribers(*addresses: str, **options: Any) -> tuple[Subscriber, ...]:
    """Subscribers with these options."""
    return tuple(Subscriber(parse_address(address), Options(**options)) for address in addresses)
