"""A lane as a record that outlives the process, and back. Pure.

Lanes count on the monotonic clock, records in seconds since 1970; the functions here translate.
"""

import math
from contextlib import suppress
from dataclasses import replace

from eventbus.core.errors import TooMany
from eventbus.core.leases import Lease, end_of_term
from eventbus.core.model import Account, Group, Interest, State, Subscriber, Subscription
from eventbus.core.records import LaneRecord, Pause, Span
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.group_lane import GroupLane
from eventbus.delivery.lane.health import Health, Rules
from eventbus.delivery.lane.interests import MAX_SPANS, filters_before
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.member import Member

#: Seconds that a pause lasts at most.
MAX_WAIT_SECONDS = 3_600.0


def new_record(subscriber: Subscription, wall: float, scanned: int, members: tuple[LaneRecord, ...] = ()) -> LaneRecord:
    """Return the record of a subscription that gets all events after ``scanned``."""
    return LaneRecord(
        subscriber=subscriber,
        registered_at=wall,
        renewed_at=wall,
        ended_at=None,
        spans=(Span(0, scanned, None, 0),),
        in_flight=(),
        account=Account(),
        failed_attempts=0,
        runs=0,
        interests=(Interest(scanned, None, subscriber.options.topics),),
        scanned=scanned,
        members=members,
    )


def new_member_record(subscriber: Subscriber, wall: float) -> LaneRecord:
    """Return the record of a member that joins a group: the group has the spans and the interests."""
    return replace(new_record(subscriber, wall, 0), spans=(), interests=())


def record_of(lane: Lane, scanned: int, now: float, wall: float) -> LaneRecord:
    """Return the record of a lane at this moment."""
    return LaneRecord(
        subscriber=lane.subscriber,
        registered_at=lane.lease.registered_at,
        renewed_at=lane.lease.renewed_at,
        ended_at=lane.ended_at,
        spans=tuple(part.span() for part in lane.ranges()),
        in_flight=tuple((d.seq, d.replay_id) for d in lane.in_flight if not d.kept),
        account=lane.account,
        failed_attempts=lane.failed_attempts,
        runs=lane.runs,
        interests=lane.interests,
        replayed=lane.replayed,
        former_filters=lane.former_filters,
        scanned=scanned,
        state=_state_of(lane, now),
        failures=lane.failures,
        not_before=wall + max(0.0, lane.own_wait_ends - now),
        wait_seconds=max(0.0, lane.own_wait_ends - now),
        down_since=None if lane.down_since is None else wall - (now - lane.down_since),
        last_error=lane.last_error,
        last_error_at=lane.last_error_at,
        former_attempts=lane.former_attempts,
        expired=lane.expired,
        waiting=tuple(lane.retries.unattempted()),
        pause=lane.pause_at(now),
        skipping=tuple(delivery.skipped for delivery in lane.in_flight if delivery.skipped is not None),
        members=() if lane.roster is None else tuple(_member_record(each, now, wall) for each in lane.roster),
    )


def _member_record(member: Member, now: float, wall: float) -> LaneRecord:
    """Return the record of a member at this moment: what is known of its health."""
    return replace(
        new_member_record(member.subscriber, member.lease.registered_at),
        renewed_at=member.lease.renewed_at,
        account=member.account,
        failed_attempts=member.failed_attempts,
        state=_state_of(member, now),
        failures=member.failures,
        not_before=wall + max(0.0, member.own_wait_ends - now),
        wait_seconds=max(0.0, member.own_wait_ends - now),
        down_since=None if member.down_since is None else wall - (now - member.down_since),
        last_error=member.last_error,
        last_error_at=member.last_error_at,
        pause=member.pause_at(now),
    )


def _state_of(health: Health, now: float) -> State:
    """Return the state that a subscriber causes itself, or that it is failing."""
    state = health.own_state_at(now)
    return State.FAILING if health.recent.failing and state is State.OK else state


def continued_record(record: LaneRecord, past: LaneRecord) -> LaneRecord:
    """Return the record of a subscriber that registers again after its lease ended: its account goes on."""
    return replace(
        record,
        account=past.account,
        failed_attempts=past.failed_attempts,
        former_attempts=past.account.delivered + past.failed_attempts,
        runs=past.runs,
        interests=(*past.interests[1 - MAX_SPANS :], *record.interests),
        replayed=past.replayed,
        former_filters=filters_before(
            past.former_filters, past.subscriber.options.filter, record.subscriber.options.filter, past.scanned
        ),
    )


def renewed_record(lane: Lane, subscriber: Subscription, scanned: int, now: float, wall: float) -> LaneRecord:
    """Return the record of a lane as it is once its subscriber has renewed. Raises TooMany."""
    record = record_of(lane, scanned, now, wall)
    if record.interests[-1].until is not None:
        record = replace(record, spans=(Span(0, scanned, None, 0), *record.spans[1:]))
    if record.ended_at is not None:
        record = replace(record, former_attempts=record.account.delivered + record.failed_attempts)
    return replace(
        record,
        subscriber=subscriber,
        renewed_at=wall,
        ended_at=None,
        expired=False,
        interests=lane.interests_with(subscriber.options.topics, scanned),
        former_filters=lane.filters_before(subscriber),
    )


def joined_record(
    lane: GroupLane, group: Group, subscriber: Subscriber, scanned: int, now: float, wall: float
) -> LaneRecord:
    """Return the record of a group's lane once a member has joined, or renewed on other options. Raises TooMany."""
    record = renewed_record(lane, group, scanned, now, wall)
    members = {each.subscriber.key: each for each in record.members}
    known = members.get(subscriber.key) or new_member_record(subscriber, wall)
    members[subscriber.key] = replace(known, subscriber=subscriber, renewed_at=wall)
    return replace(record, members=tuple(members.values()))


def left_record(lane: GroupLane, member: Member, scanned: int, now: float, wall: float) -> LaneRecord:
    """Return the record of a group's lane once a member has left; with the last one the group's lease ends."""
    record = record_of(lane, scanned, now, wall)
    rest = tuple(each for each in record.members if each.subscriber.key != member.subscriber.key)
    left = replace(record, members=rest, ended_at=record.ended_at if rest else wall)
    group, topics = lane.subscriber, lane.topics_without(member)
    if topics != group.options.topics:
        with suppress(TooMany):  # then events wait that no member wants
            interests = lane.interests_with(topics, scanned)
            return replace(
                left, subscriber=replace(group, options=replace(group.options, topics=topics)), interests=interests
            )
    return left


def replaying_record(record: LaneRecord, after: int, end: int, count: int) -> LaneRecord:
    """Return the record of a lane once a replay has begun, in which ``count`` events match its topics."""
    replay_id, topics = record.runs + 1, record.subscriber.options.topics
    return replace(
        record,
        runs=replay_id,
        spans=(*record.spans, Span(replay_id, after, end, count, topics)),
        account=replace(record.account, accepted=record.account.accepted + count),
        replayed=(*record.replayed, Interest(after, end, topics))[-MAX_SPANS:],
    )


def lane_of(record: LaneRecord, rules: Rules, *, retries: int, ends: float, now: float, wall: float) -> Lane:
    """Return the lane that a record describes, with a lease until ``ends``; first attempts in flight are made again.

    Each member of a group gets a lease as its options say.
    """
    lease = Lease(record.subscriber, record.registered_at, record.renewed_at, ends)
    lane: Lane
    if isinstance(record.subscriber, Group):
        lane = GroupLane(record, lease, rules, retries=retries)
        lane.lease = replace(lease, ends=math.inf if record.members else now)
        for each in record.members:
            ends = end_of_term(each.subscriber, now)
            member = lane.add_member(each, Lease(each.subscriber, each.registered_at, each.renewed_at, ends), now)
            _restore_health(member, each, now, wall)
            _restore_failing(member, each, now)
            _restore_pause(member, each.pause, now, wall)
        lane.members_changed(now)
    else:
        lane = Lane(record, lease, rules, retries=retries)
        _restore_health(lane, record, now, wall)
    _restore_failing(lane, record, now)
    _restore_pause(lane, record.pause, now, wall)
    skipped = {(letter.seq, letter.replay_id): letter for letter in record.skipping}
    for row, letter in skipped.items():
        lane.restore_skipped(letter, has_row=row not in record.in_flight)
    for seq, replay_id in record.in_flight:
        if (seq, replay_id) in skipped:
            continue
        lane.retries.push(Delivery(seq, replay_id, attempts=1, first=now, due=now))
        lane.touch()
    for seq, replay_id in record.waiting:
        lane.retries.push(Delivery(seq, replay_id, due=now))
        lane.touch()
    return lane


def _restore_health(health: Health, record: LaneRecord, now: float, wall: float) -> None:
    """Restore how long a subscriber has been down, and when it may be attempted again."""
    if record.account.delivered or record.failed_attempts:
        health.begin_pace(now)
    if health.state is not State.OK and (record.failures or record.not_before > wall):
        longest = MAX_WAIT_SECONDS if record.state is State.PAUSED else record.subscriber.options.backoff[1]
        if record.wait_seconds is not None:  # the wall clock may have been set back since
            longest = min(longest, record.wait_seconds)
        health.hold(now + min(longest, max(0.0, record.not_before - wall)))
    if record.down_since is not None:
        health.down_since = now - max(0.0, wall - record.down_since)


def _restore_failing(health: Health, record: LaneRecord, now: float) -> None:
    """Restore that a subscriber, or a group, is failing."""
    if record.state is State.FAILING:
        health.recent.restore_failing(now)


def _restore_pause(health: Health, pause: Pause | None, now: float, wall: float) -> None:
    """Restore a pause of an operator, which ends by the wall clock."""
    if pause is not None and (pause.until is None or pause.until > wall):
        health.begin_pause(pause, math.inf if pause.until is None else now + pause.until - wall)
