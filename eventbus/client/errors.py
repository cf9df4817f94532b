"""What can go wrong with the bus, as one tree; and what a handler may answer beside "done", as another.

BusError
├── Misused                what was asked for cannot be sent; nothing was
├── Unreachable            no answer came, for as long as was tried
├── NotUnderstood          an answer came that no bus gives: the URL leads elsewhere
├── BadSignature           a delivery that is not the bus's, or is too old
│   └── HeadersNotSigned   its body is signed, its topic and headers are not
└── Refused                the bus answered, and said no: ``status`` and ``detail``
    ├── Unauthorized       a token is needed, or this one is not known (401)
    ├── Forbidden          the token may do other things (403)
    ├── NotKnown           what was asked for is not there (404)
    ├── Conflict           what was asked for contradicts what is there (409)
    ├── KeyReused          an idempotency key was used for another topic or body (422)
    ├── TooLarge           an event or a batch over the limits (413)
    └── Unavailable        not now; ``retry_after`` says when (408, 425, 429, 502, 503, 504)

Outcome                    raised, or returned, by a handler
├── Retry                  deliver it again
└── Reject                 do not deliver it again: a dead letter
    └── BadBody            it cannot be decompressed (a ValueError, too)
"""


class BusError(Exception):
    """Base of every error that the client raises on purpose; its text is a sentence for people."""


class Misused(BusError):
    """What was asked for cannot be sent, and nothing was."""


class Unreachable(BusError):
    """No answer came. ``sent`` says whether the bus may have received the request."""

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


class NotUnderstood(BusError):
    """The answer is none that a bus gives."""


class BadSignature(BusError):
    """A delivery without a good signature, or with a timestamp that is too far off."""


class HeadersNotSigned(BadSignature):
    """A delivery whose body is signed, but not its topic, though it has to be."""


class Refused(BusError):
    """The bus said no. ``status`` is HTTP's, ``detail`` its reason, ``retry_after`` in seconds where it said so."""

    def __init__(self, status: int, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{detail or 'The bus gave no reason.'} (status {status})")
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


class Unauthorized(Refused):
    """A token is needed, or this one is not known."""


class Forbidden(Refused):
    """The token is known, and may do other things."""


class NotKnown(Refused):
    """What was asked for is not there."""


class Conflict(Refused):
    """What was asked for contradicts what is there."""


class KeyReused(Refused):
    """The idempotency key was used for another topic or body. Nothing was kept; to repeat it helps nothing."""


class TooLarge(Refused):
    """An event or a batch is over the bus's limits."""


class Unavailable(Refused):
    """Not now: the bus is stopping, full, or asked too much."""


#: Which error a status is; any other is Refused itself.
BY_STATUS: dict[int, type[Refused]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotKnown,
    409: Conflict,
    413: TooLarge,
    422: KeyReused,
    **dict.fromkeys((408, 425, 429, 502, 503, 504), Unavailable),
}


class Outcome(Exception):
    """What a handler wants to become of a delivery that is not done."""


class Retry(Outcome):
    """Deliver this event again, on the bus's schedule; with ``after`` the whole subscriber waits so many seconds."""

    def __init__(self, reason: str = "", *, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Reject(Outcome):
    """Do not deliver this event again: it becomes a dead letter, with this reason."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class BadBody(Reject, ValueError):
    """A body that cannot be decompressed, or is too large then. From a handler it is a Reject: no retry helps."""
