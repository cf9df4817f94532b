"""What the bus's answers look like, plain and as JSON."""

import re
from typing import Any

from tests.support.raw_client import Response

TEXT = "text/plain; charset=utf-8"
UUID_V7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def assert_says(response: Response, status: int, text: str) -> None:
    """The answer is this status with exactly these bytes as text."""
    assert (response.status, response.body) == (status, text.encode())
    assert response.header("Content-Type") == TEXT


def assert_accepted(response: Response) -> None:
    """The answer is ``success`` with the id of a new event."""
    assert_says(response, 200, "success")
    assert UUID_V7.fullmatch(response.header("Webhook-Id") or "")


def assert_too_large(response: Response) -> None:
    """The answer is 413 with a sentence, and nothing was accepted."""
    assert (response.status, response.header("Content-Type")) == (413, TEXT)
    assert response.text == response.text.strip() != ""
    assert response.header("Webhook-Id") is None


def assert_problem(response: Response, status: int) -> dict[str, Any]:
    """The answer is a problem of RFC 9457 with this status; its members."""
    assert (response.status, response.header("Content-Type")) == (status, "application/problem+json")
    problem: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail"} <= problem.keys()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


def assert_blames(response: Response) -> None:
    """The answer says in plain text what the client did wrong."""
    assert 400 <= response.status < 500, response
    assert response.header("Content-Type") == TEXT
    assert len(response.text.split()) > 3
    assert response.text.isprintable()
