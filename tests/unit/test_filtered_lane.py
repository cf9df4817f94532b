"""A lane with a filter: what does not match is settled without an attempt, whatever else the lane does."""

import json
from dataclasses import replace
from typing import Any

import pytest

from eventbus.core.errors import JournalUnavailable
from eventbus.core.model import Event, Options
from eventbus.core.ordering import BY_KEY
from eventbus.core.records import Past
from eventbus.delivery.event_views import OVERHEAD, EventViews
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.interests import MAX_FORMER_FILTERS, filter_of
from eventbus.delivery.lane.lane_record import lane_of, record_of, renewed_record
from eventbus.journal import lane_json
from tests.support.groups import MAILER, A, B, group_with, subscribers
from tests.support.lane_scene import Scene, adds_up
from tests.support.lanes import BUSY, EPOCH, TAKEN, answer, attempt, high, lane_with, subscriber_with

#: Matches the events with an even sequence number.
EVEN = '{"exact":{"data.even":true}}'


@pytest.mark.parametrize("options", [{}, {"ordered": True}, {"ordered": BY_KEY}, {"max_in_flight": 1}])
@pytest.mark.parametrize("in_memory", [True, False])
def test_what_matches_is_delivered_and_the_rest_is_filtered(options: dict[str, Any], *, in_memory: bool) -> None:
    """Half of ten events match: five are delivered in order, five are filtered, and nothing is pending."""
    scene = Scene(in_memory=in_memory)
    rules = Rules(rng=high, find=lambda seq: scene.events[seq - 1])
    lane = lane_of(_record(filter=EVEN, **options), rules, retries=0, ends=1_000_000, now=0, wall=EPOCH)
    lane.offer(range(1, 11))
    assert scene.deliver(lane) == [2, 4, 6, 8, 10]
    assert (lane.delivered, lane.filtered, lane.backlog, adds_up(lane)) == (5, 5, 0, True)
    assert scene.reads < 3


def _record(**options: Any) -> Any:
    return record_of(lane_with(**options), 0, 0.0, EPOCH)


def test_a_lane_without_a_filter_reads_nothing_ahead() -> None:
    """Without a filter no event is looked at before it is taken."""
    scene = Scene(in_memory=False)
    assert scene.deliver(lane_with(1, 2, 3)) == [1, 2, 3]
    assert scene.reads == 0


def test_a_filtered_event_frees_its_key() -> None:
    """Events with one key that do not match keep none behind them waiting."""
    scene = Scene(key="k")
    rules = Rules(rng=high, find=lambda seq: scene.events[seq - 1])
    lane = lane_of(_record(filter=EVEN, ordered=BY_KEY), rules, retries=0, ends=1_000_000, now=0, wall=EPOCH)
    lane.offer(range(1, 7))
    first = scene.take(lane)
    assert first is not None
    assert (first.seq, lane.filtered, scene.take(lane)) == (2, 1, None)
    answer(lane, first, TAKEN, 0.0)
    assert (scene.deliver(lane), lane.filtered, lane.backlog) == ([4, 6], 3, 0)


def test_a_retry_is_attempted_again_after_a_change_of_the_filter() -> None:
    """What was attempted before stays what it was: the filter is asked before the first attempt alone."""
    scene = Scene()
    lane = lane_with(1, 2)
    assert attempt(lane, BUSY, 0.0) == 1
    lane.renew(replace(lane.lease, subscriber=subscriber_with(filter=EVEN)), 20, 0.0)
    scene.now = 100.0
    assert sorted(scene.deliver(lane)) == [1, 2]
    assert lane.filtered == 0


def test_a_change_of_the_filter_holds_for_what_waits() -> None:
    """Events that were accepted before the change, and not attempted, are judged by the filter of now."""
    scene = Scene()
    lane = lane_with(1, 2, 3, 4)
    lane.renew(replace(lane.lease, subscriber=subscriber_with(filter=EVEN)), 20, 0.0)
    assert (scene.deliver(lane), lane.filtered) == ([2, 4], 2)


def test_a_released_delivery_is_judged_again() -> None:
    """What was taken and not attempted has had no first attempt."""
    scene = Scene()
    lane = lane_with(1)
    delivery = lane.take(0.0)
    assert delivery is not None
    lane.release(delivery, 0.0)
    lane.renew(replace(lane.lease, subscriber=subscriber_with(filter=EVEN)), 20, 0.0)
    assert (scene.deliver(lane), lane.filtered, lane.backlog, adds_up(lane)) == ([], 1, 0, True)


def test_a_replay_is_filtered() -> None:
    """Events that are delivered again have to match, too."""
    scene = Scene()
    lane = lane_with(filter=EVEN)
    lane.add_replay(0, 4, 4)
    lane.replays[0].load([1, 2, 3, 4], 4)
    assert (scene.deliver(lane), lane.filtered, lane.backlog, adds_up(lane)) == ([2, 4], 2, 0, True)


@pytest.mark.parametrize("attempts", [0, 3])
def test_a_dead_letter_that_is_put_back_is_judged_unless_it_was_attempted(attempts: int) -> None:
    """One that died before any attempt is filtered, and counted for its replay; another one is attempted again."""
    scene = Scene()
    lane = lane_with(filter=EVEN)
    lane.accepted = 1
    lane.retries.push(Delivery(1, attempts=attempts, past=Past("replay-1", attempts, None)))
    assert scene.deliver(lane) == ([1] if attempts else [])
    assert lane.filtered_rows == ([] if attempts else [(1, 0)])
    assert (1, 0) in lane.retries.removed_rows
    assert adds_up(lane)


def test_nothing_is_filtered_while_a_lane_may_not_attempt() -> None:
    """A lane that is paused, or whose node may not deliver, keeps what does not match as pending."""
    scene = Scene()
    lane = lane_with(1, 3, filter=EVEN)
    lane.hold(50.0)
    assert (scene.take(lane), lane.filtered, lane.backlog) == (None, 0, 2)
    scene.now = 60.0
    assert (scene.take(lane, active=False), lane.filtered) == (None, 0)
    assert (scene.take(lane), lane.filtered, lane.backlog) == (None, 2, 0)


def test_an_event_that_is_gone_is_left_to_its_attempt() -> None:
    """The filter says nothing of an event that is not in the journal any more."""
    scene = Scene(in_memory=False)
    lane = lane_with(99, 2, filter=EVEN)
    delivery = scene.take(lane)
    assert delivery is not None
    assert (delivery.seq, lane.filtered) == (99, 0)


def test_an_event_that_cannot_be_read_is_not_filtered() -> None:
    """The error of the journal is raised, and the event stays pending."""
    scene = Scene(in_memory=False)
    scene.fails = True
    lane = lane_with(1, filter=EVEN)
    with pytest.raises(JournalUnavailable):
        scene.take(lane)
    assert (lane.filtered, lane.backlog, lane.in_flight) == (0, 1, set())


def test_a_filtered_event_of_a_group_takes_no_members_turn() -> None:
    """Members get the events that match in turn, as if there were no others."""
    scene = Scene()
    lane = group_with(*range(1, 9), members=subscribers(A, B), filter=EVEN)
    chosen = []
    while (delivery := scene.take(lane)) is not None:
        chosen.append(lane.member_of(delivery).subscriber.key)
        answer(lane, delivery, TAKEN, 0.0)
    assert chosen == [A, B, A, B]
    assert (lane.filtered, lane.backlog, lane.subscriber.name) == (4, 0, MAILER)


def test_the_account_and_the_former_filters_outlive_the_process() -> None:
    """The record has how many were filtered, and which filters were there before, up to which event."""
    scene = Scene()
    lane = lane_with(1, 2, 3, filter=EVEN)
    scene.deliver(lane)
    lane.renew(replace(lane.lease, subscriber=subscriber_with()), 20, 0.0)
    record = lane_json.from_json(lane_json.to_json(record_of(lane, 20, 0.0, EPOCH)))
    assert record == record_of(lane, 20, 0.0, EPOCH)
    assert (record.account.filtered, record.account.pending) == (2, 0)
    assert [filter_of(seq, record.former_filters, "") for seq in (1, 3, 4)] == [EVEN, EVEN, ""]


def test_a_record_without_filters_is_the_one_of_the_version_before() -> None:
    """A lane that has filtered nothing writes an account of four numbers, and no former filters."""
    fields = json.loads(lane_json.to_json(_record()))
    assert fields["account"] == [0, 0, 0, 0]
    assert "former_filters" not in fields


def test_a_lane_remembers_some_former_filters() -> None:
    """The newest are kept, a renewal with the same filter adds none, and the saved record has what memory has."""
    lane = lane_with(filter=EVEN)
    for number in range(MAX_FORMER_FILTERS + 2):
        subscriber = subscriber_with(filter=f'{{"exact":{{"data.n":{number}}}}}')
        for _ in range(2):
            saved = renewed_record(lane, subscriber, number, 0.0, EPOCH)
            lane.renew(replace(lane.lease, subscriber=subscriber), number, 0.0)
            assert saved.former_filters == lane.former_filters
    assert len(lane.former_filters) == MAX_FORMER_FILTERS
    assert lane.former_filters[-1].text == f'{{"exact":{{"data.n":{MAX_FORMER_FILTERS}}}}}'


def test_a_body_is_parsed_once_for_all_lanes() -> None:
    """Two lanes look at one view of an event, as long as there is room for it."""
    views, events = EventViews(3 * (OVERHEAD + 10)), [Event(n, f"{n}", None, b"", b"{}", 0.0) for n in range(4)]
    seen = [views.of(event) for event in events]
    assert views.of(events[3]) is seen[3]
    assert views.of(events[0]) is not seen[0]


def test_options_of_a_group_have_its_filter() -> None:
    """A filter belongs to the group, and no member has one of its own."""
    options = Options(filter=EVEN)
    assert (options.of_group(()).filter, options.of_member().filter) == (EVEN, "")
