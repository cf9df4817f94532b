"""What can go wrong, as one tree.

EventbusError
├── SettingsError               a setting is wrong; the start stops
├── JournalError                the journal cannot be used
│   ├── JournalLocked           another process owns it
│   ├── JournalFull             the disk has no room (507)
│   ├── BacklogFull             the journal's own limit is reached (503)
│   └── JournalUnavailable      it cannot be written just now (503)
│       ├── JournalTimeout      it does not answer, and nobody knows what it did (503)
│       ├── StaleEpoch          what was read does not count any more: this node lost its subscriptions since (503)
│       └── JournalOutOfMemory  its server has no memory left (503)
├── Draining                    the bus is stopping and accepts nothing new (503)
├── TooManyStreams              as many long-lived connections are open as are allowed (503)
├── BadRequest                  a request says something that cannot be done (400)
│   ├── BadAddress              an address that cannot be delivered to
│   └── BadQuery                a query string that does not parse
├── KeyReused                   an idempotency key that was used for something else (422; 400 in plain text)
├── NotFound                    what was asked for does not exist (404)
├── NoAccess                    a token is needed, or another one
│   ├── Unauthorized            there is none, or it is not known (401)
│   └── Forbidden               it is known, and may do other things (403)
├── CrossOrigin                 a page from another origin wants to change something (403)
│   └── ForeignHost             a browser asks for the bus by a name that it does not know (403)
├── NotOwner                    another node of the cluster owns the subscription (503)
├── Conflict                    what was asked for contradicts what is there (409)
├── TooMany                     a limit on how much may be asked for at once (429)
├── CallRefused                 a call from another node that does not count; only that node is told
└── NodeTimeout                 another node was asked, and does not answer (503)
    └── NotAccepted             the node did not accept the call, and never will (503)
"""


class EventbusError(Exception):
    """Base of every error that the bus raises on purpose; its text is a sentence for people."""


class SettingsError(EventbusError):
    """A setting is wrong; the text names it."""


class JournalError(EventbusError):
    """The journal cannot be used."""


class JournalLocked(JournalError):
    """Another process owns this journal."""


class JournalFull(JournalError):
    """The disk has no room for more."""


class BacklogFull(JournalError):
    """The journal has reached ``EVENTBUS_JOURNAL_MAX_BYTES`` with events that are pending, or not removed yet."""


class JournalUnavailable(JournalError):
    """The journal cannot be written just now."""


class JournalTimeout(JournalUnavailable):
    """The journal does not answer; what became of the last commit is not known."""


class StaleEpoch(JournalUnavailable):
    """This node has lost all its subscriptions since what a decision is based on was read."""

    def __init__(self, text: str = "This node lost its subscriptions to other nodes meanwhile; ask again.") -> None:
        super().__init__(text)


class JournalOutOfMemory(JournalUnavailable):
    """The journal's server has no memory left for more events."""


class Draining(EventbusError):
    """The bus is stopping and accepts nothing new."""


class TooManyStreams(EventbusError):
    """There are as many streams and long polls as there may be."""


class BadRequest(EventbusError):
    """A request says something that cannot be done."""


class BadAddress(BadRequest):
    """An address that cannot be, or may not be, delivered to; empty text when none was given."""


class BadQuery(BadRequest):
    """A query string that does not parse."""


class KeyReused(EventbusError):
    """The idempotency key of a publish was used for another topic or body."""

    def __init__(
        self, said: str = "This Idempotency-Key was used for another topic or body; nothing of this was kept."
    ) -> None:
        super().__init__(said)


class NotFound(EventbusError):
    """What was asked for is not there."""


class NoAccess(EventbusError):
    """A request needs a token, or another one. ``challenge`` is what ``WWW-Authenticate`` says (RFC 6750, 3)."""

    challenge = 'Bearer realm="eventbus"'


class Unauthorized(NoAccess):
    """No token, or one that is not known; ``error`` is RFC 6750's word for the latter."""

    def __init__(self, text: str, *, error: str | None = None) -> None:
        super().__init__(text)
        if error is not None:
            self.challenge = f'{NoAccess.challenge}, error="{error}"'


class Forbidden(NoAccess):
    """The token may do other things; ``scope`` is what would be needed."""

    def __init__(self, text: str, *, scope: str) -> None:
        super().__init__(text)
        self.challenge = f'{NoAccess.challenge}, error="insufficient_scope", scope="{scope}"'


class CrossOrigin(EventbusError):
    """A page that somebody else served wants to change something, in a browser that may come where it may not."""


class ForeignHost(CrossOrigin):
    """A browser asks for the bus by a name that may be somebody else's, which leads here to read as if it were here."""


class NotOwner(EventbusError):
    """Another of the buses that share the journal has the subscriber that is meant."""

    def __init__(self, said: str = "This subscriber went to another bus, or ended, in this moment; ask again.") -> None:
        super().__init__(said)


class Conflict(EventbusError):
    """What was asked for contradicts what is there."""


class TooMany(EventbusError):
    """More was asked for at once than the bus allows."""


class NodeTimeout(EventbusError):
    """Another node of the bus was asked, and does not answer; whether it did what it was asked is not known."""


class CallRefused(EventbusError):
    """What came from another node, or says so, does not count: it is not signed, or not as it has to be."""


class NotAccepted(NodeTimeout):
    """Another node did not take what it was asked, which was taken back: nothing of it was done, or will be."""
