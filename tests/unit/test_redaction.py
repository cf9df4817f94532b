"""What a subscriber repeats of its credentials is taken out of what the bus keeps of its answers."""

import base64
import html
import json
import time
from urllib.parse import quote

import pytest

from eventbus.core.credentials import NO_CREDENTIALS, GivenCredentials
from eventbus.core.redaction import FOUND_BY, MAX_FOUND, Redaction

TOKEN = 'eyJ.0"1\\2&3<4>5%6/7+8=9'  # noqa: S105 - for nothing
SECRET = f"whsec_{base64.b64encode(b'0123456789abcdef' * 2).decode()}"


def redaction(authorization: str = f"Bearer {TOKEN}", secret: str | None = SECRET) -> Redaction:
    """Takes these credentials out."""
    return Redaction(NO_CREDENTIALS.renewed(GivenCredentials(authorization, secret), 0.0))


@pytest.mark.parametrize(
    "form",
    [
        TOKEN,
        f"Bearer {TOKEN}",
        json.dumps(TOKEN)[1:-1],
        quote(TOKEN),
        quote(TOKEN, safe=""),
        html.escape(TOKEN),
        SECRET,
        SECRET.removeprefix("whsec_"),
    ],
)
def test_a_credential_is_taken_out_in_each_form(form: str) -> None:
    """As it was given, and as JSON, a URL and HTML write it; what stands around it stays, and twice is no more."""
    text = f"not: {form}, nor {form}!"
    found = redaction().of_text(text)
    assert form[-FOUND_BY:] not in found
    assert found.startswith("not: ")
    assert ", nor " in found
    assert found.endswith("[redacted]!")


@pytest.mark.parametrize("kept", range(FOUND_BY, len(TOKEN)))
def test_the_beginning_of_one_that_was_cut_off_is_taken_out(kept: int) -> None:
    """The first KiB of an answer may end in the middle of a credential."""
    assert redaction().of(f"who is {TOKEN[:kept]}".encode()) == b"who is [redacted]"
    assert redaction().of_text(f"allows '{TOKEN[:kept]}' only") == "allows '[redacted]' only"


def test_a_password_is_secret_too() -> None:
    """``Basic`` hides it in Base64 from nobody."""
    given = base64.b64encode(b"someone:a long pass word").decode()
    found = redaction(f"Basic {given}").of_text(f"{given}; someone:a long pass word; a long pass word")
    assert found == "[redacted]; [redacted]; [redacted]"


def test_json_hides_none_by_its_escapes() -> None:
    """The body that is read of an answer to a batch has them as plain text; others stay as they are."""
    escaped = "".join(f"\\u{ord(character):04x}" for character in TOKEN)
    body = f'{{"failed": [{{"id": "é", "reject": "{escaped}"}}]}}'.encode()
    found = redaction().of_json(body)
    assert json.loads(found) == {"failed": [{"id": "é", "reject": "[redacted]"}]}
    assert redaction().of_json(b"no JSON " + TOKEN.encode()) == b"no JSON [redacted]"


def test_other_text_stays() -> None:
    """Bytes that are no text too; and a value that is shorter than any secret takes nothing out."""
    for text in (b"", b"\xff\x00", b"Bearer who?", TOKEN[: FOUND_BY - 1].encode()):
        assert redaction().of(text) == text
    assert redaction("abc", None).of(b"abc abc") == b"abc abc"
    assert redaction("abcd", None).of(b"abc abcd") == b"abc [redacted]"
    assert redaction().of_text("\ud800 \udcff") == "\ud800 \udcff"


def test_long_answers_cost_time_in_proportion() -> None:
    """A subscriber that repeats the beginning of its credential thousands of times holds nobody up."""
    began = time.thread_time()
    assert redaction().of(TOKEN[:FOUND_BY].encode() * 32_768) == b"[redacted]" * (MAX_FOUND + 1)
    assert time.thread_time() - began < 0.2


def test_a_long_credential_that_is_repeated_in_part_costs_little() -> None:
    """However much of it the largest answer has again and again: nothing goes through that byte by byte."""
    token = "abcdefgh<&%'/" * 310
    cut = token[:-1] + "!"
    text = (cut * (262_144 // len(cut))).encode()
    taken_out, seconds = redaction(token, None), list[float]()
    for _ in range(5):
        began = time.thread_time()
        found = taken_out.of(text)
        seconds.append(time.thread_time() - began)
    assert found == b"[redacted]!" * (262_144 // len(cut))
    assert min(seconds) < 0.006
