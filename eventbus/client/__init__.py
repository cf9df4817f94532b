"""The bus from Python: ``Bus`` for publishers and operators, ``Inbox`` for subscribers.

Needs only the standard library, and the pure modules of ``eventbus.core`` that it shares with the server.
"""

from eventbus.client.aio import AsyncBus
from eventbus.client.attempts import Attempt
from eventbus.client.bus import Bus
from eventbus.client.calls import NO_RETRY, Backoff
from eventbus.client.dead_letters import DeadLetter, Replayed, ReplayOutcome
from eventbus.client.dispatch import InboxResponse
from eventbus.client.errors import (
    ApiError,
    BadBody,
    BadSignature,
    BadTime,
    BusError,
    Conflict,
    Forbidden,
    HandlerResult,
    HeadersNotSigned,
    KeyReused,
    NotFound,
    ProtocolError,
    Reject,
    Retry,
    TooLarge,
    Unauthorized,
    Unavailable,
    Unreachable,
    UsageError,
)
from eventbus.client.events import Feed
from eventbus.client.inbox import Inbox
from eventbus.client.keep_alive import Registration, State
from eventbus.client.model import Delivery, Event, Fate, Published, PublishedMany, Retried, Skipped
from eventbus.client.seen import EventStatus, Memory, Seen
from eventbus.client.server import Server, serve
from eventbus.client.signatures import Verifier
from eventbus.client.subscribers import (
    DryRun,
    Group,
    HeldKey,
    Member,
    PastEvent,
    Pause,
    Subscriber,
    SubscriberList,
    Terms,
)

__all__ = [
    "NO_RETRY",
    "ApiError",
    "AsyncBus",
    "Attempt",
    "Backoff",
    "BadBody",
    "BadSignature",
    "BadTime",
    "Bus",
    "BusError",
    "Conflict",
    "DeadLetter",
    "Delivery",
    "DryRun",
    "Event",
    "EventStatus",
    "Fate",
    "Feed",
    "Forbidden",
    "Group",
    "HandlerResult",
    "HeadersNotSigned",
    "HeldKey",
    "Inbox",
    "InboxResponse",
    "KeyReused",
    "Member",
    "Memory",
    "NotFound",
    "PastEvent",
    "Pause",
    "ProtocolError",
    "Published",
    "PublishedMany",
    "Registration",
    "Reject",
    "ReplayOutcome",
    "Replayed",
    "Retried",
    "Retry",
    "Seen",
    "Server",
    "Skipped",
    "State",
    "Subscriber",
    "SubscriberList",
    "Terms",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "UsageError",
    "Verifier",
    "serve",
]
