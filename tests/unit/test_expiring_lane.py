"""An event that has expired is not attempted: its delivery is a dead letter with the reason expired."""

from typing import Any

import pytest

from eventbus.core.event_expiry import EXPIRED, with_expiry
from eventbus.core.model import Event
from eventbus.core.ordering import BY_KEY
from eventbus.core.records import Past
from eventbus.delivery.lane.batch import DeliveryBatch
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.group_lane import GroupLane
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, record_of
from eventbus.delivery.lane.phase import CloseReason
from eventbus.delivery.transport.batch_request import element_of
from tests.support.groups import A, B, group_with, subscribers
from tests.support.lane_scene import Scene, adds_up
from tests.support.lanes import BUSY, EPOCH, TAKEN, answer, high, lane_with, take_all

#: Whatever is delivered one by one, in whichever order.
KINDS: list[dict[str, Any]] = [{}, {"ordered": True}, {"ordered": BY_KEY}, {"max_in_flight": 1}]


def odd_ones_expire(seq: int) -> bytes:
    """The head of an event: those with an odd number expire after ten seconds."""
    return with_expiry(b"", None, 10.0, EPOCH) if seq % 2 else b""


def lane_in(scene: Scene, *seqs: int, **options: Any) -> Lane:
    """A lane that knows the order keys of the scene's events."""
    rules = Rules(rng=high, find=lambda seq: scene.events[seq - 1])
    record = record_of(lane_with(**options), 0, 0.0, EPOCH)
    lane = lane_of(record, rules, retries=0, ends=1_000_000, now=0, wall=EPOCH)
    lane.offer(seqs)
    return lane


def dead_in(lane: Lane) -> list[tuple[int, str, int]]:
    """Number, reason and attempts of each new dead letter."""
    return [(letter.seq, letter.reason, letter.attempts) for letter in lane.dead_letters]


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("in_memory", [True, False])
def test_what_has_expired_is_dead_and_the_rest_is_delivered(options: dict[str, Any], *, in_memory: bool) -> None:
    """Three of six have: they are dead without an attempt, and were never attempted; nothing is pending."""
    scene = Scene(6, in_memory=in_memory, head_of=odd_ones_expire)
    lane = lane_in(scene, *range(1, 7), **options)
    scene.now = 10.0
    assert scene.deliver(lane) == [2, 4, 6]
    assert dead_in(lane) == [(seq, EXPIRED, 0) for seq in (1, 3, 5)]
    assert [letter.first_at for letter in lane.dead_letters] == [None] * 3
    assert (lane.delivered, lane.dead, lane.backlog, adds_up(lane)) == (3, 3, 0, True)
    assert scene.counters.expired == 3


def test_an_event_is_attempted_until_the_moment_at_which_it_expires() -> None:
    """A millisecond before it is, and at it, it is not."""
    scene = Scene(head_of=odd_ones_expire)
    scene.now = 9.999
    assert scene.deliver(lane_with(1)) == [1]
    scene.now = 10.0
    assert scene.deliver(lane_with(1)) == []


def test_a_retry_expires() -> None:
    """An event that was attempted is not attempted again: its dead letter has the attempts, and the last error."""
    scene = Scene(head_of=odd_ones_expire)
    lane = lane_with(1, ordered=True)
    delivery = scene.take(lane)
    assert delivery is not None
    answer(lane, delivery, BUSY, 0.0)
    scene.now = 100.0
    assert scene.deliver(lane) == []
    letter = lane.dead_letters[0]
    assert (letter.reason, letter.attempts, letter.status, letter.first_at) == (EXPIRED, 1, 500, EPOCH)
    assert (lane.backlog, adds_up(lane), lane.retries.removed_rows) == (0, True, {(1, 0)})


def test_an_attempt_in_flight_is_not_cut_short() -> None:
    """What was begun before the event expired may still be delivered."""
    scene = Scene(head_of=odd_ones_expire)
    lane = lane_with(1)
    delivery = scene.take(lane)
    assert delivery is not None
    scene.now = 60.0
    answer(lane, delivery, TAKEN, scene.now)
    assert (lane.delivered, lane.dead) == (1, 0)


def test_what_waits_stays_pending_until_its_attempt_would_come() -> None:
    """A paused lane's expired events are pending; they are dead when it goes on."""
    scene = Scene(head_of=odd_ones_expire)
    lane = lane_with(1, 2)
    lane.hold(50.0)
    scene.now = 40.0
    assert (scene.deliver(lane), lane.dead, lane.backlog) == ([], 0, 2)
    scene.now = 50.0
    assert (scene.deliver(lane), lane.dead, lane.backlog) == ([2], 1, 0)


def test_what_has_expired_takes_one_start_of_a_rate_at_most() -> None:
    """Five expired events do not keep the sixth waiting for five spaces: those behind the first take none."""
    scene = Scene(head_of=lambda seq: odd_ones_expire(1) if seq < 6 else b"")
    lane = lane_with(*range(1, 8), rate="1/10")
    scene.now = 20.0
    assert (scene.take(lane), lane.dead) == (None, 1)
    scene.now = 30.0
    sixth = scene.take(lane)
    assert sixth is not None
    assert (sixth.seq, lane.dead, lane.expiring) == (6, 5, False)


def test_an_expired_event_frees_its_key_for_those_behind_it() -> None:
    """Also where the one in front has failed, and those behind it have rows."""
    scene = Scene(key="k", head_of=odd_ones_expire)
    lane = lane_in(scene, *range(1, 7), ordered=BY_KEY)
    first = scene.take(lane)
    assert first is not None
    answer(lane, first, BUSY, 0.0)
    scene.now = 100.0
    lane.clear_changes()
    assert (scene.deliver(lane), lane.dead, lane.backlog) == ([2, 4, 6], 3, 0)


def test_a_filter_is_asked_first() -> None:
    """An event that the subscriber did not want is filtered, whether it has expired or not."""
    scene = Scene(head_of=lambda seq: odd_ones_expire(1))
    lane = lane_with(*range(1, 5), filter='{"exact":{"data.even":true}}')
    scene.now = 20.0
    assert (scene.deliver(lane), lane.filtered, lane.dead, adds_up(lane)) == ([], 2, 2, True)


def test_an_expired_event_is_reserved_for_no_member_any_more() -> None:
    """In a group each member has as much in flight as before, and the others are delivered."""
    scene = Scene(head_of=odd_ones_expire)
    lane = group_with(*range(1, 7), members=subscribers(A, B))
    scene.now = 10.0
    assert scene.deliver(lane) == [2, 4, 6]
    assert isinstance(lane, GroupLane)
    assert [member.in_flight for member in lane.roster] == [0, 0]
    assert (lane.dead, lane.backlog, adds_up(lane)) == (3, 0, True)


def test_a_replay_expires_too() -> None:
    """Events of a past part of the journal that have expired are dead letters of that replay."""
    scene = Scene(head_of=odd_ones_expire)
    lane = lane_with()
    lane.add_replay(0, 4, 4)
    lane.replays[0].load([1, 2, 3, 4], 4)
    scene.now = 10.0
    assert scene.deliver(lane) == [2, 4]
    assert [(letter.seq, letter.replay_id) for letter in lane.dead_letters] == [(1, 1), (3, 1)]
    assert adds_up(lane)


@pytest.mark.parametrize("expires", [True, False])
@pytest.mark.parametrize("options", KINDS)
def test_a_dead_letter_that_was_put_back_by_its_id_is_attempted(options: dict[str, Any], *, expires: bool) -> None:
    """Others that were put back expire as any other."""
    scene = Scene(head_of=odd_ones_expire)
    lane = lane_in(scene, **options)
    if options.get("ordered") == BY_KEY:
        lane.retries.begin_load()
        lane.retries.load([], (), more=False)
    lane.accepted = 1
    lane.retries.push(Delivery(1, attempts=2, past=Past("r", 2, EPOCH, expires), order_key=""))
    scene.now = 10.0
    assert scene.deliver(lane) == ([] if expires else [1])
    assert (lane.dead, adds_up(lane)) == (int(expires), True)


def test_one_that_was_skipped_and_has_expired_is_a_skipped_one() -> None:
    """It is one dead letter, which the operator was told of."""
    lane = lane_with(1)
    (delivery,) = take_all(lane, 0.0)
    lane.skip_in_flight(delivery, lane.letter_of(delivery, "skipped", b"", 0.0, EPOCH))
    lane.expire(delivery, 10.0, EPOCH + 10)
    assert ([letter.reason for letter in lane.dead_letters], lane.dead, adds_up(lane)) == (["skipped"], 1, True)


def test_nothing_is_counted_for_a_lane_that_was_closed_meanwhile() -> None:
    """What a deregistration has discarded is not dead as well."""
    lane = lane_with(1)
    (delivery,) = take_all(lane, 0.0)
    lane.close(CloseReason.LOST)
    lane.expire(delivery, 10.0, EPOCH + 10)
    assert (lane.in_flight, lane.dead, lane.dead_letters) == (set(), 0, [])


def test_an_element_of_a_batch_says_when_it_expires() -> None:
    """As a plain event, and as a structured CloudEvent whose body does not say it, the attribute is there."""
    head = odd_ones_expire(1)
    plain = element_of(Event(1, "id", "a", head, b"{}", EPOCH))
    structured = Event(1, "id", "a", head + b"Content-Type: application/cloudevents+json\r\n", b'{"id":"x"}', EPOCH)
    assert plain.expires_at == element_of(structured).expires_at == EPOCH + 10
    for element in (plain, element_of(structured)):
        assert b'"expirytime":"2026-11-18T11:06:50.000Z"' in element.text
    own = structured._replace(body=b'{"id":"x","expirytime":"2026-11-18T11:06:51Z"}')
    assert element_of(own).text.count(b"expirytime") == 1


def test_a_batch_leaves_out_what_was_dropped() -> None:
    """What would go along and has expired is settled, and is in no request."""
    lane = lane_with(1, 2, 3, batch=10)
    first = lane.take(0.0)
    assert first is not None
    batch = DeliveryBatch(lane, first)
    found = lane.candidates(first, 0.0, 1, 9)
    assert found is not None
    lane.expire_next(found, 0.0, EPOCH)
    rest = lane.candidates(first, 0.0, 1, 9)
    assert rest is not None
    batch.add(rest, len(rest.seqs), 0.0)
    batch.deliver(0.0)
    assert (lane.delivered, dead_in(lane), lane.backlog) == (2, [(2, EXPIRED, 0)], 0)
    assert adds_up(lane)
