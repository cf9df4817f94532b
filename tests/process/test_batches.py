"""A batch is accepted whole or not at all, and each of its events is delivered on its own."""

from collections.abc import Callable

import pytest

from tests.support.accounts import account, settled
from tests.support.answers import assert_problem
from tests.support.batches import STRUCTURED, array, cloud_event, publish_cloud_events, publish_lines, written
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.limits import MAX_BODY_BYTES
from tests.support.raw_client import Response
from tests.support.subscriber import RecordingSubscriber, Subscribe

MIB = 1_048_576
SOUND = written(cloud_event(1))


def arrived(caller: Caller, subscriber: RecordingSubscriber, count: int) -> dict[str, bytes]:
    """Wait until so many events have been delivered; their bodies by id."""
    eventually(settled(caller, subscriber.address, accepted=count, delivered=count), 30)
    return {request.id: request.body for request in subscriber.received}


def nothing_kept(caller: Caller, subscriber: RecordingSubscriber) -> None:
    """No event was accepted for this subscriber."""
    assert account(caller, subscriber.address)["accepted"] == 0
    assert subscriber.counts == {}


# Lines


def test_each_line_is_an_event(caller: Caller, subscribe: Subscribe) -> None:
    """Each non-empty line is delivered on its own as JSON, byte for byte, with the ids in the lines' order."""
    subscriber = subscribe()
    lines = [b'{"a": 1}', b'  {"b" :\t"caf\xc3\xa9"} ', b"no JSON at all", b"\x00\xff"]
    answer = publish_lines(caller, b"\n".join([lines[0], b"", lines[1], b" \t", lines[2], lines[3] + b"\n"]))
    assert answer.status == 200
    told = answer.json()
    assert (len(told["ids"]), told["subscribers"], told["duplicate"]) == (4, 1, False)
    assert answer.header("Webhook-Id") == told["ids"][0]
    assert arrived(caller, subscriber, 4) == dict(zip(told["ids"], lines, strict=True))
    assert {request.header("Content-Type") for request in subscriber.received} == {"application/json"}


def test_lines_may_end_as_on_windows(caller: Caller, subscribe: Subscribe) -> None:
    """A carriage return before the newline belongs to the line's end, not to the event."""
    subscriber = subscribe()
    (first, second) = publish_lines(caller, b"1\r\n\r\n2\r\n").json()["ids"]
    assert arrived(caller, subscriber, 2) == {first: b"1", second: b"2"}


def test_lines_share_the_topic(caller: Caller, subscribe: Subscribe) -> None:
    """A batch's topic is that of each of its events, and who wants another gets none of them."""
    wanting, other = subscribe(topic="orders.*"), subscribe(topic="stock.*")
    answer = publish_lines(caller, b"1\n2\n3", topic="orders.created")
    assert answer.json()["subscribers"] == 1
    arrived(caller, wanting, 3)
    assert {request.header("Eventbus-Topic") for request in wanting.received} == {"orders.created"}
    nothing_kept(caller, other)


@pytest.mark.parametrize("body", [b"", b"\n", b" \r\n\t\n"])
def test_a_batch_without_lines_is_no_event(caller: Caller, subscribe: Subscribe, body: bytes) -> None:
    """A batch of nothing is accepted and is nothing."""
    subscriber = subscribe()
    answer = publish_lines(caller, body)
    assert (answer.status, answer.json()["ids"]) == (200, [])
    nothing_kept(caller, subscriber)


def test_a_plain_client_is_told_success(caller: Caller) -> None:
    """Without asking for JSON the answer to a batch is ``success``, as to any publish."""
    answer = caller.call("POST", "/sendMessage?batch=lines", (), b"1\n2")
    assert (answer.status, answer.body) == (200, b"success")


@pytest.mark.parametrize("batch", ["", "json", "LINES", "true"])
def test_another_kind_of_batch_is_refused(caller: Caller, subscribe: Subscribe, batch: str) -> None:
    """``batch`` is lines and nothing else."""
    subscriber = subscribe()
    problem = assert_problem(
        caller.call("POST", f"/sendMessage?batch={batch}", [("Accept", "application/json")], b"1"), 400
    )
    assert "lines" in problem["detail"]
    nothing_kept(caller, subscriber)


# CloudEvents


def test_a_structured_event_gives_its_topic(caller: Caller, subscribe: Subscribe) -> None:
    """A structured CloudEvent's ``type`` is the event's topic, and it is delivered byte for byte."""
    subscriber = subscribe(topic="orders.*")
    body = b" " + written(cloud_event(7, data={"n": [1.50, None, "caf\xe9"]}, subject="x")) + b"\n"
    content_type = "Application/CloudEvents+JSON; charset=utf-8"
    answer = publish_cloud_events(caller, body, content_type)
    told = answer.json()
    assert (told["id"], told["topic"]) == (answer.header("Webhook-Id"), "orders.created")
    assert arrived(caller, subscriber, 1) == {told["id"]: body}
    (request,) = subscriber.received
    assert (request.header("Content-Type"), request.header("Eventbus-Topic")) == (content_type, "orders.created")


def test_the_topic_in_the_query_wins_over_the_type(caller: Caller, subscribe: Subscribe) -> None:
    """With ``topic`` in the query the events' types stay in the events alone."""
    subscriber = subscribe(topic="stock.low")
    publish_cloud_events(caller, written(cloud_event()), STRUCTURED, topic="stock.low")
    publish_cloud_events(caller, array([written(cloud_event(1))]), topic="stock.low")
    arrived(caller, subscriber, 2)


def test_each_element_is_an_event(caller: Caller, subscribe: Subscribe) -> None:
    """Each event of an array is delivered on its own, structured, as it was written, by its own type."""
    subscriber, picky = subscribe(), subscribe(topic="orders.paid")
    types = ["orders.created", "orders.paid", "stock.low"]
    parts = [written(cloud_event(number, type=kind, data='ü\\"]}')) for number, kind in enumerate(types)]
    answer = publish_cloud_events(caller, array(parts))
    ids = answer.json()["ids"]
    assert arrived(caller, subscriber, 3) == dict(zip(ids, parts, strict=True))
    assert {request.header("Content-Type") for request in subscriber.received} == {STRUCTURED}
    assert arrived(caller, picky, 1) == {ids[1]: parts[1]}


def test_an_empty_array_is_no_event(caller: Caller, subscribe: Subscribe) -> None:
    """An array of nothing is accepted and is nothing."""
    subscriber = subscribe()
    assert publish_cloud_events(caller, b"[]").json()["ids"] == []
    nothing_kept(caller, subscriber)


# Limits


@pytest.mark.parametrize(
    "send",
    [
        lambda caller: publish_lines(caller, b"1\n" + b"x" * (MAX_BODY_BYTES + 1)),
        lambda caller: publish_lines(caller, b"1\n" * 10_001),
        lambda caller: publish_lines(caller, b"\n" * 20_001),
        lambda caller: publish_lines(caller, b"\n" * 20_000 + b"1"),
        lambda caller: publish_lines(caller, b"\n" * (16 * MIB + 1)),
        lambda caller: publish_cloud_events(caller, array([SOUND, written(cloud_event(data="x" * MAX_BODY_BYTES))])),
        lambda caller: publish_cloud_events(caller, array([SOUND]) + b" " * 16 * MIB),
        lambda caller: publish_cloud_events(caller, written(cloud_event(data="x" * MAX_BODY_BYTES)), STRUCTURED),
    ],
    ids=[
        "a long line",
        "many lines",
        "many blank lines",
        "many lines, one not blank",
        "a long batch",
        "a long element",
        "a long array",
        "a long event",
    ],
)
def test_a_batch_over_a_limit_is_too_large(
    caller: Caller, subscribe: Subscribe, send: Callable[[Caller], Response]
) -> None:
    """An event or a batch over its limit is 413 with a sentence, and nothing of it is kept."""
    subscriber = subscribe()
    assert_problem(send(caller), 413)
    nothing_kept(caller, subscriber)


def test_more_events_than_a_batch_has_are_refused(caller: Caller, subscribe: Subscribe) -> None:
    """An array of more than 10,000 events is refused as lines are."""
    subscriber = subscribe()
    response = publish_cloud_events(caller, array([SOUND] * 10_001))
    assert_problem(response, 413)
    nothing_kept(caller, subscriber)


def test_blank_lines_up_to_their_limit_are_passed_over(caller: Caller, subscribe: Subscribe) -> None:
    """Twenty thousand lines are looked at, whatever blanks they hold."""
    subscriber = subscribe()
    ids = publish_lines(caller, b" \t\r\n" * 19_998 + b" 1 \r\n2").json()["ids"]
    subscriber.wait_for_ids(ids)
    assert sorted(request.body for request in subscriber.received) == [b" 1 ", b"2"]


def test_a_batch_up_to_its_limit_is_accepted(caller: Caller, subscribe: Subscribe) -> None:
    """Ten thousand events in one request are accepted together, and all of them arrive."""
    subscriber = subscribe()
    body = b"\n".join(b"%d" % number for number in range(10_000))
    ids = publish_lines(caller, body).json()["ids"]
    assert len(set(ids)) == 10_000
    subscriber.wait_for_ids(ids, 60)
