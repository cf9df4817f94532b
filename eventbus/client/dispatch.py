"""What a delivery is, and what to answer: pure, so that every adapter does the same.

| what happened | answer | what the bus does |
| --- | --- | --- |
| the handler returned; nobody wants this topic; the event was handled before | 200 | delivered |
| Reject | 422 | a dead letter at once |
| Retry | 503 | this event again, on its schedule |
| Retry with ``after`` | 503 with Retry-After | the whole subscriber waits |
| any other exception | 500 | this event again, on its schedule |
| the same event is being handled at this moment | 409 | this event again, on its schedule |
| the service is stopping, and its handler has not begun | 503 | this event again, on its schedule |
| no good signature | 401 | a dead letter at once |
| a good one, but none over topic and headers, where there has to be one | 503 | this event again, on its schedule |
| no ``Webhook-Id`` | 400 | a dead letter at once |
| a body over the inbox's limit; one whose end cannot be known | 413; 411 | a dead letter at once |
| a body that breaks off | none, or 503 | this event again, on its schedule |
| another method | 405 | a dead letter at once |
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from eventbus.client.errors import BadSignature, HeadersNotSigned, Reject, Retry
from eventbus.client.model import Event
from eventbus.client.signatures import Verifier, time_of

#: What a request's headers may come as.
Headers = Mapping[str, str] | Iterable[tuple[str, str]]
#: Seconds that the bus waits at a subscriber's wish, at most.
MAX_RETRY_AFTER_SECONDS = 3_600.0
#: Characters of a reason that are answered: the bus keeps the first KiB.
MAX_REASON_CHARS = 500


class InboxResponse(NamedTuple):
    """What to answer; a tuple of status, headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes


def text_response(status: int, sentence: str, **headers: str) -> InboxResponse:
    """An answer in a sentence; ``_`` in a header's name stands for ``-``."""
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
INCOMPLETE_BODY = text_response(503, "the body broke off")
NO_LENGTH = text_response(411, "Content-Length is missing, or is no number")
TOO_LARGE = text_response(413, "the body is larger than this inbox takes")
WRONG_PATH = text_response(404, "events are taken at another path")
#: Who is allowed to deliver where nobody in particular is.
ANY_ORIGIN = "*"
#: What an origin is at most made of, before it is told to somebody.
_ORIGIN = re.compile(r"[\x21-\x7e]{1,300}\Z")


def consent_response(origin: str | None) -> InboxResponse:
    """Tell whose deliveries this subscriber has asked for: ``origin``'s, or anybody's (CloudEvents' web hooks, 4.2)."""
    allowed = {} if origin and not _ORIGIN.match(origin) else {"WebHook_Allowed_Origin": origin or ANY_ORIGIN}
    return text_response(200, "", **allowed, Allow="POST, OPTIONS")


def parse_delivery(
    method: str, headers: Headers, body: bytes, verifier: Verifier, now: float, origin: str | None = None
) -> Event | InboxResponse:
    """The event of a delivery; or at once the answer.

    ``now`` is seconds since 1970, ``origin`` the bus's name, as far as it is known.
    """
    if method == "OPTIONS":
        return consent_response(verifier.origin or origin)
    if method != "POST":
        return text_response(405, "an event comes by POST", Allow="POST, OPTIONS")
    named = lower_names(headers)
    try:
        verifier.check(named, body, now)
    except HeadersNotSigned as error:  # as a bus of an older version would send it, which may be replaced
        return text_response(503, str(error))
    except BadSignature as error:
        return text_response(401, str(error))
    if not named.get("webhook-id"):
        return text_response(400, "Webhook-Id is missing: this is no delivery")
    return event_from_headers(named, body, now)


def event_from_headers(headers: Mapping[str, str], body: bytes, now: float) -> Event:
    """The event that a delivery holds; names of ``headers`` are lower case."""
    attempt = headers.get("eventbus-attempt", "1")
    return Event(
        id=headers["webhook-id"],
        topic=headers.get("eventbus-topic"),
        body=body,
        headers=headers,
        at=time_of(headers.get("webhook-timestamp", ""), now),
        attempt=int(attempt) if attempt.isascii() and attempt.isdigit() and len(attempt) < 10 else 1,
    )


def response_to(outcome: object) -> InboxResponse:
    """The answer to what a handler returned or raised."""
    if isinstance(outcome, Retry):
        wait = (
            {}
            if outcome.after is None
            else {"Retry_After": str(max(1, math.ceil(min(MAX_RETRY_AFTER_SECONDS, outcome.after))))}
        )
        return text_response(503, outcome.reason or "again later", **wait)
    if isinstance(outcome, Reject):
        return text_response(422, outcome.reason or "rejected")
    if isinstance(outcome, BaseException):
        return text_response(500, f"the handler raised {type(outcome).__name__}")
    return HANDLED


def lower_names(headers: Headers) -> dict[str, str]:
    """The headers by their names in lower case; of two with one name the first."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    named: dict[str, str] = {}
    for name, value in pairs:
        named.setdefault(name.lower(), value)
    return named
