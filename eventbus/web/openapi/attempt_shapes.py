"""The shapes of attempts, and of what else has a status or a target path."""

from typing import Any

from eventbus.web.openapi import builder as build
from eventbus.web.openapi.builder import AN_ADDRESS, AN_ID, Json, count, nullable, text, time

STATUS = nullable(build.typed("integer", "Null without a response.", minimum=100, maximum=999))

PATH = nullable(text("Where its deliveries are POSTed to, as registered with `path`; null for `/event`."))

_STEP: Json = {
    "attempt": count("Which one of the delivery it was, from 1."),
    "at": time("When it began."),
    "seconds": build.typed("number", "How long it took.", minimum=0),
    "address": text("Where it went: the subscriber's address, or a member's of the group."),
    "path": PATH,
    "status": STATUS,
    "outcome": text(
        "`delivered`, or what the response meant: `retry`, `pause`, `down`, `gone`, `rejected`, or `split`, for a "
        "batch that is sent again in smaller ones.",
        enum=["delivered", "retry", "pause", "down", "gone", "rejected", "split"],
    ),
    "error": nullable(text("Why there was no response, or what was wrong with it.")),
}
A_STEP: Json = {
    "attempt": 1, "at": "2026-11-24T12:09:12.041Z", "seconds": 0.012, "address": AN_ADDRESS, "path": None,
    "status": 200, "outcome": "delivered", "error": None,
}  # fmt: skip
_ATTEMPT: Json = {
    "node": nullable(text("The node that made it; null on a single node.")),
    "number": count("Rises with each attempt of its node that ends."),
    "event": text("The event's id."),
    "group": nullable(text("The name of the group whose delivery it was; null without one.")),
    **_STEP,
    "answer": build.described(build.schema("Body"), "The first 256 bytes of a failing response."),
}
AN_ATTEMPT: Json = {
    "node": None, "number": 1, "event": AN_ID, "group": None, **A_STEP, "status": 503, "outcome": "retry",
    "answer": {"text": "busy"},
}  # fmt: skip
STEPS: Json = {
    "delivered_at": time("When the subscriber had answered, where the attempt is still known."),
    "timeline": build.items(
        build.schema("Attempted"), "The newest 50 attempts that are still known, the oldest first."
    ),
}
#: Objects, as in ``schemas``.
ATTEMPTS: dict[str, tuple[Any, ...]] = {
    "Attempted": ("One attempt of a delivery.", _STEP, A_STEP),
    "Attempt": ("One attempt: one request for one event and one subscription.", _ATTEMPT, AN_ATTEMPT),
}
