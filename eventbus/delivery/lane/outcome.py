"""What an answer means: a pure table from a status (or none) to what becomes of the delivery."""

import math
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum

#: Seconds that a subscriber may ask the bus to wait, at most.
MAX_PAUSE_SECONDS = 3_600.0
#: Statuses that mean that the subscriber has taken the event: here is decided what "delivered" is.
DELIVERED_STATUSES = frozenset(range(200, 300))
#: Statuses that speak of this event at this moment, so that the same may work later.
RETRIED_STATUSES = frozenset({404, 408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class DeliveryResponse:
    """What came back from one attempt: a status, or the reason why there is none."""

    status: int | None
    retry_after: str | None = None
    error: str = ""
    excerpt: bytes = b""  # the first KiB of the body
    sendable: bool = True  # False where the event is none that may be sent
    made: bool = True  # False where the bus itself was short of files, ports or memory: no word about the subscriber


@dataclass(frozen=True, slots=True)
class Consent:
    """Whether a subscriber consents to deliveries; ``error`` says why not."""

    given: bool
    per_minute: int | None = None  # deliveries that it allows; None for any number
    error: str = ""


class Verdict(Enum):
    """What an answer means for the delivery and its subscriber."""

    DELIVERED = "delivered"
    RETRY = "retry"  # this event again, on its schedule
    PAUSE = "pause"  # the whole subscriber, for as long as it asked
    DOWN = "down"  # the subscriber cannot be reached
    GONE = "gone"  # the subscriber wants no more
    REJECTED = "rejected"  # this event will not be taken


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """A verdict; ``wait`` is the seconds that a pause lasts."""

    verdict: Verdict
    wait: float = 0.0


DELIVERED = AttemptResult(Verdict.DELIVERED)
RETRY = AttemptResult(Verdict.RETRY)
DOWN = AttemptResult(Verdict.DOWN)
GONE = AttemptResult(Verdict.GONE)
REJECTED = AttemptResult(Verdict.REJECTED)


def classify_response(answer: DeliveryResponse, wall: float) -> AttemptResult:
    """Read an answer; ``wall`` is seconds since 1970, for a Retry-After that names a date."""
    status = answer.status
    if status in DELIVERED_STATUSES:
        return DELIVERED
    if status is None or status < 200:
        return DOWN if answer.sendable else REJECTED
    if status == 410:
        return GONE
    if status in (429, 503) and (wait := _seconds(answer.retry_after, wall)) > 0:
        return AttemptResult(Verdict.PAUSE, wait)
    if status >= 500 or status in RETRIED_STATUSES:
        return RETRY
    return REJECTED


def _seconds(retry_after: str | None, wall: float) -> float:
    """Seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3); 0 where it says nothing sensible."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return min(MAX_PAUSE_SECONDS, float(text[:20]))
    try:
        moment = parsedate_to_datetime(text)
        wait = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - wall
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(MAX_PAUSE_SECONDS, wait) if math.isfinite(wait) and wait > 0 else 0.0
