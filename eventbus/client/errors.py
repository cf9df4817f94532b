"""What can go wrong with the bus, as one tree; and what a handler may answer beside "done", as another.

BusError
├── UsageError             what was asked for cannot be sent; nothing was
├── Unreachable            no answer came, for as long as was tried
├── ProtocolError          an answer came that no bus gives: the URL leads elsewhere
├── BadSignature           a delivery that is not the bus's, or is too old
│   └── HeadersNotSigned   its body is signed, its topic and headers are not
└── ApiError               the bus answered, and said no: ``status`` and ``detail``
    ├── Unauthorized       a token is needed, or this one is not known (401)
    ├── Forbidden          the token may do other things (403)
    ├── NotFound           what was asked for does not exist (404)
    ├── Conflict           what was asked for contradicts what is there (409)
    ├── KeyReused          an idempotency key was used for another topic or body (422)
    ├── TooLarge           an event or a batch over the limits (413)
    └── Unavailable        not now; ``retry_after`` says when (408, 425, 429, 502, 503, 504)

HandlerResult              raised, or returned, by a handler
├── Retry                  deliver it again
└── Reject                 do not deliver it again: a dead letter
    └── BadBody            it cannot be decompressed (a ValueError, too)
"""


class BusError(Exception):
    """Base of every error that the client raises on purpose; its text is a sentence for people."""


class UsageError(BusError):
    """What was asked for cannot be sent, and nothing was."""


class Unreachable(BusError):
    """No answer came. ``sent`` says whether the bus may have received the request."""

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


class ProtocolError(BusError):
    """The answer is none that a bus gives."""


class BadSignature(BusError):
    """A delivery without a good signature, or with a timestamp that is too far off."""


class HeadersNotSigned(BadSignature):
    """A delivery whose body is signed, but not its topic, though it has to be."""


class ApiError(BusError):
    """The bus said no. ``status`` is HTTP's, ``detail`` its reason, ``retry_after`` in seconds where it said so."""

    def __init__(self, status: int, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{detail or 'The bus gave no reason.'} (status {status})")
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


class Unauthorized(ApiError):
    """A token is needed, or this one is not known."""


class Forbidden(ApiError):
    """The token is known, and may do other things."""


class NotFound(ApiError):
    """What was asked for is not there."""


class Conflict(ApiError):
    """What was asked for contradicts what is there."""


class KeyReused(ApiError):
    """The idempotency key was used for another topic or body. Nothing was kept; to repeat it helps nothing."""


class TooLarge(ApiError):
    """An event or a batch is over the bus's limits."""


class Unavailable(ApiError):
    """Not now: the bus is stopping, full, or asked too much."""


#: Which error a status is; any other is ApiError itself.
BY_STATUS: dict[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: KeyReused,
    **dict.fromkeys((408, 425, 429, 502, 503, 504), Unavailable),
}


class HandlerResult(Exception):
    """What a handler wants to become of a delivery that is not done."""


class Retry(HandlerResult):
    """Deliver this event again, on the bus's schedule; with ``after`` the whole subscriber waits so many seconds."""

    def __init__(self, reason: str = "", *, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Reject(HandlerResult):
    """Do not deliver this event again: it becomes a dead letter, with this reason."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class BadBody(Reject, ValueError):
    """A body that cannot be decompressed, or is too large then. From a handler it is a Reject: no retry helps."""
