"""How answers are phrased: text for who asked for nothing more, JSON and problem details for who did."""

import json
from http import HTTPStatus
from typing import Any

from flask import Request, Response

TEXT = "text/plain; charset=utf-8"
SUCCESS = "success"


def wants_json(request: Request) -> bool:
    """Whether the client asked for JSON, by ``Accept`` (RFC 9110, 12.5.1)."""
    accept = request.environ.get("HTTP_ACCEPT", "")
    if "json" not in accept:
        return False
    return bool(request.accept_mimetypes["application/json"] > request.accept_mimetypes["text/plain"] or _named(accept))


def _named(accept: str) -> bool:
    """Whether JSON is named, and not refused, while text is not named."""
    parts = [part.strip().lower() for part in accept.split(",")]
    named = [part for part in parts if part.partition(";")[0].strip() == "application/json"]
    refused = any(part.replace(" ", "").endswith((";q=0", ";q=0.0", ";q=0.00", ";q=0.000")) for part in named)
    return bool(named) and not refused and not any(part.startswith("text/plain") for part in parts)


def text(body: str, status: int = 200) -> Response:
    """A plain text answer, with no newline at its end but those in ``body``."""
    return Response(body, status, content_type=TEXT)


def as_json(value: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(json.dumps(value, separators=(",", ":")) + "\n", status, content_type="application/json")


def problem(status: int, detail: str) -> Response:
    """Problem details (RFC 9457)."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(json.dumps(body) + "\n", status, content_type="application/problem+json")
