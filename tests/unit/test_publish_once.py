"""The key under which a publish happens once."""

from typing import Any

import pytest

from eventbus.core.errors import BadRequest
from eventbus.core.event_ids import is_header_safe
from eventbus.web.cloudevents import CloudEvent
from eventbus.web.publish_once import derived, once_key, once_key_of_batch
from eventbus.web.query import Query, parse_query

ONCE = parse_query("once=ce")
KEY = {"HTTP_IDEMPOTENCY_KEY": "k"}
BINARY = {"HTTP_CE_ID": "caf%C3%A9", "HTTP_CE_SOURCE": "/shop"}


def test_two_events_are_one_where_source_and_id_are_the_same() -> None:
    """An id counts within its source only, and wherever the two are cut, other pairs have other keys."""
    pairs = [("/a", "1"), ("/b", "1"), ("/a", "11"), ("/a1", "1"), ("/a", "caf\xe9"), ("/a", "cafe\u0301"), ("/", "a1")]
    assert len({derived(*pair) for pair in pairs}) == len(pairs)
    assert all(is_header_safe(derived(*pair)) for pair in pairs)


def test_both_modes_have_one_key() -> None:
    """An event that is published again in the other mode is the same event."""
    structured = CloudEvent("caf\xe9", "/shop", "a", b"{}")
    assert once_key({}, ONCE, structured) == once_key(BINARY, ONCE, None) == derived("/shop", "caf\xe9")


def test_a_key_is_given_or_there_is_none() -> None:
    """Without ``once`` the key is what the publisher gives, and a CloudEvent alone has none."""
    assert once_key(KEY, Query({}), None) == once_key_of_batch(KEY, Query({})) == "k"
    assert once_key(BINARY, Query({}), None) is None


@pytest.mark.parametrize(
    ("environ", "query"),
    [({}, "once=ce"), ({"HTTP_CE_ID": "1"}, "once=ce"), ({"HTTP_CE_SOURCE": "/"}, "once=ce"), (BINARY, "once=true"),
     (BINARY, "once="), (BINARY | KEY, "once=ce"), ({"HTTP_IDEMPOTENCY_KEY": "two words"}, "")],
)  # fmt: skip
def test_what_gives_no_key_is_refused(environ: dict[str, Any], query: str) -> None:
    """Who asks to publish once by source and id has both, and no other key beside them."""
    with pytest.raises(BadRequest):
        once_key(environ, parse_query(query), None)


def test_a_batch_has_a_key_of_its_own() -> None:
    """``once`` speaks of one event."""
    with pytest.raises(BadRequest, match="Idempotency-Key"):
        once_key_of_batch(BINARY, ONCE)
