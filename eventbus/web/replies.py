"""Responses: plain text by default, JSON and problem details for clients that ask for JSON."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

#: Keeps browsers from guessing another content type: a response may repeat a client's text.
NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
SUCCESS = "success"
_STATUS_LINES = {int(status): f"{status.value} {status.phrase}" for status in HTTPStatus}


@dataclass(slots=True)
class Reply:
    """A complete response, as a WSGI application; it costs less than Flask's Response."""

    body: bytes
    status: int = 200
    content_type: str = TEXT
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]
    ) -> list[bytes]:
        """Answer (PEP 3333)."""
        head = [("Content-Type", self.content_type), ("Content-Length", str(len(self.body)))]
        head += (NO_SNIFFING | self.headers).items()
        start_response(_STATUS_LINES[self.status], head)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [self.body]


def text(body: str, status: int = 200) -> Reply:
    """Return a response in plain text, without adding a newline."""
    return Reply(body.encode(), status)


def as_json(value: Any, status: int = 200) -> Reply:
    """Return a response in JSON."""
    return Reply(f"{json.dumps(value, separators=(',', ':'))}\n".encode(), status, JSON)


def see_other(location: str) -> Reply:
    """Return a response that leads a browser to a page, which it gets (RFC 9110, 15.4.4)."""
    return Reply(b"", 303, TEXT, {"Location": location})


def problem(status: int, detail: str) -> Reply:
    """Return problem details (RFC 9457)."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Reply(f"{json.dumps(body)}\n".encode(), status, "application/problem+json")
