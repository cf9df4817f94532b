"""Requests with several events: by https, signed, after consent, and no larger than they may be."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from eventbus.client import Event, Inbox, Terms, Verifier
from tests.support.accounts import settled
from tests.support.authority import LOCAL, OPENSSL, Authority
from tests.support.batches import publish_lines
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.raw_server import RawServer, always
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber, Subscribe

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
ORIGIN = "bus.example.com"
#: Bytes that a subscriber takes in one request, and of an event that is more than a batch may have.
LIMIT, LARGE = 40_000, 1_200_000


def numbers_in(body: bytes) -> list[int]:
    """The numbers of the events in a batch."""
    return [event["data"]["number"] for event in json.loads(body)]


def lines(count: int, size: int = 0) -> bytes:
    """So many events as lines, each of so many bytes or more."""
    return b"\n".join(json.dumps({"number": number, "filling": "x" * size}).encode() for number in range(count))


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl here to make a certificate")
def test_batches_go_by_https(tmp_path: Path) -> None:
    """A subscriber with a certificate gets batches, large ones too."""
    authority = Authority(tmp_path)
    with (
        RawServer(always(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), tls=authority.server(*LOCAL)) as service,
        BusServer(tmp_path, {"EVENTBUS_CA_FILE": str(authority.ca_file)}) as bus,
    ):
        caller = Caller(bus.port)
        caller.register(service.address, batch=50)
        publish_lines(caller, lines(100, 10_000))
        eventually(settled(caller, service.address, delivered=100), 20)
        assert sorted(number for one in service.received for number in numbers_in(one.body)) == [*range(100)]
        assert max(len(one.body) for one in service.received) > 400_000


def test_a_batch_is_signed_as_one_message(tmp_path: Path) -> None:
    """The signature of a request is over its body and id, so that a library and an inbox verify it."""
    with BusServer(tmp_path, {"EVENTBUS_SIGNING_SECRETS": SECRET}) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, batch=10)
        publish_lines(caller, lines(10), topic="orders.created")
        eventually(settled(caller, subscriber.address, delivered=10), 20)
        inbox, found = Inbox(terms=Terms(batch=10), verifier=Verifier(SECRET, headers_signed=True)), list[Event]()
        inbox.on_batch("orders.*")(found.extend)
        for request in subscriber.received:
            Webhook(SECRET).verify(request.body, dict(request.headers), json_parse=False)
            assert inbox.dispatch("POST", request.headers, request.body).status == 200
            assert inbox.dispatch("POST", request.headers, request.body[:-1] + b" ").status == 401
        assert sorted(event.data["number"] for event in found) == [*range(10)]


def test_a_subscriber_that_has_not_consented_gets_no_batch(tmp_path: Path) -> None:
    """Before its consent it gets nothing at all, and after that batches."""
    consents: list[bool] = []

    def respond(request: Received) -> Answer:
        allowed = (("WebHook-Allowed-Origin", ORIGIN),) if consents else ()
        return 200, allowed if request.method == "OPTIONS" else (), b""

    settings = {"EVENTBUS_VERIFY": "handshake", "EVENTBUS_ORIGIN": ORIGIN}
    with BusServer(tmp_path, settings) as bus, RecordingSubscriber(respond) as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, batch=50, backoff="0.1,0.2")
        publish_lines(caller, lines(100))
        eventually(lambda: sum(one.method == "OPTIONS" for one in subscriber.received) >= 2, 20)
        assert {one.method for one in subscriber.received} == {"OPTIONS"}
        consents.append(True)
        eventually(settled(caller, subscriber.address, delivered=100), 20)
        posts = [numbers_in(one.body) for one in subscriber.received if one.method == "POST"]
        assert sorted(number for each in posts for number in each) == [*range(100)]
        assert max(map(len, posts)) == 50


def takes_little(request: Received) -> Answer:
    """Answer 413 where there is more than the limit."""
    return (413 if len(request.body) > LIMIT else 200), (), b""


def test_a_subscriber_may_take_less_than_it_is_sent(caller: Caller, subscribe: Subscribe) -> None:
    """After a ``413`` the events come in smaller requests; one that is too large alone is the only dead letter."""
    subscriber = subscribe(takes_little, batch=100)
    publish_lines(caller, lines(64, 5_000))
    caller.publish(b'{"number": 99, "filling": "%s"}' % (b"x" * LIMIT), ("Content-Type", "application/json"))
    eventually(settled(caller, subscriber.address, delivered=64, dead=1), 20)
    taken = [numbers_in(one.body) for one in subscriber.received if len(one.body) <= LIMIT]
    assert sorted(number for each in taken for number in each) == [*range(64)]
    (letter,) = caller.call("GET", f"/deadLetters?address={subscriber.address}").json()["dead_letters"]
    assert (letter["reason"], letter["last_status"]) == ("rejected", 413)


def test_an_event_that_is_larger_than_a_batch_goes_alone(tmp_path: Path) -> None:
    """An event of more than 1 MiB comes as a batch of one, and holds up none of those around it."""
    with BusServer(tmp_path, {"EVENTBUS_MAX_BODY_BYTES": "2000000"}) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, batch=100, ordered=True, max_in_flight=1)
        bodies: list[dict[str, Any]] = [{"number": n, "filling": "x" * (LARGE if n == 2 else 10)} for n in range(5)]
        response = publish_lines(caller, b"\n".join(json.dumps(body).encode() for body in bodies))
        assert response.status == 200, response.text
        eventually(settled(caller, subscriber.address, delivered=5), 20)
        assert [numbers_in(one.body) for one in subscriber.received] == [[0, 1], [2], [3, 4]]
        assert [one.header("Eventbus-Batch") for one in subscriber.received] == ["2", "1", "2"]
