"""What a client takes for an answer, by its ``Accept``."""

import pytest
from flask import Request

from eventbus.web.accept import MAX_CACHED_CHARACTERS, MAX_CACHED_VALUES, VARIES, wants_json, wants_stream


def request(accept: str | None) -> Request:
    """A request that accepts this."""
    return Request({} if accept is None else {"HTTP_ACCEPT": accept})


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/*", False),
        ("application/json", True),
        ("Application/JSON", True),
        ("APPLICATION/JSON ; Q=0.5", True),
        ("application/json;q=0", False),
        ("application/json;q=0.0, */*", False),
        ("application/json;q=0.000;charset=utf-8", False),
        ("application/json;charset=utf-8;q=1", True),
        ("application/json, text/plain, */*", True),
        ("text/plain;q=0.4, application/json;q=0.5", True),
        ("text/plain, application/json;q=0.5", False),
        ("text/*, application/json;q=0.5", False),
        ("*/*;q=0.8, application/json;q=0.9", True),
        ("*/*, application/json;q=0.9", False),
        ("text/plain;q=0, */*, application/json;q=0.1", True),
        ("application/json;q=high", False),
        ("application/problem+json", False),
        ("x" * MAX_CACHED_CHARACTERS + ", application/json", True),
        (",;,application/json,;q=", True),
    ],
)
def test_json_is_for_who_names_it(accept: str | None, wanted: bool) -> None:
    """JSON is answered to who names it in any case, does not refuse it, and does not prefer text (RFC 9110, 12.5.1)."""
    asked = request(accept)
    assert wants_json(asked) is wanted
    assert asked.environ[VARIES]


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [("text/event-stream", True), ("Text/Event-Stream, */*;q=0.1", True), ("text/event-stream;q=0, */*", False),
     ("text/*", False), ("application/json, text/event-stream", True), (None, False)],
)  # fmt: skip
def test_a_stream_is_for_who_names_it(accept: str | None, wanted: bool) -> None:
    """Server-sent events are for who names them and does not refuse them."""
    assert wants_stream(request(accept)) is wanted


def test_what_is_remembered_is_bounded() -> None:
    """However many different values come, only so many are remembered."""
    from eventbus.web.accept import _cached_ranges  # noqa: PLC0415 - only here

    for number in range(2 * MAX_CACHED_VALUES):
        wants_json(request(f"application/json;q=0.{number}"))
    assert _cached_ranges.cache_info().currsize <= MAX_CACHED_VALUES
