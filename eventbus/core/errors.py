"""The bus's errors, as one tree.

EventbusError
├── SettingsError               a setting is wrong; the start stops
├── JournalError                the journal cannot be used
│   ├── JournalLocked           another process owns it
│   ├── JournalFull             the disk has no room (507)
│   ├── BacklogFull             the journal's own limit is reached (503)
│   └── JournalUnavailable      it cannot be written now (503)
│       ├── JournalTimeout      it does not answer; the result is unknown (503)
│       ├── StaleEpoch          what was read is outdated: this node lost its subscriptions (503)
│       └── JournalOutOfMemory  its server has no memory left (503)
├── Draining                    the bus shuts down and accepts nothing new (503)
├── TooManyStreams              a limit of connections or of held bytes is reached (503)
├── BadRequest                  a request is invalid (400)
│   ├── BadAddress              an address that is invalid or not allowed
│   └── BadQuery                a query string that cannot be parsed
├── KeyReused                   an idempotency key was used for something else (422; 400 in plain text)
├── NotFound                    the requested thing does not exist (404)
├── NoAccess                    a token is required, or another one
│   ├── Unauthorized            it is missing or unknown (401)
│   └── Forbidden               it has other scopes (403)
├── CrossOrigin                 a page of another origin requests a change (403)
│   └── ForeignHost             a browser uses an unknown host name (403)
├── NotOwner                    another node of the cluster owns the subscription (503)
├── Conflict                    the request contradicts the current state (409)
├── TooMany                     a limit of rate or number is exceeded (429)
├── NoRoom                      the disk has no room for what is requested (507)
├── CallRefused                 a call from another node is invalid; only that node gets it
└── NodeTimeout                 another node does not answer (503)
    └── NotAccepted             it did not accept the call, and never will (503)
"""


class EventbusError(Exception):
    """Base of all errors of the bus; the text is a sentence for the client or the operator."""


class SettingsError(EventbusError):
    """A setting is invalid; the text names it."""


class JournalError(EventbusError):
    """The journal cannot be used."""


class JournalLocked(JournalError):
    """Another process owns this journal."""


class JournalFull(JournalError):
    """The disk is full."""


class BacklogFull(JournalError):
    """The journal has reached ``EVENTBUS_JOURNAL_MAX_BYTES``."""


class JournalUnavailable(JournalError):
    """The journal cannot be read or written now."""


class JournalTimeout(JournalUnavailable):
    """The journal does not answer; whether the last commit succeeded is unknown."""


class StaleEpoch(JournalUnavailable):
    """This node has lost its subscriptions since the state was read that a decision is based on."""

    def __init__(self, text: str = "This node lost its subscriptions to other nodes; try again.") -> None:
        super().__init__(text)


class JournalOutOfMemory(JournalUnavailable):
    """The journal's server is out of memory."""


class Draining(EventbusError):
    """The bus drains and accepts nothing new."""


class TooManyStreams(EventbusError):
    """A limit of long-lived connections, or of held bytes, is reached."""


class BadRequest(EventbusError):
    """A request is invalid."""


class BadAddress(BadRequest):
    """An address is invalid or not allowed; the text is empty if none was given."""


class BadQuery(BadRequest):
    """A query string cannot be parsed."""


class KeyReused(EventbusError):
    """The idempotency key of a publish was used for another topic, order key, expiry or body."""

    def __init__(
        self,
        text: str = "This Idempotency-Key was used for another topic, order key, expiry or body; it was not accepted.",
    ) -> None:
        super().__init__(text)


class NotFound(EventbusError):
    """The requested thing does not exist."""


class NoAccess(EventbusError):
    """A request needs a token, or another one. ``challenge`` is the ``WWW-Authenticate`` header (RFC 6750, 3)."""

    challenge = 'Bearer realm="eventbus"'


class Unauthorized(NoAccess):
    """The token is missing or unknown; ``error`` is RFC 6750's code for the latter."""

    def __init__(self, text: str, *, error: str | None = None) -> None:
        super().__init__(text)
        if error is not None:
            self.challenge = f'{NoAccess.challenge}, error="{error}"'


class Forbidden(NoAccess):
    """The token lacks a scope; ``scope`` is the required one."""

    def __init__(self, text: str, *, scope: str) -> None:
        super().__init__(text)
        self.challenge = f'{NoAccess.challenge}, error="insufficient_scope", scope="{scope}"'


class CrossOrigin(EventbusError):
    """A page of another origin requests a change."""


class ForeignHost(CrossOrigin):
    """A browser uses an unknown host name, which a foreign page may have made resolve to the bus (DNS rebinding)."""


class NotOwner(EventbusError):
    """Another node owns the subscription."""

    def __init__(self, text: str = "Another node acquired this subscription, or it was removed; try again.") -> None:
        super().__init__(text)


class Conflict(EventbusError):
    """A request contradicts the current state."""


class TooMany(EventbusError):
    """A limit of rate or number is exceeded."""


class NoRoom(EventbusError):
    """The disk has no room for what is requested; the journal itself has."""


class NodeTimeout(EventbusError):
    """Another node does not answer; whether it did what was requested is unknown."""


class CallRefused(EventbusError):
    """A call or response between nodes is invalid: it has no valid signature, or is malformed."""


class NotAccepted(NodeTimeout):
    """Another node did not accept a call in time, and the call was withdrawn: it will never be executed."""
