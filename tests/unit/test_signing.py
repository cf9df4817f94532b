import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.errors import SettingsError
from eventbus.core.model import Event
from eventbus.core.signing import MAX_SECRET_BYTES, MIN_SECRET_BYTES, body_signatures, secrets_of
from eventbus.delivery.transport.request import MAX_CACHED_ENDS, RequestBuilder
from tests.support.events import event

OLD, NEW = b"o" * MIN_SECRET_BYTES, b"n" * MAX_SECRET_BYTES
WALL = 1_795_000_000.75


def written(secret: bytes) -> str:
    """A secret as it is set."""
    return "whsec_" + base64.b64encode(secret).decode()


def expected(secret: bytes, event_id: str, timestamp: int, body: bytes) -> bytes:
    """A signature, worked out from the specification alone."""
    signed = event_id.encode("latin-1") + b"." + str(timestamp).encode() + b"." + body
    return b"v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest())


def headers_of(builder: RequestBuilder, sent: Event, attempt: int = 1, wall: float = WALL) -> dict[str, str]:
    """The headers of one attempt."""
    head = builder.build(b"", sent, attempt, wall).decode("latin-1").partition("\r\n\r\n")[0]
    return dict(line.split(": ", 1) for line in head.split("\r\n"))


def test_secrets_are_read_in_their_order() -> None:
    """Secrets are ``whsec_`` and Base64, comma-separated; spaces and empty parts are nobody's."""
    assert secrets_of(f" {written(NEW)} ,, {written(OLD)},") == (NEW, OLD)
    assert secrets_of("") == secrets_of(" , ") == ()


@pytest.mark.parametrize(
    "text",
    [
        "whsec_",
        "secret",
        base64.b64encode(OLD).decode(),
        "whsec_!!!!" + base64.b64encode(OLD).decode(),
        "WHSEC_" + base64.b64encode(OLD).decode(),
        "whsec_whsec_" + base64.b64encode(OLD).decode(),
        written(b"x" * (MIN_SECRET_BYTES - 1)),
        written(b"x" * (MAX_SECRET_BYTES + 1)),
        written(b"x" * 25).rstrip("="),
        "whsec_\u00fcber" + base64.b64encode(OLD).decode(),
        "whpk_" + base64.b64encode(OLD).decode(),
    ],
)
def test_what_is_no_secret_stops_the_start_and_is_not_repeated(text: str) -> None:
    """A malformed, short or long secret is refused by its place in the list, without a word of it."""
    with pytest.raises(SettingsError) as error:
        secrets_of(f"{written(NEW)},{text}")
    said = str(error.value)
    assert said.startswith("EVENTBUS_SIGNING_SECRETS: number 2 ")
    assert text == "whsec_" or text not in said
    assert written(NEW) not in said


@given(event_id=st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), min_size=1), body=st.binary())
def test_a_signature_is_over_the_id_the_time_and_the_body(event_id: str, body: bytes) -> None:
    """Any id and any body are signed to the byte."""
    assert body_signatures([NEW], event_id, 1_795_000_000, body) == [expected(NEW, event_id, 1_795_000_000, body)]


def test_every_secret_signs_the_newest_first() -> None:
    """With several secrets there is a signature for each, separated by a space."""
    both = [expected(secret, "id-1", 7, b"{}") for secret in (NEW, OLD)]
    assert body_signatures([NEW, OLD], "id-1", 7, b"{}") == both


def test_an_attempt_is_signed_with_its_own_timestamp() -> None:
    """The time in the signature is the one in ``Webhook-Timestamp``, to the second, on every attempt."""
    builder, sent = RequestBuilder([NEW, OLD]), event(1, b"body")
    for attempt, wall in enumerate((WALL, WALL + 0.2, WALL + 0.3, WALL + 9, WALL), 1):
        headers = headers_of(builder, sent, attempt, wall)
        assert headers["Webhook-Timestamp"] == str(int(wall))
        signatures = body_signatures([NEW, OLD], "id-1", int(wall), b"body")
        assert headers["Webhook-Signature"].encode() == b" ".join(signatures)
        assert headers["Eventbus-Attempt"] == str(attempt)


def test_no_event_has_the_signature_of_another() -> None:
    """However many events are sent in a second, and in whatever order, each has its own signature."""
    builder = RequestBuilder([NEW])
    numbers = [*range(MAX_CACHED_ENDS + 10), *range(20), 5, 5, MAX_CACHED_ENDS + 3]
    for number in numbers:
        said = headers_of(builder, event(number, b"%d" % number))["Webhook-Signature"]
        assert said.encode() == expected(NEW, f"id-{number}", int(WALL), b"%d" % number)


def test_without_secrets_nothing_is_signed() -> None:
    """A bus without secrets sends no signature, not even an empty one."""
    for attempt in (1, 2):
        own = {"Webhook-Id", "Content-Length", "Webhook-Timestamp", "Eventbus-Attempt"}
        assert headers_of(RequestBuilder(), event(), attempt).keys() == own


@pytest.mark.parametrize("attempt", [1, 2])
def test_no_id_with_a_dot_is_signed(attempt: int) -> None:
    """An id of an older version's journal is signed, and sent, without its dots; unsigned it is sent as it is."""
    sent = event(body=b"x")._replace(id="com.example.1")
    headers = headers_of(RequestBuilder((NEW,)), sent, attempt)
    assert headers["Webhook-Id"] == "com%2Eexample%2E1"
    wanted = expected(NEW, "com%2Eexample%2E1", int(headers["Webhook-Timestamp"]), b"x")
    assert headers["Webhook-Signature"] == wanted.decode()
    assert headers_of(RequestBuilder(), sent, attempt)["Webhook-Id"] == "com.example.1"
