import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from eventbus.client.errors import BadSignature, UsageError
from eventbus.client.signatures import TOLERANCE_SECONDS, Verifier
from eventbus.core.signing import body_signatures, secrets_of

NOW = 1_795_000_000
OLD, NEW, OTHER = ("whsec_" + base64.b64encode(letter * 32).decode() for letter in (b"o", b"n", b"x"))
IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="."), min_size=1, max_size=40)


def signed(body: bytes, *secrets: str, event_id: str = "e1", stamp: int = NOW) -> dict[str, str]:
    """The headers of a delivery that the bus signs with these secrets."""
    value = b" ".join(body_signatures(secrets_of(",".join(secrets)), event_id, stamp, body)).decode()
    return {"webhook-id": event_id, "webhook-timestamp": str(stamp), "webhook-signature": value}


@given(body=st.binary(max_size=200), event_id=IDS)
def test_what_the_bus_signs_is_good(body: bytes, event_id: str) -> None:
    """A signature over any bytes and any id is the bus's, and the one that Standard Webhooks' own library makes."""
    Verifier([NEW]).check(signed(body, NEW, event_id=event_id), body, NOW)
    assert signed(b"text", NEW, event_id=event_id)["webhook-signature"] == _by_the_library(event_id)


def _by_the_library(event_id: str) -> str:
    made: str = Webhook(NEW).sign(event_id, datetime.fromtimestamp(NOW, UTC), "text")
    return made


@pytest.mark.parametrize("ours", [f"{OLD},{NEW}", [NEW], (OLD,), f" {NEW} ,"])
def test_any_of_several_secrets_will_do(ours: str | list[str]) -> None:
    """While secrets are rotated, one that both sides know is enough."""
    Verifier(ours).check(signed(b"x", NEW, OLD), b"x", NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "e2"},
        {"webhook-id": "\u2603"},
        {"webhook-timestamp": str(NOW + 1)},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,AAAA v2,AAAA"},
        {"webhook-signature": "\u00ff\u2603"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "\u0661"},
        {"webhook-timestamp": "9" * 5000},
    ],
)
def test_a_changed_header_is_noticed(change: dict[str, str]) -> None:
    """Id, timestamp and signature belong together."""
    with pytest.raises(BadSignature):
        Verifier([NEW]).check(signed(b"x", NEW) | change, b"x", NOW)


def test_a_changed_body_or_another_secret_is_noticed() -> None:
    """Each byte of the body is signed, and only who has the secret signs."""
    with pytest.raises(BadSignature, match="no secret that is known"):
        Verifier([NEW]).check(signed(b"x", NEW), b"y", NOW)
    with pytest.raises(BadSignature, match="no secret that is known"):
        Verifier([NEW, OLD]).check(signed(b"x", OTHER), b"x", NOW)


@pytest.mark.parametrize("off", [-TOLERANCE_SECONDS, 0, TOLERANCE_SECONDS])
def test_a_timestamp_may_be_five_minutes_off(off: float) -> None:
    """Older or younger than that, a delivery may be a recorded one."""
    headers = signed(b"x", NEW)
    Verifier([NEW]).check(headers, b"x", NOW + off)
    with pytest.raises(BadSignature, match="more than 300 seconds"):
        Verifier([NEW]).check(headers, b"x", NOW + TOLERANCE_SECONDS + 1)
    with pytest.raises(BadSignature, match="more than 300 seconds"):
        Verifier([NEW]).check(headers, b"x", NOW - TOLERANCE_SECONDS - 1)


def test_without_secrets_nothing_is_checked() -> None:
    """A bus that does not sign is taken at its word."""
    Verifier().check({}, b"", NOW)
    Verifier("").check({}, b"", NOW)


@pytest.mark.parametrize("text", ["hidden", "whsec_", "whsec_!", "whsec_" + base64.b64encode(b"x" * 23).decode()])
def test_what_is_no_secret_is_refused_and_not_repeated(text: str) -> None:
    """A wrong secret stops the start; its text appears in no error."""
    with pytest.raises(UsageError) as error:
        Verifier([text])
    assert text not in str(error.value).replace("whsec_ and", "")


def test_a_signature_is_not_cut_elsewhere() -> None:
    """What was signed as one delivery is no other one, whose id has taken the timestamp in, or begun the body."""
    signed_once = signed(f"{NOW}.forged".encode(), NEW, event_id="e1")
    again = {**signed_once, "webhook-id": f"e1.{NOW}"}
    assert again["webhook-signature"] == signed(b"forged", NEW, event_id=f"e1.{NOW}")["webhook-signature"]
    with pytest.raises(BadSignature, match="dot"):
        Verifier(NEW).check(again, b"forged", NOW)
    Verifier().check(again, b"forged", NOW)  # without secrets every delivery is taken
