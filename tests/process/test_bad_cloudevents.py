"""What is no CloudEvent is refused with what is wrong, and nothing of its batch is kept."""

import pytest

from tests.support.accounts import account
from tests.support.answers import assert_problem
from tests.support.batches import STRUCTURED, array, cloud_event, publish_cloud_events, written
from tests.support.caller import Caller
from tests.support.raw_client import Response
from tests.support.subscriber import Subscribe


def holding(data: bytes) -> bytes:
    """A sound event but for its data, which are these bytes."""
    return written(cloud_event(data="D")).replace(b'"D"', data)


#: What is wrong, as bytes, and a word that the refusal has to say.
BAD_EVENTS: dict[str, tuple[bytes, str]] = {
    "no id": (written(cloud_event(id=...)), "id"),
    "an empty id": (written(cloud_event(id="")), "id"),
    "an id with a line break": (written(cloud_event(id="a\r\nb")), "id"),
    "an id that is a number": (written(cloud_event(id=7)), "id"),
    "no source": (written(cloud_event(source=...)), "source"),
    "no type": (written(cloud_event(type=...)), "type"),
    "an empty type": (written(cloud_event(type="")), "type"),
    "a type with a control character": (written(cloud_event(type="a\x85")), "type"),
    "a leap second at noon": (written(cloud_event(time="2026-11-24T12:00:60Z")), "time"),
    "no version": (written(cloud_event(specversion=...)), "specversion"),
    "another version": (written(cloud_event(specversion="0.3")), "specversion"),
    "a time that is none": (written(cloud_event(time="yesterday")), "time"),
    "a time without an offset": (written(cloud_event(time="2026-11-24T06:03:29")), "time"),
    "data twice": (written(cloud_event(data=1, data_base64="AA==")), "data"),
    "data that is no Base64": (written(cloud_event(data_base64="?")), "Base64"),
    "data that is a number": (written(cloud_event(data_base64=7)), "Base64"),
    "an attribute in upper case": (written(cloud_event(myExtension="x")), "myExtension"),
    "an attribute that is an object": (written(cloud_event(extra={})), "extra"),
    "an attribute that is a fraction": (written(cloud_event(extra=1.5)), "extra"),
    "an attribute beyond 32 bits": (written(cloud_event(extra=2**31)), "extra"),
    "a name twice": (b'{"id":"a","id":"b","specversion":"1.0","source":"/","type":"t"}', "twice"),
    "a name twice within": (holding(b'{"a":1,"a":2}'), "twice"),
    "not a number": (holding(b"NaN"), "NaN"),
    "infinity": (holding(b"-Infinity"), "Infinity"),
    "nested too deeply": (holding(b"[" * 20_000 + b"]" * 20_000), "deep"),
    "objects nested too deeply": (holding(b'{"a":' * 9_000 + b"1" + b"}" * 9_000), "deep"),
    "a number of 50,000 digits": (holding(b"7" * 50_000), ""),
    "a list": (b"[1]", "object"),
    "a text": (b'"text"', "object"),
    "null": (b"null", "object"),
    "an open string": (b'{"id":"a', "JSON"),
    "a control character": (holding(b'"\x01"'), "JSON"),
    "bytes that are no UTF-8": (holding(b'"\xff"'), "UTF-8"),
}  # fmt: skip
SOUND = written(cloud_event(1))


def refuse(response: Response, *words: str) -> None:
    """The answer is 400, and says these words."""
    detail = assert_problem(response, 400)["detail"]
    assert all(word in detail for word in words), detail
    assert response.header("Webhook-Id") is None


@pytest.mark.parametrize(("body", "word"), BAD_EVENTS.values(), ids=BAD_EVENTS)
def test_an_unsound_event_is_refused(caller: Caller, subscribe: Subscribe, body: bytes, word: str) -> None:
    """What is no CloudEvent is refused with what is wrong, alone or as one of a batch, of which nothing is kept."""
    subscriber = subscribe()
    refuse(publish_cloud_events(caller, body, STRUCTURED), word)
    refuse(publish_cloud_events(caller, array([SOUND, SOUND, body])), word)
    refuse(publish_cloud_events(caller, array([body, SOUND])), word)
    assert account(caller, subscriber.address)["accepted"] == 0


@pytest.mark.parametrize("place", [0, 1, 4])
def test_a_refusal_names_the_event(caller: Caller, subscribe: Subscribe, place: int) -> None:
    """The refusal of a batch tells which of its events is unsound, counted from 0."""
    subscriber = subscribe()
    parts = [written(cloud_event(number)) for number in range(5)]
    parts[place] = written(cloud_event(type=...))
    refuse(publish_cloud_events(caller, array(parts)), f"Event {place} ", "type")
    assert account(caller, subscriber.address)["accepted"] == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[", b"[1", SOUND, b"[" + SOUND, b"[,]", b"[" + SOUND + b",]", b"[" + SOUND + SOUND + b"]",
     b"[" + SOUND + b"] x", b"\xef\xbb\xbf[" + SOUND + b"]", b"[" * 100_000],
    ids=lambda body: body[:12].decode("latin-1"),
)  # fmt: skip
def test_what_is_no_array_is_refused(caller: Caller, subscribe: Subscribe, body: bytes) -> None:
    """A batch that is no whole JSON array is 400, and nothing is kept of it."""
    subscriber = subscribe()
    refuse(publish_cloud_events(caller, body))
    assert account(caller, subscriber.address)["accepted"] == 0
