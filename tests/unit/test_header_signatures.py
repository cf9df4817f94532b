"""Eventbus-Signature: over the topic and the headers too, made by the bus and checked by the client."""

import base64
import hashlib
import hmac
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.client import Inbox
from eventbus.client.dispatch import parse_delivery
from eventbus.client.errors import BadSignature, HeadersNotSigned
from eventbus.client.signatures import Verifier
from eventbus.core.model import Event
from eventbus.core.signing import secrets_of
from eventbus.delivery.transport.request import RequestBuilder
from eventbus.testing import deliver
from tests.support.events import event

ROOT = Path(__file__).parents[2]
NOW = 1_795_000_000
OLD, NEW, OTHER = ("whsec_" + base64.b64encode(letter * 32).decode() for letter in (b"o", b"n", b"x"))
HEAD = b"Content-Type: application/json\r\nce-id: 7\r\nce-type: paid\r\ntraceparent: 00-1\r\n"
SENT = event(body=b"{}", topic="orders.paid", head=HEAD)
VECTORS: list[dict[str, Any]] = json.loads(
    re.findall(r"```json\n(.*?)```", (ROOT / "docs/security.md").read_text("utf-8"), re.DOTALL)[0]
)


def headers_of(sent: Event, *secrets: str, attempt: int = 1) -> dict[str, str]:
    """What the bus sends, by names in lower case."""
    head = RequestBuilder(secrets_of(",".join(secrets))).build(b"", sent, attempt, NOW).decode("latin-1")
    pairs = [line.split(": ", 1) for line in head.partition("\r\n\r\n")[0].split("\r\n")]
    return {name.lower(): value for name, value in pairs}


def by_the_page(vector: dict[str, Any], secret: str) -> tuple[str, str]:
    """Both signatures of a vector, worked out from docs/security.md alone."""
    headers = {name.lower(): value.strip(" \t") for name, value in vector["headers"].items()}
    key = base64.b64decode(secret.removeprefix("whsec_"))
    start = f"{headers['webhook-id']}.{headers['webhook-timestamp']}."
    body = hmac.new(key, start.encode() + vector["body"].encode(), hashlib.sha256).digest()
    first = "v1," + base64.b64encode(body).decode()
    covered = "".join(
        f"{name}:{headers[name]}\n"
        for name in sorted(headers)
        if headers[name] and (name in ("eventbus-topic", "content-type", "content-encoding") or name.startswith("ce-"))
    )
    text = f"eventbus-v1\n{first}\n{covered}"
    return first, "v1," + base64.b64encode(hmac.new(key, text.encode("latin-1"), hashlib.sha256).digest()).decode()


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_the_vectors_of_the_page_hold(vector: dict[str, Any]) -> None:
    """What the page says to do gives what it shows; the bus signs so, and the client takes it."""
    both = [by_the_page(vector, secret) for secret in vector["secrets"]]
    assert vector["Webhook-Signature"].split(" ") == [first for first, _ in both]
    assert vector["Eventbus-Signature"].split(" ") == [second for _, second in both]
    assert vector["signed"].split("\n")[1] == both[0][0]
    headers = {name.lower(): value for name, value in vector["headers"].items()}
    kept = "".join(f"{name}: {headers[name]}\r\n" for name in headers if name[:3] in ("ce-", "con"))
    topic = headers.get("eventbus-topic")
    sent = Event(1, headers["webhook-id"], topic, kept.encode("latin-1"), vector["body"].encode(), NOW)
    made = headers_of(sent, *vector["secrets"])
    for name in ("Webhook-Signature", "Eventbus-Signature"):
        assert made[name.lower()] == headers.setdefault(name.lower(), vector[name])
    for secret in vector["secrets"]:
        Verifier(secret, headers_signed=True).check(headers, vector["body"].encode(), NOW)


def test_the_page_has_vectors() -> None:
    """With a topic, with CloudEvents and two secrets, and with nothing."""
    assert [len(vector["secrets"]) for vector in VECTORS] == [1, 2, 1]


@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize("ours", [OLD, NEW, f"{OTHER},{OLD}"])
def test_what_the_bus_signs_is_good(ours: str, attempt: int) -> None:
    """By any of its secrets that the receiver knows, on each attempt."""
    Verifier(ours, headers_signed=True).check(headers_of(SENT, NEW, OLD, attempt=attempt), b"{}", NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"eventbus-topic": "orders.cancelled"},
        {"eventbus-topic": ""},
        {"eventbus-topic": "orders.paid\nx"},
        {"ce-type": "cancelled"},
        {"ce-id": ""},
        {"ce-id": "7\nce-type:paid"},
        {"ce-id": "\u2603"},
        {"ce-\u2603": "7"},
        {"ce-more": "1"},
        {"content-type": "application/cloudevents+json"},
        {"content-encoding": "gzip"},
        {"eventbus-signature": ""},
        {"eventbus-signature": "v1,"},
        {"eventbus-signature": "v1,AAAA \u2603"},
        {"webhook-id": "id-2"},
        {"webhook-timestamp": str(NOW + 1)},
    ],
)
def test_a_changed_header_is_noticed(change: dict[str, str]) -> None:
    """None that is covered can be changed, added or emptied, whether or not the signature is demanded."""
    for demanded in (None, True, False):
        with pytest.raises(BadSignature):
            Verifier(NEW, headers_signed=demanded).check(headers_of(SENT, NEW) | change, b"{}", NOW)


@pytest.mark.parametrize("name", ["eventbus-topic", "ce-id", "content-type"])
def test_a_header_that_was_dropped_is_noticed(name: str) -> None:
    """What was signed has to be there."""
    headers = headers_of(SENT, NEW)
    del headers[name]
    with pytest.raises(BadSignature, match="this topic"):
        Verifier(NEW).check(headers, b"{}", NOW)


def test_what_forwards_may_do_is_no_change() -> None:
    """Another order, space around values, headers that are not covered, and empty ones."""
    headers = dict(reversed(headers_of(SENT, NEW).items()))
    headers |= {"ce-type": " \tpaid ", "ce-none": "", "traceparent": "00-2", "eventbus-attempt": "9", "via": "1.1 p"}
    Verifier(NEW, headers_signed=True).check(headers, b"{}", NOW)


def test_neither_signature_is_the_other() -> None:
    """The one over the body does not pass for the one over the headers, nor this for that."""
    headers = headers_of(SENT, NEW)
    one, other = headers["webhook-signature"], headers["eventbus-signature"]
    for swapped in ({"eventbus-signature": one}, {"webhook-signature": other}):
        with pytest.raises(BadSignature):
            Verifier(NEW).check(headers | swapped, b"{}", NOW)


def test_it_is_demanded_once_it_was_seen() -> None:
    """An older bus is taken at its word until a bus has signed the headers; then who drops that changes nothing."""
    headers = headers_of(SENT, NEW)
    older = {name: value for name, value in headers.items() if name != "eventbus-signature"}
    changed = older | {"eventbus-topic": "orders.cancelled"}
    verifier = Verifier(NEW)
    verifier.check(older, b"{}", NOW)
    with pytest.raises(BadSignature):
        verifier.check(headers | {"eventbus-topic": "x"}, b"{}", NOW)
    verifier.check(older, b"{}", NOW)  # what was wrong has taught nothing
    verifier.check(headers, b"{}", NOW)
    for dropped in (older, changed):
        with pytest.raises(HeadersNotSigned, match="missing"):
            verifier.check(dropped, b"{}", NOW)
    verifier.check(headers, b"{}", NOW)
    with pytest.raises(HeadersNotSigned):
        Verifier(NEW, headers_signed=True).check(older, b"{}", NOW)
    never = Verifier(NEW, headers_signed=False)
    never.check(headers, b"{}", NOW)
    never.check(older, b"{}", NOW)
    Verifier(headers_signed=True).check({}, b"", NOW)  # without secrets every delivery is taken


def test_the_bus_makes_a_delivery_again_whose_headers_are_not_signed() -> None:
    """An older bus may be replaced: 503 keeps the event. What is signed wrong is a dead letter, by 401."""
    headers, verifier = headers_of(SENT, NEW), Verifier(NEW, headers_signed=True)
    statuses = [
        getattr(parse_delivery("POST", headers | change, b"{}", verifier, NOW), "status", 200)
        for change in ({}, {"eventbus-topic": "x"}, {"webhook-signature": "v1,"})
    ]
    assert statuses == [200, 401, 401]
    del headers["eventbus-signature"]
    assert getattr(parse_delivery("POST", headers, b"{}", verifier, NOW), "status", 200) == 503


def test_deliveries_of_tests_are_signed_whole() -> None:
    """A service's own tests need no other verifier than the service."""
    inbox = Inbox(verifier=Verifier([NEW, OLD], headers_signed=True))
    inbox.on("a.b")(lambda _: None)
    assert deliver(inbox, "a.b", {"x": 1}, headers={"Ce-Id": "1"}).status == 200


NAMES = st.sampled_from(["ce-a", "ce-a-b", "ce-ab", "ce-a1", "Content-Type", "Content-Encoding", "traceparent"])
VALUES = st.text(st.sampled_from("\t !:,;=~\x80\xe9\xffvce-a"), max_size=12)


@given(kept=st.dictionaries(NAMES, VALUES), topic=st.sampled_from([None, "a", "a.b"]))
def test_bus_and_client_agree_on_what_is_covered(kept: dict[str, str], topic: str | None) -> None:
    """Whatever values headers may have, and whichever of them there are."""
    head = "".join(f"{name}: {value}\r\n" for name, value in kept.items()).encode("latin-1")
    Verifier(NEW, headers_signed=True).check(headers_of(event(topic=topic, head=head), NEW), b"{}", NOW)
