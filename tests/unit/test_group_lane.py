"""A group's lane: each event goes to one member, and to another at once where that one fails."""

from dataclasses import replace

import pytest

from eventbus.core.errors import TooMany
from eventbus.core.leases import Lease
from eventbus.core.model import State
from eventbus.core.topics import MAX_GROUP_PATTERNS
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.group_lane import FULL_SECONDS, UNWANTED, UNWANTED_SECONDS, GroupLane
from eventbus.delivery.lane.health import Moment
from eventbus.delivery.lane.lane_record import lane_of, new_member_record, record_of
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.journal.lane_json import from_json, to_json
from tests.support.groups import A, B, C, group_with, subscribers
from tests.support.lanes import BUSY, EPOCH, REFUSED, TAKEN, answer, take_all, wait_please
from tests.support.lanes import UNWANTED as REJECTED


def sent(lane: GroupLane, now: float, topic: str | None = None) -> list[tuple[int, str | None]]:
    """Start all attempts that may start now; the numbers of the events, and where each goes."""
    return [(delivery.seq, where(lane, delivery, now, topic)) for delivery in take_all(lane, now)]


def where(lane: GroupLane, delivery: Delivery, now: float, topic: str | None = None) -> str | None:
    """The member that a delivery goes to."""
    member = lane.choose(delivery, topic, now)
    return None if member is None else member.subscriber.key


def one(lane: GroupLane, response: DeliveryResponse, now: float) -> tuple[int, str | None]:
    """Make one attempt that is answered at once; the number of its event, and where it went."""
    delivery = lane.take(now)
    assert delivery is not None
    at = where(lane, delivery, now)
    answer(lane, delivery, response, now)
    return delivery.seq, at


def test_each_event_goes_to_one_member() -> None:
    """Members get events in turn, and the account is the group's."""
    lane = group_with(1, 2, 3, 4, members=subscribers(A, B))
    found = sent(lane, 0)
    assert found == [(1, A), (2, B), (3, A), (4, B)]
    for delivery in list(lane.in_flight):
        answer(lane, delivery, TAKEN, 1)
    assert (lane.accepted, lane.delivered, lane.backlog) == (4, 4, 0)
    assert [member.delivered for member in lane.roster] == [2, 2]


def test_what_fails_at_one_member_goes_to_another_at_once() -> None:
    """It counts as an attempt; where it has failed at all, it waits as it would for one subscriber."""
    lane = group_with(1, members=subscribers(A, B))
    assert one(lane, BUSY, 0) == (1, A)
    assert one(lane, BUSY, 0) == (1, B)
    assert lane.take(0) is None
    [waiting] = lane.retries.in_memory()
    assert (waiting.attempts, waiting.error) == (2, f"{B}: answered 500")
    assert waiting.due > 0
    assert one(lane, TAKEN, waiting.due)[0] == 1
    assert lane.delivered == 1


def test_what_fails_where_no_other_member_can_take_it_waits() -> None:
    """Others do not want its topic, or are a standby: it is not attempted again and again at the same one."""
    orders = subscribers(A, topics=("orders",))
    other_topics = group_with(1, members=(*orders, *subscribers(B, topics=("refunds",))))
    for lane in (other_topics, group_with(1, members=subscribers(A, B, topics=("orders",)), group_mode="one")):
        delivery = lane.take(0)
        assert delivery is not None
        assert where(lane, delivery, 0, "orders") == A
        answer(lane, delivery, BUSY, 0)
        assert lane.take(0) is delivery
        assert where(lane, delivery, 0, "orders") is None
        lane.postpone(delivery, "orders", Moment(0, EPOCH, 0))
        assert (delivery.attempts, delivery.due) == (1, 0.5)
        assert lane.take(0.5) is delivery
        assert where(lane, delivery, 0.5, "orders") == A


def test_a_group_is_down_when_all_members_are() -> None:
    """One that answers keeps the group from being down, and the others are passed over."""
    lane = group_with(*range(1, 40), members=subscribers(A, B))
    first, second = lane.roster
    while first.state is not State.DOWN:
        for delivery in take_all(lane, 0):
            answer(lane, delivery, REFUSED if where(lane, delivery, 0) == A else TAKEN, 0)
    assert lane.state is State.OK
    assert {at for _, at in sent(lane, 0)} == {B}
    for delivery in list(lane.in_flight):
        answer(lane, delivery, REFUSED, 1)
    lane.offer([50, 51])
    for moment in range(2, 400):
        for delivery in take_all(lane, moment):
            answer(lane, delivery, REFUSED, moment)
    assert second.state is State.DOWN
    assert lane.state is State.DOWN
    assert lane.down_since is not None


def test_a_pause_is_one_members() -> None:
    """The others get what it was sent, at once."""
    lane = group_with(1, 2, members=subscribers(A, B))
    assert one(lane, wait_please(30), 0) == (1, A)
    assert sent(lane, 0) == [(1, B), (2, B)]
    assert [member.state_at(1) for member in lane.roster] == [State.PAUSED, State.OK]


def test_what_is_rejected_is_a_dead_letter_of_the_group() -> None:
    """No other member is asked."""
    lane = group_with(1, members=subscribers(A, B))
    one(lane, REJECTED, 0)
    assert [(letter.key, letter.reason) for letter in lane.dead_letters] == [("group=mailer", "rejected")]


def test_an_ordered_group_has_one_delivery_in_flight() -> None:
    """Whoever gets it, and though it fails at one member."""
    lane = group_with(1, 2, members=subscribers(A, B), ordered=True)
    assert sent(lane, 0) == [(1, A)]
    answer(lane, next(iter(lane.in_flight)), BUSY, 0)
    assert sent(lane, 0) == [(1, B)]
    answer(lane, next(iter(lane.in_flight)), TAKEN, 0)
    assert [seq for seq, _ in sent(lane, 0)] == [2]


def test_an_event_goes_to_a_member_that_wants_its_topic() -> None:
    """The group gets the topics of all members; where those that want one are full, the event waits a moment."""
    orders, refunds = subscribers(A, topics=("orders",), max_in_flight=2), subscribers(B, topics=("refunds",))
    lane = group_with(1, 2, 3, members=(*orders, *refunds))
    assert lane.subscriber.options.topics == ("orders", "refunds")
    deliveries = take_all(lane, 0)
    assert [where(lane, delivery, 0, "orders") for delivery in deliveries] == [A, A, None]
    lane.postpone(deliveries[2], "orders", Moment(0, EPOCH, 0))
    assert [retry.due for retry in lane.retries.in_memory()] == [FULL_SECONDS]
    assert lane.backlog == 3


def test_what_no_member_wants_waits_and_is_dead_in_the_end() -> None:
    """It is not attempted; after the time for which deliveries are tried it is a dead letter."""
    members = (*subscribers(A, topics=("orders",)), *subscribers(B, topics=("refunds",)))
    lane = group_with(1, members=members, retry_seconds=60)
    lane.remove_member(list(lane.roster)[1], 0)
    group = replace(lane.subscriber, options=replace(lane.subscriber.options, topics=("orders",)))
    lane.renew(replace(lane.lease, subscriber=group), 1, 0)
    delivery = lane.take(0)
    assert delivery is not None
    assert where(lane, delivery, 0, "refunds") is None
    lane.postpone(delivery, "refunds", Moment(0, EPOCH, 0))
    again = lane.take(UNWANTED_SECONDS)
    assert again is delivery
    assert where(lane, again, UNWANTED_SECONDS, "refunds") is None
    lane.postpone(again, "refunds", Moment(UNWANTED_SECONDS, EPOCH, 61))
    assert [(letter.reason, letter.attempts) for letter in lane.dead_letters] == [(UNWANTED, 0)]


def test_patterns_count_beside_a_member_that_wants_everything() -> None:
    """Else there would be too many when it leaves, and no member could renew any more."""
    lane = group_with(1, members=subscribers(A))
    for number in range(MAX_GROUP_PATTERNS):
        [member] = subscribers(f"127.0.0.1:{9000 + number}", topics=(f"orders.{number}",))
        assert lane.topics_with(member) == ()
        lane.add_member(new_member_record(member, EPOCH), Lease(member, EPOCH, EPOCH, 1_000.0), 0)
    with pytest.raises(TooMany):
        lane.topics_with(*subscribers(B, topics=("refunds",)))
    assert len(lane.topics_without(next(iter(lane.roster)))) == MAX_GROUP_PATTERNS


def test_what_is_in_flight_to_a_member_that_left_still_counts() -> None:
    """Its success is the group's; its failure sends the event to another."""
    lane = group_with(1, 2, members=subscribers(A, B))
    first, second = take_all(lane, 0)
    gone = lane.member_of(first)
    lane.remove_member(gone, 0)
    answer(lane, first, REFUSED, 1)
    answer(lane, second, TAKEN, 1)
    assert sent(lane, 1) == [(1, B)]
    assert lane.delivered == 1


def test_a_slow_member_without_a_slot_is_passed_over() -> None:
    """Until there is a slot for it."""
    lane = group_with(1, 2, members=subscribers(A, B))
    slow = next(iter(lane.roster))
    delivery = lane.take(0)
    assert delivery is not None
    assert lane.choose(delivery, None, 0) is slow
    lane.refuse_slot(slow, 0)
    assert where(lane, delivery, 0) == B
    assert sent(lane, 0) == [(2, B)]
    lane.grant_slot(slow, 0)
    lane.offer([3])
    assert sent(lane, 0) == [(3, A)]


def test_a_group_survives_a_restart() -> None:
    """Its record has the members, what is known of each, and what was in flight to any of them."""
    lane = group_with(1, 2, members=subscribers(A, B), ordered=False, resume=True)
    first, _ = take_all(lane, 0)
    answer(lane, first, TAKEN, 1)
    record = from_json(to_json(record_of(lane, 2, 2, EPOCH)))
    found = lane_of(record, lane._rules, retries=0, ends=0, now=100, wall=EPOCH)  # noqa: SLF001 - the same rules
    assert isinstance(found, GroupLane)
    assert [member.subscriber.key for member in found.roster] == [A, B]
    assert [member.delivered for member in found.roster] == [1, 0]
    assert [member.lease.ends for member in found.roster] == [220, 220]
    assert (found.delivered, found.backlog, found.subscriber.options.resume) == (1, 1, True)
    assert [seq for seq, _ in sent(found, 100)] == [2]


def test_topics_change_with_the_members() -> None:
    """The group gets what any of them wants; all, where one has no topics."""
    lane = group_with(members=subscribers(A, B, topics=("a",)))
    [newcomer] = subscribers(C)
    assert lane.topics_with(newcomer) == ()
    member = lane.add_member(new_member_record(newcomer, EPOCH), Lease(newcomer, EPOCH, EPOCH, 100), 0)
    assert lane.topics_without(member) == ("a",)
