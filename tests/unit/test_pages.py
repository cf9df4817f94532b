"""Answers that may be long: how much is in a page, and in a piece."""

import json
from collections.abc import Iterator
from typing import Any

from eventbus.web.pages import CHUNK_BYTES, fitting, long_json, separated

ROWS = [{"n": number, "x": "y" * 90} for number in range(2_000)]


def nothing() -> None:
    """Give way to nobody."""


def test_a_page_has_so_many_bytes_at_most() -> None:
    """Rows are added as long as they fit; what follows is not looked at."""
    sizes = [len(json.dumps(row, separators=(",", ":"))) for row in ROWS]
    rows = iter(ROWS)
    parts = fitting(rows, nothing, sum(sizes[:10]))
    assert [json.loads(part) for part in parts] == ROWS[:10]
    assert next(rows) == ROWS[11]


def test_a_page_has_one_row_at_least() -> None:
    """A row that is larger than a page is a page."""
    assert len(fitting(ROWS, nothing, 1)) == 1
    assert fitting([], nothing, 1) == []


def test_a_short_list_is_one_answer_and_a_long_one_is_made_as_it_is_sent() -> None:
    """A list of few bytes has a length; of another one only the next pieces are made."""
    made: list[Any] = []

    def rows() -> Iterator[Any]:
        for row in ROWS:
            made.append(row)
            yield row

    assert "Content-Length" in dict(headers_of(long_json(separated(ROWS[:9]), nothing)))
    answer = long_json(separated(rows()), nothing)
    assert "Content-Length" not in dict(headers_of(answer))
    assert len(made) < len(ROWS)
    pieces = list(answer({"REQUEST_METHOD": "GET"}, lambda *_: None))
    assert json.loads(b"[%s]" % b"".join(pieces)) == ROWS
    assert max(map(len, pieces)) < CHUNK_BYTES + 200


def headers_of(answer: Any) -> list[tuple[str, str]]:
    """The headers with which an answer begins."""
    found: list[tuple[str, str]] = []
    answer({"REQUEST_METHOD": "HEAD"}, lambda _, headers: found.extend(headers))
    return found
