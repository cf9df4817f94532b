"""Target paths: which are taken, what is wrong with others, and that they are a part of a subscriber's key."""

import json
import re

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.errors import BadAddress, BadRequest
from eventbus.core.model import Options, Subscriber
from eventbus.core.target_path import MAX_TARGET_BYTES, TargetPath, split_path, with_path
from eventbus.delivery.lane.lane_record import new_record
from eventbus.delivery.transport.request import subscriber_head
from eventbus.journal.lane_json import from_json, to_json

TAKEN = [
    "/",
    "/?",
    "/hooks/x?y=z",
    "/hooks/x?y=z&a%5B%5D=1",
    "/a//b/",
    "//a",
    "/%7Eann/%2f?q=/?",
    "/...",
    "/.well-known/x",
    "/a..b/?x=/../y",
    "/:@!$&'()*+,;=-._~",
    "/".ljust(MAX_TARGET_BYTES, "a"),
]
REFUSED = [
    # the path, what the reason says
    ("", "must begin with /"),
    ("hooks", "must begin with /"),
    ("?a=b", "must begin with /"),
    ("http://host/x", "must begin with /"),
    ("/a b", "must not contain ' ': escape it as %20, which is %2520 in a query"),
    ("/a?b c", "must not contain ' '"),
    ("/a\r\nHost: x", "must not contain '\\r'"),
    ("/a\0", "must not contain '\\x00'"),
    ("/b\u00fccher", "escape it as %C3%BC"),
    ("/a\x7f", "must not contain '\\x7f'"),
    ("/a[1]", "must not contain '['"),
    ("/a\\b", "must not contain '\\\\'"),
    ('/a"b', "must not contain '\"'"),
    ("/a#b", "must not contain a fragment"),
    ("/a%2", "a % without two hexadecimal digits"),
    ("/a%zz?x", "a % without two hexadecimal digits"),
    ("/a/../b", "must not contain . or .. segments"),
    ("/.", "must not contain . or .. segments"),
    ("/a/%2e%2E?x", "must not contain . or .. segments"),
    ("/a/.%2e/b", "must not contain . or .. segments"),
    ("/" + MAX_TARGET_BYTES * "a", "must have at most 1024 bytes, not 1025"),
]
KIND = TargetPath()


def subscriber(path: str) -> Subscriber:
    """A subscriber at an address, with a target path."""
    return Subscriber(parse_address("LOCALHOST:80").with_target(path), Options())


@pytest.mark.parametrize("path", TAKEN)
def test_a_path_with_a_query_is_taken_as_it_is(path: str) -> None:
    """A path and a query of RFC 3986 are taken, and go on the wire as they were given."""
    assert KIND.parse("path", [path, "second"]) == path
    assert re.search(KIND.json_schema["pattern"], path)
    assert subscriber_head(subscriber(path)).startswith(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n".encode())


@pytest.mark.parametrize(("path", "reason"), REFUSED)
def test_what_is_no_path_is_refused_with_the_reason(path: str, reason: str) -> None:
    """A text that cannot stand in a request line, or leads elsewhere, is refused, and the error says why."""
    with pytest.raises(BadRequest) as refusal:
        KIND.parse("path", [path])
    assert reason in str(refusal.value)
    assert len(path) > MAX_TARGET_BYTES or not re.search(KIND.json_schema["pattern"], path)


def test_a_path_is_a_part_of_the_key() -> None:
    """An address with a path, with another one, and without one, are three subscribers."""
    keys = [subscriber(path).key for path in ("", "/a", "/A", "/a?")]
    assert keys == ["localhost", "localhost?path=/a", "localhost?path=/A", "localhost?path=/a?"]
    assert [subscriber("/a").text, subscriber("").text] == ["LOCALHOST:80?path=/a", "LOCALHOST:80"]


@pytest.mark.parametrize(("path", "url"), [("", "http://localhost/event"), ("/a?b=c", "http://localhost/a?b=c")])
def test_a_path_stands_instead_of_event(path: str, url: str) -> None:
    """Deliveries go to the path and its query, and without one to ``/event``."""
    assert subscriber(path).address.url == url


def test_no_address_is_a_key_with_a_path() -> None:
    """The key of a subscriber with a path is no address, so that none can be mistaken for it."""
    with pytest.raises(BadAddress, match=r"path=P gives a path"):
        parse_address(subscriber("/a").key)


@pytest.mark.parametrize("path", ["", "/a", "/a?path=/b", "/?path="])
def test_a_key_tells_its_address_and_its_path(path: str) -> None:
    """What stands in a key after the first mark is the path, whatever is in it."""
    assert split_path(with_path("localhost:1", path)) == ("localhost:1", path)


def test_a_path_is_given_once() -> None:
    """An address that has a prefix takes no path: it would be one target under several names."""
    with pytest.raises(BadAddress, match="'/prefix'"):
        parse_address("localhost/prefix").with_target("/a")
    assert parse_address("localhost/prefix").with_target("").url == "http://localhost/prefix/event"


@pytest.mark.parametrize("path", ["", "/a%20b?c=%25", "/?path=/x"])
def test_a_record_has_the_path(path: str) -> None:
    """A subscriber is the same one after a restart; without a path its record is as it was."""
    record = new_record(subscriber(path), 1.0, 0)
    assert from_json(to_json(record)).subscriber == record.subscriber
    assert ("path" in json.loads(to_json(record))) is bool(path)
