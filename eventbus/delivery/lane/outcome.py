"""What a response means: from a status, or none, to what becomes of the delivery. Pure."""

import math
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum

#: The longest pause, in seconds, that a subscriber may ask for.
MAX_PAUSE_SECONDS = 3_600.0
#: Statuses that mean "delivered"; nothing else decides that.
DELIVERED_STATUSES = frozenset(range(200, 300))
#: Statuses 4xx that are about this moment, so that the same event may be accepted later.
RETRIED_STATUSES = frozenset({404, 408, 409, 425, 429})
#: Statuses that say that the credentials are not good.
UNAUTHORIZED_STATUSES = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class DeliveryResponse:
    """The response to one attempt: a status, or the reason why there is none."""

    status: int | None
    retry_after: str | None = None
    error: str = ""
    excerpt: bytes = b""  # the first KiB of the body
    sendable: bool = True  # False if the event may not be sent
    body: bytes = b""  # of a response with status 2xx to a batch
    made: bool = True  # False if this node had no files, ports or memory: it says nothing about the subscriber


@dataclass(frozen=True, slots=True)
class Consent:
    """Whether a subscriber consents to deliveries; ``error`` says why not."""

    given: bool
    per_minute: int | None = None  # deliveries that it allows; None for any number
    error: str = ""


class Verdict(Enum):
    """What a response means for the delivery and its subscriber."""

    DELIVERED = "delivered"
    RETRY = "retry"  # this event again, on its schedule
    PAUSE = "pause"  # the whole subscriber, for as long as it asked
    DOWN = "down"  # the subscriber cannot be reached
    GONE = "gone"  # the subscriber wants no more
    REJECTED = "rejected"  # this event will not be taken
    SPLIT = "split"  # one event of several will not be taken: at once again, in smaller batches


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """A verdict, and the seconds that a pause lasts."""

    verdict: Verdict
    wait: float = 0.0


DELIVERED = AttemptResult(Verdict.DELIVERED)
RETRY = AttemptResult(Verdict.RETRY)
DOWN = AttemptResult(Verdict.DOWN)
GONE = AttemptResult(Verdict.GONE)
REJECTED = AttemptResult(Verdict.REJECTED)
SPLIT = AttemptResult(Verdict.SPLIT)


def classify_response(
    answer: DeliveryResponse, wall: float, *, stale: bool = False, declared: bool = False
) -> AttemptResult:
    """Return what a response means; ``wall`` is seconds since 1970, for a Retry-After that names a date.

    ``stale`` says that the subscriber's credentials are probably out of date: it may accept the event with new ones.
    A ``declared`` subscriber does not end its registration: nothing may be discarded that its file wants delivered.
    """
    status = answer.status
    if status in DELIVERED_STATUSES:
        return DELIVERED
    if status is None or status < 200:
        return DOWN if answer.sendable else REJECTED
    if status == 410:
        return RETRY if declared else GONE
    if status in (429, 503) and (wait := _seconds(answer.retry_after, wall)) > 0:
        return AttemptResult(Verdict.PAUSE, wait)
    if status >= 500 or status in RETRIED_STATUSES or (stale and status in UNAUTHORIZED_STATUSES):
        return RETRY
    return REJECTED


def _seconds(retry_after: str | None, wall: float) -> float:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3); 0 if it is missing or invalid."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return min(MAX_PAUSE_SECONDS, float(text[:20]))
    try:
        moment = parsedate_to_datetime(text)
        wait = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - wall
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(MAX_PAUSE_SECONDS, wait) if math.isfinite(wait) and wait > 0 else 0.0
