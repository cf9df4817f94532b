"""Parse deliveries, and choose the responses to them. Pure, so that every adapter does the same.

| what happened | answer | what the bus does |
| --- | --- | --- |
| the handler returned; no handler wants this topic; the event was handled before | 200 | delivered |
| Reject | 422 | a dead letter at once |
| Retry | 503 | this event again, on its schedule |
| Retry with ``after`` | 503 with Retry-After | the subscription waits |
| any other exception | 500 | this event again, on its schedule |
| the same event is being handled at this moment | 409 | this event again, on its schedule |
| the service is stopping, and its handler has not begun | 503 | this event again, on its schedule |
| no good signature | 401 | a dead letter at once |
| a good one, but none over topic and headers, where there has to be one | 503 | this event again, on its schedule |
| no ``Webhook-Id`` | 400 | a dead letter at once |
| a body over the inbox's limit; one whose end cannot be known | 413; 411 | a dead letter at once |
| an incomplete body | none, or 503 | this event again, on its schedule |
| another method | 405 | a dead letter at once |
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from eventbus.client.errors import BadSignature, HeadersNotSigned, Reject, Retry
from eventbus.client.model import Event
from eventbus.client.signatures import Verifier, time_of
from eventbus.core.order_key import ORDER_KEY_HEADER, decode_key

#: What a request's headers may come as.
Headers = Mapping[str, str] | Iterable[tuple[str, str]]
#: Seconds that the bus waits at most, whatever a subscriber asks for.
MAX_RETRY_AFTER_SECONDS = 3_600.0
#: Characters of a reason in a response: the bus keeps the first KiB.
MAX_REASON_CHARS = 500


class InboxResponse(NamedTuple):
    """The response to a delivery; a tuple of status, headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes


def text_response(status: int, sentence: str, **headers: str) -> InboxResponse:
    """Return a response with a sentence; ``_`` in a header's name stands for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = sentence[:MAX_REASON_CHARS].encode()
    return InboxResponse(
        status, {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)), **named}, body
    )


HANDLED = text_response(200, "handled")
DUPLICATE = text_response(200, "handled before")
IGNORED = text_response(200, "ignored: no handler wants this topic")
BUSY = text_response(409, "this event is being handled at this moment")
STOPPING = text_response(503, "this service is stopping")
INCOMPLETE_BODY = text_response(503, "the body is incomplete")
NO_LENGTH = text_response(411, "Content-Length is missing, or is not a number")
TOO_LARGE = text_response(413, "the body is larger than this inbox takes")
WRONG_PATH = text_response(404, "events are taken at another path")
#: The allowed origin if no particular one is.
ANY_ORIGIN = "*"
#: An origin that may stand in a response's header.
_ORIGIN = re.compile(r"[\x21-\x7e]{1,300}\Z")


def consent_response(origin: str | None) -> InboxResponse:
    """Return the consent to deliveries by ``origin``, or by any bus (CloudEvents' web hooks, 4.2)."""
    allowed = {} if origin and not _ORIGIN.match(origin) else {"WebHook_Allowed_Origin": origin or ANY_ORIGIN}
    return text_response(200, "", **allowed, Allow="POST, OPTIONS")


def parse_delivery(
    method: str, headers: Headers, body: bytes, verifier: Verifier, now: float, origin: str | None = None
) -> dict[str, str] | InboxResponse:
    """Return the headers of a delivery by their names in lower case, or at once the response to it.

    ``now`` is seconds since 1970, ``origin`` the bus's name if it is known.
    """
    if method == "OPTIONS":
        return consent_response(verifier.origin or origin)
    if method != "POST":
        return text_response(405, "send events by POST", Allow="POST, OPTIONS")
    named = lower_names(headers)
    try:
        verifier.check(named, body, now)
    except HeadersNotSigned as error:  # by a bus of an older version, which may be upgraded
        return text_response(503, str(error))
    except BadSignature as error:
        return text_response(401, str(error))
    if not named.get("webhook-id"):
        return text_response(400, "Webhook-Id is missing: this is not a delivery")
    return named


def event_from_headers(headers: Mapping[str, str], body: bytes, now: float) -> Event:
    """Return the event of a delivery; names of ``headers`` are lower case, ``now`` is seconds since 1970."""
    attempt, key = headers.get("eventbus-attempt", "1"), headers.get(ORDER_KEY_HEADER.lower())
    return Event(
        id=headers["webhook-id"],
        topic=headers.get("eventbus-topic"),
        body=body,
        headers=headers,
        at=time_of(headers.get("webhook-timestamp", ""), now),
        attempt=int(attempt) if attempt.isascii() and attempt.isdigit() and len(attempt) < 10 else 1,
        key=None if key is None else decode_key(key),
    )


def response_to(result: object) -> InboxResponse:
    """Return the response to what a handler returned or raised."""
    if isinstance(result, Retry):
        wait = (
            {}
            if result.after is None
            else {"Retry_After": str(max(1, math.ceil(min(MAX_RETRY_AFTER_SECONDS, result.after))))}
        )
        return text_response(503, result.reason or "again later", **wait)
    if isinstance(result, Reject):
        return text_response(422, result.reason or "rejected")
    if isinstance(result, BaseException):
        return text_response(500, f"the handler raised {type(result).__name__}")
    return HANDLED


def lower_names(headers: Headers) -> dict[str, str]:
    """Return the headers by their names in lower case; of two with one name the first."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    named: dict[str, str] = {}
    for name, value in pairs:
        named.setdefault(name.lower(), value)
    return named
