"""How answers are phrased: text for who asked for nothing more, JSON and problem details for who did."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flask import Request

TEXT = "text/plain; charset=utf-8"
SUCCESS = "success"
_STATUS_LINES = {int(status): f"{status.value} {status.phrase}" for status in HTTPStatus}


@dataclass(slots=True)
class Reply:
    """A whole answer, as a WSGI application: what a route returns where Flask's own Response does too much."""

    body: bytes
    status: int = 200
    content_type: str = TEXT
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]
    ) -> list[bytes]:
        """Answer (PEP 3333)."""
        head = [("Content-Type", self.content_type), ("Content-Length", str(len(self.body))), *self.headers.items()]
        start_response(_STATUS_LINES[self.status], head)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [self.body]


def wants_json(request: Request) -> bool:
    """Whether the client asked for JSON, by ``Accept`` (RFC 9110, 12.5.1)."""
    accept = request.environ.get("HTTP_ACCEPT", "")
    return "json" in accept and _prefers_json(accept)


def _prefers_json(accept: str) -> bool:
    """Whether JSON is named, not refused, and not less wanted than text."""
    wanted = {"application/json": 0.0, "text/plain": 0.0}
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if kind in wanted:
            wanted[kind] = max([_quality(parameter) for parameter in parameters if parameter.startswith("q=")] or [1.0])
    return wanted["application/json"] > 0 and wanted["application/json"] >= wanted["text/plain"]


def _quality(parameter: str) -> float:
    try:
        return float(parameter.removeprefix("q="))
    except ValueError:
        return 0.0


def text(body: str, status: int = 200) -> Reply:
    """A plain text answer, with no newline at its end but those in ``body``."""
    return Reply(body.encode(), status)


def as_json(value: Any, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(f"{json.dumps(value, separators=(',', ':'))}\n".encode(), status, "application/json")


def problem(status: int, detail: str) -> Reply:
    """Problem details (RFC 9457)."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Reply(f"{json.dumps(body)}\n".encode(), status, "application/problem+json")
