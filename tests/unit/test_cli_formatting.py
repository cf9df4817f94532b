import json
from datetime import UTC, datetime
from io import StringIO

import pytest

from eventbus.cli.formatting import body_lines, event_to_json, format_duration, preview
from eventbus.cli.plain_renderer import PlainRenderer, progress_line
from eventbus.client import Event

AT = datetime(2026, 11, 24, 6, 3, 29, tzinfo=UTC)


def event(body: bytes, kind: str = "") -> Event:
    """An event with this body."""
    return Event("id-1", "a.b", body, {"content-type": kind} if kind else {}, AT)


@pytest.mark.parametrize(
    ("body", "kind", "lines"),
    [
        (b"", "", []),
        (b'{"order":42}', "application/x-www-form-urlencoded", ['{"order": 42}']),
        (b"42", "application/json", ["42"]),
        (b"one\r\ntwo\n", "text/plain", ["one", "two"]),
        (b"{no json", "application/json", ["{no json"]),
        (b'{"n": NaN}', "application/json", ['{"n": NaN}']),
        (b"[" * 100_000, "application/json", ["[" * 100_000]),
        ('{"a":"\\u001b[2J\u202e"}'.encode(), "", ['{"a": "\\u001b[2J\\u202e"}']),
        (b"\x1b]0;title\x07", "text/plain", ["\\x1b]0;title\\x07"]),
        (b"\xffAB", "", ["0000  ff 41 42                                         .AB"]),
    ],
)
def test_a_body_is_shown_as_what_it_is(body: bytes, kind: str, lines: list[str]) -> None:
    """JSON spread out, text as text, anything else in hexadecimal."""
    assert body_lines(event(body, kind)) == lines


def test_large_bodies_are_spread_or_cut() -> None:
    """JSON that is too long for a line is indented on several; of bytes the start is printed."""
    values = {f"name-{number}": number for number in range(20)}
    lines = body_lines(event(json.dumps(values).encode(), "application/json"))
    assert (lines[0], lines[1], len(lines)) == ("{", '  "name-0": 0,', 22)
    assert body_lines(event(b"\xff" * 5_000))[-1] == "and 3,976 bytes more"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"short\ntext", "short text"),
        (b"x" * 100, "x" * 20 + "…"),
        ("ü".encode() * 100, "ü" * 20 + "…"),
        (("x" + "😀" * 100).encode(), "x" + "😀" * 19 + "…"),
        (b"\xff\xfe", "ff fe"),
        (b"\xff" * 100, "ff ff ff ff ff ff…"),
    ],
)
def test_a_list_shows_the_beginning_of_a_body(body: bytes, expected: str) -> None:
    """On one line."""
    assert preview(event(body), 20) == expected


@pytest.mark.parametrize(
    ("body", "kind", "payload"),
    [
        (b'{"n": 1}', "application/json; charset=utf-8", {"data": {"n": 1}}),
        (b'{"n": 1}', "application/cloudevents+json", {"data": {"n": 1}}),
        (b'{"n": 1}', "text/plain", {"data": '{"n": 1}'}),
        (b"{", "application/json", {"data": "{"}),
        (b"[" * 101 + b"]" * 101, "application/json", {"data": "[" * 101 + "]" * 101}),
        (b"[" + b"[]," * 200 + b"1]", "application/json", {"data": [*([[]] * 200), 1]}),
        (b"\xff", "application/json", {"data_base64": "/w=="}),
        (b"", "", {"data": ""}),
    ],
)
def test_the_data_of_an_event_depends_on_its_type(body: bytes, kind: str, payload: dict[str, object]) -> None:
    """So that a script knows what it gets: JSON is decoded where it is called so."""
    expected = event_to_json(event(body, kind))
    assert {name: value for name, value in expected.items() if name.startswith("data")} == payload
    assert (expected["id"], expected["topic"], expected["at"]) == ("id-1", "a.b", "2026-11-24T06:03:29Z")


def test_spans_of_time_are_said_as_people_do() -> None:
    """In the unit that has two of it."""
    assert [format_duration(seconds) for seconds in (None, -1, 5.4, 119, 120, 7_199, 7_200, 200_000)] == [
        *("", "0 s", "5 s", "119 s", "2 min", "119 min", "2 h", "2 d"),
    ]


def test_progress_is_said_in_numbers() -> None:
    """The total and the rate where they are known."""
    assert progress_line("published", 50, 200, 2.0, "") == "published 50 of 200 (25 %), 25 per second"
    assert progress_line("published", 1_234, None, 0.0, "waiting") == "published 1,234, waiting"
    assert progress_line("replayed", 0, 0, 1.0, "") == "replayed 0 of 0 (100 %)"


def test_progress_writes_one_line_over_itself() -> None:
    """Not more often than one can see, and the last picture stays."""
    out, times = StringIO(), iter([0.0, 0.01, 0.02, 1.0])
    with PlainRenderer(out, terminal=True, clock=lambda: next(times)).progress("done", None) as show:
        show(1, "slowly")
        show(2)
        show(3)
    assert out.getvalue() == "\rdone 1, slowly\rdone 3, 3 per second\rdone 3, 3 per second\n"


def test_progress_is_for_terminals() -> None:
    """Nobody looks at a file or a pipe while it is written."""
    out = StringIO()
    with PlainRenderer(out, terminal=False).progress("done", 1) as show:
        show(1)
    assert out.getvalue() == ""
