"""``Idempotency-Key``: a publisher that is not sure asks again, and its event is delivered once."""

from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.support.accounts import account, settled
from tests.support.batches import array, cloud_event, written
from tests.support.caller import JSON, Caller
from tests.support.deadline import eventually
from tests.support.raw_client import Response
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber, Subscribe

AT_ONCE = 50


def publish(
    caller: Caller, key: str, body: bytes = b"{}", *, target: str = "/sendMessage", content_type: str = ""
) -> Response:
    """Publish under a key."""
    headers = [JSON, ("Idempotency-Key", key)]
    return caller.call("POST", target, [*headers, *([("Content-Type", content_type)] if content_type else [])], body)


def accepted(response: Response) -> dict[str, Any]:
    """The JSON answer of a publish that was accepted."""
    assert response.status == 200, response.text
    told: dict[str, Any] = response.json()
    return told


def test_the_same_key_is_the_same_event(caller: Caller, subscribe: Subscribe) -> None:
    """A second publish under a key answers the first one's id and ``duplicate``, and is not delivered."""
    subscriber = subscribe()
    first = accepted(publish(caller, "order-1", b"first"))
    again = publish(caller, "order-1", b"first")
    other = accepted(publish(caller, "order-2", b"other"))
    assert (first["duplicate"], other["duplicate"]) == (False, False)
    assert accepted(again) == {"id": first["id"], "subscribers": 0, "duplicate": True}
    assert again.header("Webhook-Id") == first["id"]
    eventually(settled(caller, subscriber.address, accepted=2, delivered=2), 30)
    assert {r.id: r.body for r in subscriber.received} == {first["id"]: b"first", other["id"]: b"other"}


def test_a_plain_client_is_told_success_again(caller: Caller) -> None:
    """Without asking for JSON the second answer is the first one, byte for byte: ``success`` with the same id."""
    answers = [caller.call("POST", "/sendMessage", [("Idempotency-Key", "plain")], b"x") for _ in range(2)]
    assert {(answer.status, answer.body) for answer in answers} == {(200, b"success")}
    assert len({answer.header("Webhook-Id") for answer in answers}) == 1


def test_without_a_key_each_publish_is_an_event(caller: Caller, subscribe: Subscribe) -> None:
    """The same body without a key is as many events as it is published."""
    subscriber = subscribe()
    ids = {caller.publish(b"same") for _ in range(3)}
    assert len(ids) == 3
    eventually(settled(caller, subscriber.address, accepted=3, delivered=3), 30)


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/sendMessage?topic=a", [("Idempotency-Key", "reused")]),
        ("/sendMessage?topic=a&batch=lines", [("Idempotency-Key", "reused-batch")]),
    ],
    ids=["one", "batch"],
)
def test_a_key_for_something_else_is_refused(caller: Caller, target: str, headers: list[tuple[str, str]]) -> None:
    """The same key with another body or topic is 422, 400 with the reason in plain text, and nothing is kept."""

    def post(target: str, body: bytes, *more: tuple[str, str]) -> Response:
        return caller.call("POST", target, [*headers, *more], body)

    assert post(target, b"first").status == 200
    other = target.replace("topic=a", "topic=b")
    for told in (post(target, b"second", JSON), post(other, b"first", JSON)):
        assert (told.status, "another topic, order key, expiry or body" in told.json()["detail"]) == (422, True)
    plain = post(target, b"second")
    assert (plain.status, "another topic, order key, expiry or body" in plain.text) == (400, True)
    assert accepted(post(target, b"first", JSON, ("traceparent", f"00-{1:032d}-{1:016d}-01")))["duplicate"]


def test_publishers_at_once_make_one_event(caller: Caller, subscribe: Subscribe) -> None:
    """However many publish under one key at the same time, one event comes of it, and all are told its id."""
    subscriber = subscribe()
    calls = [gevent.spawn(publish, caller, "at-once", b"same") for _ in range(AT_ONCE)]
    gevent.joinall(calls, raise_error=True)
    told = [accepted(call.value) for call in calls]
    assert len({answer["id"] for answer in told}) == 1
    assert sorted(answer["duplicate"] for answer in told) == [False] + [True] * (AT_ONCE - 1)
    eventually(settled(caller, subscriber.address, accepted=1, delivered=1), 30)
    assert subscriber.counts == {told[0]["id"]: 1}


def test_a_key_outlives_restarts(tmp_path: Path) -> None:
    """A key is known after ``kill -9`` and after a clean stop."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address)
        first = accepted(publish(caller, "kept"))
        bus.kill()
        bus.start()
        assert accepted(publish(caller, "kept"))["id"] == first["id"]
        assert bus.terminate() == 0
        bus.start()
        assert accepted(publish(caller, "kept")) == {"id": first["id"], "subscribers": 0, "duplicate": True}
        later = caller.publish()
        subscriber.wait_for_ids([first["id"], later])
        assert account(caller, subscriber.address)["accepted"] == 2


@pytest.mark.parametrize(
    ("target", "content_type", "body"),
    [
        ("/sendMessage?batch=lines", "", b"1\n2\n3"),
        (
            "/sendMessage",
            "application/cloudevents-batch+json",
            array(written(cloud_event(number)) for number in range(3)),
        ),
    ],
    ids=["lines", "CloudEvents"],
)
def test_a_batch_has_one_key(caller: Caller, subscribe: Subscribe, target: str, content_type: str, body: bytes) -> None:
    """A batch that is published again under its key answers the first one's ids, and nothing is delivered again."""
    subscriber = subscribe()
    key = f"batch-{content_type or 'lines'}"
    first, again = (accepted(publish(caller, key, body, target=target, content_type=content_type)) for _ in range(2))
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert first["ids"] == again["ids"]
    eventually(settled(caller, subscriber.address, accepted=3, delivered=3), 30)
    assert subscriber.counts == dict.fromkeys(first["ids"], 1)


def test_a_refused_publish_uses_no_key_up(caller: Caller) -> None:
    """A publish that was refused can be mended and sent again under its key."""
    unsound = publish(caller, "mended", b"{}", content_type="application/cloudevents+json")
    assert unsound.status == 400
    assert accepted(publish(caller, "mended", b"{}"))["duplicate"] is False


@pytest.mark.parametrize("key", ["", " ", "two words", "caf\xe9", "x" * 257, "a\tb"])
def test_a_key_that_cannot_be_is_refused(caller: Caller, subscribe: Subscribe, key: str) -> None:
    """A key is 1 to 256 visible ASCII characters; with any other the publish is 400 and keeps nothing."""
    subscriber = subscribe()
    response = publish(caller, key)
    assert response.status == 400
    assert "Idempotency-Key" in response.text
    assert account(caller, subscriber.address)["accepted"] == 0


def test_a_key_may_be_any_visible_ascii(caller: Caller) -> None:
    """Every visible ASCII character may stand in a key, and 256 of them may."""
    for key in ("".join(map(chr, range(0x21, 0x7F))), "k" * 256):
        first, again = accepted(publish(caller, key)), accepted(publish(caller, key))
        assert (first["duplicate"], again["duplicate"], again["id"]) == (False, True, first["id"])
