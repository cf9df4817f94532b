"""The errors of the client, as one tree; and what a handler may raise beside errors, as another.

BusError
├── UsageError             the call cannot be sent; nothing was
│   └── BadTime            when an event is due is given wrongly (a ValueError, too)
├── Unreachable            no response came, for as long as was tried
├── ProtocolError          not the response of a bus: the URL leads elsewhere
├── BadSignature           a delivery that is not the bus's, or is too old
│   └── HeadersNotSigned   its body is signed, its topic and headers are not
└── ApiError               the bus refused: ``status`` and ``detail``
    ├── Unauthorized       a token is needed, or this one is unknown (401)
    ├── Forbidden          the token has other permissions (403)
    ├── NotFound           the thing does not exist (404)
    ├── Conflict           the call contradicts the present state (409)
    ├── KeyReused          an idempotency key was used for another topic, order key, expiry or body (422)
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
    """The call cannot be sent, and nothing was."""


class BadTime(UsageError, ValueError):
    """``delay`` or ``deliver_at`` is no time at which an event may be due."""


class Unreachable(BusError):
    """No response came. ``sent`` says whether the bus may have received the request."""

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


class ProtocolError(BusError):
    """The response is not one that a bus gives: the URL leads elsewhere."""


class BadSignature(BusError):
    """A delivery without a good signature, or with a timestamp that is too far off."""


class HeadersNotSigned(BadSignature):
    """A delivery whose body is signed, but not its topic, though it has to be."""


class ApiError(BusError):
    """The bus refused. ``status`` is HTTP's, ``detail`` the reason, ``retry_after`` the seconds to wait, if given."""

    def __init__(self, status: int, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{detail or 'The bus gave no reason.'} (status {status})")
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


class Unauthorized(ApiError):
    """A token is needed, or this one is unknown."""


class Forbidden(ApiError):
    """The token has other permissions."""


class NotFound(ApiError):
    """The thing does not exist."""


class Conflict(ApiError):
    """The call contradicts the present state."""


class KeyReused(ApiError):
    """The idempotency key was used for another topic, order key, expiry or body. Nothing was kept.

    A retry does not help.
    """


class TooLarge(ApiError):
    """An event or a batch is over the bus's limits."""


class Unavailable(ApiError):
    """Not now: the bus is draining or full, or was called too often."""


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
    """What a handler raises, or returns, if the delivery is not done."""


class Retry(HandlerResult):
    """Deliver this event again, on the bus's schedule; with ``after`` the subscription waits so many seconds."""

    def __init__(self, reason: str = "", *, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Reject(HandlerResult):
    """Do not deliver this event again: dead-letter it, with this reason."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class BadBody(Reject, ValueError):
    """A body that cannot be decompressed, or is too large when it is. A handler that raises it rejects the event."""
