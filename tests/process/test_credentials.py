"""A subscriber's credentials, from its registration to its deliveries, on a bus as it is deployed."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.support.caller import JSON, Caller, register_target
from tests.support.deadline import eventually
from tests.support.raw_client import Response
from tests.support.responders import Switch
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber

FIRST, SECOND, SHARED = (f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in range(1, 4))
BEARER = "Bearer a-token-of-the-subscriber"


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """Calls a bus that signs, and asks for consent."""
    environment = {"EVENTBUS_SIGNING_SECRETS": SHARED, "EVENTBUS_VERIFY": "handshake"}
    with BusServer(tmp_path_factory.mktemp("bus"), environment) as bus:
        yield Caller(bus.port)


def register(caller: Caller, address: str, *headers: tuple[str, str], **options: Any) -> Response:
    """Register or renew, with these headers."""
    return caller.call("POST", register_target(address, **options), [JSON, *headers])


def authorization(value: str) -> tuple[str, str]:
    """The header that gives an authorization."""
    return "Eventbus-Forward-Authorization", value


def secret(value: str) -> tuple[str, str]:
    """The header that gives a secret."""
    return "Eventbus-Secret", value


def consents(request: Received) -> Answer:
    """Take everything from any bus."""
    return 200, (("WebHook-Allowed-Origin", "*"),) if request.method == "OPTIONS" else (), b""


def signers(request: Received) -> list[str]:
    """The names of the secrets by which a request is signed."""
    found = []
    for name, value in (("first", FIRST), ("second", SECOND), ("shared", SHARED)):
        try:
            Webhook(value).verify(request.body, dict(request.headers), json_parse=False)
        except WebhookVerificationError:
            continue
        found.append(name)
    return found


def published(caller: Caller, subscriber: RecordingSubscriber) -> Received:
    """The delivery of an event that is published now."""
    event_id = caller.publish()
    subscriber.wait_for_ids([event_id])
    return next(request for request in subscriber.received if request.id == event_id)


def batch(caller: Caller, subscriber: RecordingSubscriber) -> Received:
    """A batch of an event that is published now."""
    event_id = caller.publish()
    subscriber.wait_for(lambda it: any(event_id.encode() in request.body for request in it.received))
    return next(request for request in subscriber.received if event_id.encode() in request.body)


def test_deliveries_are_authorized_and_signed_as_the_subscriber_asked(caller: Caller) -> None:
    """From one renewal to the next: none is taken away, one is replaced, and both are removed."""
    with RecordingSubscriber(consents) as subscriber:
        address = subscriber.address
        answer = register(caller, address, authorization(BEARER), secret(FIRST)).json()
        assert (answer["credentials"], answer["state"], answer["warnings"]) == (["authorization", "secret"], "new", [])
        request = published(caller, subscriber)
        assert (request.header("Authorization"), signers(request)) == (BEARER, ["first"])
        asked = subscriber.received[0]
        assert (asked.method, asked.header("Authorization"), asked.header("Webhook-Signature")) == (
            "OPTIONS", BEARER, None,
        )  # fmt: skip
        register(caller, address)
        assert published(caller, subscriber).header("Authorization") == BEARER
        register(caller, address, secret(SECOND))
        request = published(caller, subscriber)
        assert (request.header("Authorization"), signers(request)) == (BEARER, ["first", "second"])
        register(caller, address, batch=10)
        request = batch(caller, subscriber)
        assert (request.header("Authorization"), signers(request)) == (BEARER, ["first", "second"])
        answer = register(caller, address, authorization(""), secret(""), batch=1).json()
        assert answer["credentials"] == []
        request = published(caller, subscriber)
        assert (request.header("Authorization"), signers(request)) == (None, ["shared"])
        caller.deregister(address)


def test_each_member_of_a_group_has_its_own(caller: Caller) -> None:
    """A member without any gets none of the others'."""
    with RecordingSubscriber(consents) as one, RecordingSubscriber(consents) as other:
        register(caller, one.address, authorization(BEARER), group="mailer")
        register(caller, other.address, secret(FIRST), group="mailer")
        for _ in range(20):
            caller.publish()
        eventually(lambda: len(one.counts) + len(other.counts) >= 22 and one.received and other.received, 20)
        posts = [[each for each in it.received if each.method == "POST"] for it in (one, other)]
        assert {(each.header("Authorization"), *signers(each)) for each in posts[0]} == {(BEARER, "shared")}
        assert {(each.header("Authorization"), *signers(each)) for each in posts[1]} == {(None, "first")}
        caller.call("DELETE", "/deregister?group=mailer")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("Eventbus-Forward-Authorization", "x" * 4_097, "must be 1 to 4096 printable ASCII characters."),
        ("Eventbus-Forward-Authorization", "a\tsecret-value", "must be 1 to 4096 printable ASCII characters."),
        ("Eventbus-Secret", "a-secret-value", "must be whsec_ and the Base64 of 24 to 64 random bytes."),
        ("Eventbus-Secret", "whsec_YS1zZWNyZXQtdmFsdWU=", "must be whsec_ and the Base64 of 24 to 64 random bytes."),
    ],
)
def test_what_is_no_credential_is_refused(caller: Caller, name: str, value: str, reason: str) -> None:
    """The answer names the header, repeats nothing, and registers nobody."""
    answer = register(caller, "127.0.0.1:8009", (name, value))
    assert (answer.status, answer.json()["detail"]) == (400, f"{name} {reason}")
    plain = caller.call("POST", register_target("127.0.0.1:8009"), [(name, value)])
    assert (plain.status, plain.text) == (400, f"Error:{name} {reason}")
    assert not caller.listed("127.0.0.1:8009")


def test_a_fresh_credential_that_is_refused_makes_a_dead_letter_and_a_stale_one_a_retry(caller: Caller) -> None:
    """The event that was refused is taken with the next credential."""
    refuses = Switch(401)

    def respond(request: Received) -> Answer:
        good = request.method == "OPTIONS" or request.header("Authorization") == f"{BEARER}-2"
        return consents(request) if good else refuses(request)

    with RecordingSubscriber(respond) as subscriber:
        address = subscriber.address
        register(caller, address, authorization(BEARER))
        caller.publish()
        eventually(lambda: caller.subscriber(address)["dead"] == 1, 10)
        for _ in range(2):
            register(caller, address)
        stale = caller.publish()
        subscriber.wait_for(lambda it: it.counts[stale] > 1)
        found = caller.subscriber(address)
        assert (found["dead"], found["pending"], found["last_error"]) == (1, 1, "answered 401")
        register(caller, address, authorization(f"{BEARER}-2"))
        eventually(lambda: caller.subscriber(address)["pending"] == 0, 10)
        assert (caller.subscriber(address)["delivered"], caller.subscriber(address)["dead"]) == (1, 1)
        caller.deregister(address)


def test_after_a_restart_a_subscriber_waits_for_its_renewal(tmp_path: Path) -> None:
    """Lists, metrics and the dashboard say so; what was published arrives then, once, with its credential."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        caller, address = Caller(bus.port), subscriber.address
        register(caller, address, authorization(BEARER))
        published(caller, subscriber)
        bus.terminate()
        bus.start()
        ids = [caller.publish() for _ in range(3)]
        found = caller.subscriber(address)
        assert (found["state"], found["credentials"]) == ("waiting for credentials", ["authorization"])
        assert (found["pending"], found["failed_attempts"], found["in_flight"]) == (3, 0, 0)
        state = f'eventbus_subscriber_state{{state="waiting for credentials",subscriber="{address}"}} 1.0'
        assert state in caller.call("GET", "/metrics").text
        page = caller.call("GET", f"/dashboard/subscriber?address={address}", [("Accept", "text/html")]).text
        assert "It is delivered to when it renews with Eventbus-Forward-Authorization" in page
        assert "1 subscribers wait for their credentials, which come with their next renewals" in bus.log_text()
        (warning,) = register(caller, address).json()["warnings"]
        assert warning.startswith("Nothing is delivered until a renewal has Eventbus-Forward-Authorization")
        assert len(subscriber.counts) == 1
        assert register(caller, address, authorization(BEARER)).json()["warnings"] == []
        subscriber.wait_for_ids(ids)
        assert {request.header("Authorization") for request in subscriber.received} == {BEARER}
        assert subscriber.counts.total() == 4
        assert caller.subscriber(address)["failed_attempts"] == 0
