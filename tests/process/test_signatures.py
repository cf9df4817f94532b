"""Signatures as a subscriber checks them: with a library that is not ours."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from eventbus.client import BadSignature, Verifier
from tests.support.accounts import settled
from tests.support.caller import Caller, cleaning_caller
from tests.support.deadline import eventually
from tests.support.repair import RepairClient
from tests.support.responders import always
from tests.support.server import BusServer, refusal
from tests.support.subscriber import Received, RecordingSubscriber, Subscribe

NEW, OLD, FOREIGN = ("whsec_" + base64.b64encode(bytes([number]) * 32).decode() for number in range(1, 4))
#: Bodies that a library has to hash to the byte; it reads them as UTF-8.
BODIES = [b"", b"{}", b'{"a": 1}', b' {"a" :1 }\r\n', '{"ü": "\u2028😀"}'.encode(), b"x" * 50_000]


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus that signs with two secrets, the newest first."""
    with BusServer(tmp_path_factory.mktemp("signing"), {"EVENTBUS_SIGNING_SECRETS": f"{NEW}, {OLD}"}) as bus:
        yield bus


@pytest.fixture
def caller(signing: BusServer) -> Iterator[Caller]:
    """Calls that bus, and leaves it without subscribers."""
    with cleaning_caller(signing.port) as found:
        yield found


def verify(request: Received, secret: str) -> None:
    """What the library says of a request. Raises WebhookVerificationError."""
    Webhook(secret).verify(request.body, dict(request.headers), json_parse=False)


def signatures(request: Received) -> list[str]:
    """The signatures that a request carries."""
    return (request.header("Webhook-Signature") or "").split(" ")


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_each_secret_verifies_each_delivery(caller: Caller, subscribe: Subscribe, body: bytes) -> None:
    """A subscriber that knows the new secret or the old one finds the delivery sound, whatever its body is."""
    subscriber = subscribe()
    subscriber.wait_for_ids([caller.publish(body)])
    (request,) = subscriber.received
    assert request.body == body
    assert len(signatures(request)) == 2
    for secret in (NEW, OLD):
        verify(request, secret)


def test_the_newest_secret_signs_first(caller: Caller, subscribe: Subscribe) -> None:
    """The signatures stand in the secrets' order, each one alone enough for its secret."""
    subscriber = subscribe()
    subscriber.wait_for_ids([caller.publish()])
    (request,) = subscriber.received
    for place, secret in enumerate((NEW, OLD)):
        alone = [
            (name, signatures(request)[place] if name == "Webhook-Signature" else v) for name, v in request.headers
        ]
        Webhook(secret).verify(request.body, dict(alone), json_parse=False)


def test_a_foreign_secret_verifies_nothing(caller: Caller, subscribe: Subscribe) -> None:
    """A secret that the bus does not know verifies no delivery."""
    subscriber = subscribe()
    subscriber.wait_for_ids([caller.publish()])
    with pytest.raises(WebhookVerificationError):
        verify(subscriber.received[0], FOREIGN)


@pytest.mark.parametrize(("name", "value"), [("Webhook-Id", "another"), ("Webhook-Timestamp", "+1"), ("body", "{ }")])
def test_what_was_changed_on_its_way_is_found(caller: Caller, subscribe: Subscribe, name: str, value: str) -> None:
    """Id, timestamp and body are all signed: a change to any of them is found."""
    subscriber = subscribe()
    subscriber.wait_for_ids([caller.publish()])
    (request,) = subscriber.received
    headers, body = dict(request.headers), request.body
    if name == "body":
        body = value.encode()
    else:
        headers[name] = str(int(headers[name]) + 1) if value == "+1" else value
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(body, headers, json_parse=False)


def test_the_topic_and_the_headers_are_signed_too(caller: Caller, subscribe: Subscribe) -> None:
    """Who relays a delivery can change neither: each secret verifies what came, and nothing else."""
    subscriber = subscribe()
    subscriber.wait_for_ids([caller.publish(b"{}", ("ce-id", "7"), ("ce-source", "/a"), topic="orders.paid")])
    (request,) = subscriber.received
    headers = {name.lower(): value for name, value in request.headers}
    for secret in (NEW, OLD):
        verifier = Verifier(secret, headers_signed=True)
        verifier.check(headers, request.body, time.time())
        for change in ({"eventbus-topic": "orders.lost"}, {"ce-id": "8"}, {"ce-type": "b"}, {"ce-source": ""}):
            with pytest.raises(BadSignature):
                verifier.check(headers | change, request.body, time.time())


def test_one_event_is_signed_alike_for_all_who_get_it_in_a_second(caller: Caller, subscribe: Subscribe) -> None:
    """The signature is the event's and the second's: all who get it can verify it, and no two events share one."""
    subscribers = [subscribe() for _ in range(5)]
    events = [caller.publish(b'{"n": %d}' % number) for number in range(20)]
    seen: dict[tuple[str, str | None], set[str]] = {}
    for subscriber in subscribers:
        subscriber.wait_for_ids(events)
        for request in subscriber.received:
            verify(request, NEW)
            said = request.header("Webhook-Signature") or ""
            seen.setdefault((request.id, request.header("Webhook-Timestamp")), set()).add(said)
    assert all(len(found) == 1 for found in seen.values())
    assert len(set.union(*seen.values())) == len(seen)


def test_a_retry_is_signed_anew(caller: Caller, subscribe: Subscribe) -> None:
    """Each attempt carries its own timestamp, signed: the id stays, and a retry is no replay of an old second."""
    subscriber = subscribe(always(500))
    event = caller.publish()
    subscriber.wait_for(lambda seen: len({request.header("Webhook-Timestamp") for request in seen.received}) >= 2)
    requests = list(subscriber.received)
    for request in requests:
        assert request.id == event
        assert abs(int(request.header("Webhook-Timestamp") or "") - time.time()) < 60
        for secret in (NEW, OLD):
            verify(request, secret)
    stamps = {request.header("Webhook-Timestamp") for request in requests}
    assert len({request.header("Webhook-Signature") for request in requests}) == len(stamps)


def test_a_replay_is_signed_anew(caller: Caller, subscribe: Subscribe) -> None:
    """An event that is delivered again from the journal is signed with the time of that delivery."""
    subscriber = subscribe()
    event = caller.publish(b'{"again": true}')
    subscriber.wait_for_ids([event])
    first = subscriber.received[0]
    second = int(first.header("Webhook-Timestamp") or "")
    eventually(lambda: int(time.time()) > second, 5)
    RepairClient(caller.port).replay(subscriber.address, event)
    subscriber.wait_for(lambda seen: seen.counts[event] == 2)
    again = subscriber.received[1]
    assert int(again.header("Webhook-Timestamp") or "") > second
    assert again.header("Webhook-Signature") != first.header("Webhook-Signature")
    for secret in (NEW, OLD):
        verify(again, secret)


def test_a_dead_letter_that_is_replayed_is_signed_anew(caller: Caller, subscribe: Subscribe) -> None:
    """A dead letter that is put back is signed as any delivery is."""
    statuses = iter([400])
    subscriber = subscribe(lambda _: (next(statuses, 200), (), b""))
    event = caller.publish()
    eventually(settled(caller, subscriber.address, dead=1), 30)
    RepairClient(caller.port).replay_dead(address=subscriber.address)
    subscriber.wait_for(lambda seen: seen.counts[event] == 2)
    verify(subscriber.received[1], NEW)


def test_without_secrets_nothing_is_signed(tmp_path: Path) -> None:
    """A bus without secrets sends no signature."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        calling = Caller(bus.port)
        calling.register(subscriber.address)
        subscriber.wait_for_ids([calling.publish()])
        assert subscriber.received[0].header("Webhook-Signature") is None
        assert subscriber.received[0].header("Eventbus-Signature") is None


def test_secrets_are_written_nowhere(signing: BusServer, caller: Caller, subscribe: Subscribe) -> None:
    """No secret is in the log, in the metrics or in what a subscriber receives."""
    subscriber = subscribe()
    subscriber.wait_for_ids([caller.publish()])
    everything = signing.log_text() + caller.call("GET", "/metrics").text + repr(subscriber.received)
    assert all(secret.removeprefix("whsec_") not in everything for secret in (NEW, OLD))


def test_a_wrong_secret_stops_the_start_and_is_not_shown(tmp_path: Path) -> None:
    """A secret that is too short stops the start by its place in the list, and is not in the log."""
    short = "whsec_" + base64.b64encode(b"0123456789").decode()
    bus = BusServer(tmp_path, {"EVENTBUS_SIGNING_SECRETS": f"{NEW},{short}"})
    assert refusal(bus, "EVENTBUS_SIGNING_SECRETS: number 2")
    assert short not in bus.log_text()
    assert NEW not in bus.log_text()
