"""The audit: each change that somebody made, in one line of the log, and to whoever listens."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

#: The name that these lines have in the log: operators filter by it.
LOGGER = "eventbus.web.audit"
#: The actor of what the process does by itself.
SYSTEM = "system"

log = logging.getLogger(LOGGER)


class Changed(StrEnum):
    """What can be changed; the value is the ``event`` of its log line."""

    STARTED = "bus.started"
    REGISTERED = "subscriber.registered"
    TERMS = "subscriber.changed"
    DEREGISTERED = "subscriber.deregistered"
    REPLAYED = "dead_letters.replayed"
    DISCARDED = "dead_letters.discarded"
    REPLAY_STARTED = "replay.started"
    PAUSED = "subscriber.paused"
    RESUMED = "subscriber.resumed"
    RETRIED = "subscriber.retried"
    SKIPPED = "event.skipped"
    CANCELLED = "event.cancelled"
    BACKUP_STARTED = "backup.started"
    BACKUP_ENDED = "backup.ended"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change: ``count`` things of the ``target``, by the ``actor``, and what else is known of who and what.

    ``actor`` is the name of a token, ``anonymous`` for a client without one, or ``system``. No field holds a secret.
    """

    changed: Changed
    target: str
    count: int
    actor: str
    more: Mapping[str, str] = field(default_factory=dict)


#: Called with each change, after it was logged. It must neither block nor raise.
Listener = Callable[[AuditEntry], None]


class Audit:
    """Where every change is noted, and what alone logs them."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with each change from now on."""
        self._listeners.append(listener)

    def note(self, entry: AuditEntry) -> None:
        """Log a change, and tell who listens."""
        who = {"actor": entry.actor, **entry.more}
        fields = {"event": entry.changed.value, "target": entry.target, "count": entry.count, **who}
        details = " ".join(f"{name}={value}" for name, value in who.items())
        log.info("%s: %d, of %s, asked by %s", entry.changed.value, entry.count, entry.target, details, extra=fields)
        for listener in self._listeners:
            listener(entry)
