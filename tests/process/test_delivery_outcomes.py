"""What a subscriber's answer means: delivered, again, not again, later, or never more."""

from collections.abc import Callable

import pytest

from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.subscriber import Answer, Received, RecordingSubscriber, Respond, Subscribe, accept


def first_time(status: int, *headers: tuple[str, str]) -> Respond:
    """Answers the first request of all with this, and takes every later one."""
    left = [status]

    def respond(_: Received) -> Answer:
        return (left.pop(), headers, b"not now") if left else (200, (), b"")

    return respond


def always(status: int, *headers: tuple[str, str]) -> Respond:
    """Answers every request with this."""
    return lambda _: (status, headers, b"no")


def settled(caller: Caller, subscriber: RecordingSubscriber, **counts: object) -> Callable[[], bool]:
    """Whether the subscriber's own account says so."""

    def look() -> bool:
        found = caller.subscriber(subscriber.address)
        return counts.items() <= found.items() and found["backlog"] == found["in_flight"] == 0

    return look


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_delivered(caller: Caller, subscribe: Subscribe, status: int) -> None:
    """Every 2xx settles the delivery."""
    subscriber = subscribe(always(status))
    event = caller.publish()
    eventually(settled(caller, subscriber, delivered=1, dead=0, failed_attempts=0), 30)
    assert subscriber.counts == {event: 1}


@pytest.mark.parametrize("status", [404, 408, 409, 425, 429, 500, 502, 503, 599])
def test_what_may_work_later_is_tried_again(caller: Caller, subscribe: Subscribe, status: int) -> None:
    """A failure that may pass is tried again: the same event, the same id and body, the next attempt."""
    subscriber = subscribe(first_time(status))
    event = caller.publish(b"\x00same", ("traceparent", "00-a-b-01"), topic="a.b")
    eventually(settled(caller, subscriber, delivered=1, failed_attempts=1, dead=0), 30)
    first, second = subscriber.received
    assert (first.id, second.id) == (event, event)
    assert (first.header("Eventbus-Attempt"), second.header("Eventbus-Attempt")) == ("1", "2")
    assert (first.path, first.body) == (second.path, second.body)
    for name in ("traceparent", "Eventbus-Topic"):
        assert first.header(name) == second.header(name)
    assert int(second.header("Webhook-Timestamp") or "") >= int(first.header("Webhook-Timestamp") or "")


@pytest.mark.parametrize("status", [400, 401, 403, 405, 413, 415, 422, 451])
def test_other_4xx_is_not_tried_again(caller: Caller, subscribe: Subscribe, status: int) -> None:
    """An event that the subscriber will not take is a dead letter at once, and holds nothing back."""
    subscriber = subscribe(first_time(status))
    refused = caller.publish()
    eventually(settled(caller, subscriber, dead=1), 30)
    taken = caller.publish()
    eventually(settled(caller, subscriber, dead=1, delivered=1), 30)
    assert subscriber.counts == {refused: 1, taken: 1}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(caller: Caller, subscribe: Subscribe, status: int) -> None:
    """A redirect leads nowhere: the event is a dead letter, and the target hears nothing."""
    with RecordingSubscriber() as target:
        subscriber = subscribe(always(status, ("Location", f"http://{target.address}/event")))
        caller.publish()
        eventually(settled(caller, subscriber, dead=1, delivered=0), 30)
        assert (subscriber.counts.total(), target.connections) == (1, 0)


def test_410_ends_the_lease(caller: Caller, subscribe: Subscribe) -> None:
    """A subscriber that answers 410 is listed no more and gets nothing more."""
    gone, other = subscribe(always(410)), subscribe()
    first = caller.publish()
    eventually(lambda: not caller.listed(gone.address), 30)
    second = caller.publish()
    other.wait_for_ids([first, second])
    assert gone.counts == {first: 1}


def test_who_was_gone_may_come_back(caller: Caller, subscribe: Subscribe) -> None:
    """After a 410 the address can be registered again, as a new subscriber without a past."""
    subscriber = subscribe(first_time(410))
    caller.publish()
    eventually(lambda: not caller.listed(subscriber.address), 30)
    assert caller.register(subscriber.address)["created"] is True
    event = caller.publish()
    subscriber.wait_for_ids([event])
    assert subscriber.counts.total() == 2


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_pauses_the_whole_subscriber(caller: Caller, subscribe: Subscribe, status: int) -> None:
    """``Retry-After: 1`` stops every delivery to that subscriber for a second, not only the one refused."""
    subscriber, other = subscribe(first_time(status, ("Retry-After", "1"))), subscribe()
    refused = caller.publish()
    eventually(lambda: caller.subscriber(subscriber.address)["state"] == "paused", 30)
    later = caller.publish()
    other.wait_for_ids([refused, later])
    eventually(settled(caller, subscriber, delivered=2, dead=0), 30)
    began = subscriber.received[0].at
    assert all(request.at - began >= 0.95 for request in subscriber.received[1:])


def test_a_rejected_event_holds_no_other_up(caller: Caller, subscribe: Subscribe) -> None:
    """While one event is tried again and again, the others are delivered."""
    subscriber = subscribe(lambda request: (500, (), b"") if request.body == b"bad" else accept(request))
    bad = caller.publish(b"bad")
    good = [caller.publish(b"good") for _ in range(20)]
    subscriber.wait_for_ids(good)
    subscriber.wait_for(lambda seen: seen.counts[bad] >= 3)
    assert all(subscriber.counts[event] == 1 for event in good)


def test_a_subscriber_that_is_down_misses_nothing(caller: Caller, subscribe: Subscribe) -> None:
    """A subscriber that is away gets everything once it is back and renews."""
    subscriber = subscribe()
    subscriber.down()
    events = [caller.publish(b"%d" % number) for number in range(20)]
    eventually(lambda: caller.subscriber(subscriber.address)["state"] == "down", 30)
    found = caller.subscriber(subscriber.address)
    assert (found["backlog"] + found["in_flight"], found["delivered"], found["dead"]) == (20, 0, 0)
    assert found["last_error"]
    subscriber.up()
    caller.register(subscriber.address)
    subscriber.wait_for_ids(events)
    eventually(settled(caller, subscriber, delivered=20, dead=0, state="ok"), 30)


def test_an_answer_that_does_not_come_is_a_failure(caller: Caller, subscribe: Subscribe) -> None:
    """An attempt ends after the subscriber's own ``timeout``, and is made again."""
    replies = iter([b""])
    subscriber = subscribe(timeout=0.3)

    def respond(request: Received) -> Answer:
        if next(replies, None) is not None:
            subscriber.wait_for(lambda seen: len(seen.received) >= 2)
        return accept(request)

    subscriber.respond = respond
    event = caller.publish()
    subscriber.wait_for(lambda seen: seen.counts[event] >= 2)
    eventually(settled(caller, subscriber, delivered=1, dead=0), 30)


def test_an_ended_lease_gets_nothing_more(caller: Caller, subscribe: Subscribe) -> None:
    """A lease that was not renewed is not listed and not delivered to, from its last second on."""
    brief, lasting = subscribe(lease=5), subscribe()
    before = caller.publish()
    brief.wait_for_ids([before])
    eventually(lambda: not caller.listed(brief.address), 10)
    after = caller.publish()
    lasting.wait_for_ids([before, after])
    assert brief.counts == {before: 1}


def test_a_deregistered_subscriber_gets_nothing_more(caller: Caller, subscribe: Subscribe) -> None:
    """Deregistering drops what was pending; registering again begins with what comes then."""
    subscriber = subscribe()
    subscriber.down()
    dropped = caller.publish()
    caller.deregister(subscriber.address)
    subscriber.up()
    caller.register(subscriber.address)
    event = caller.publish()
    eventually(settled(caller, subscriber, delivered=1), 30)
    assert subscriber.counts == {event: 1}
    assert dropped != event
