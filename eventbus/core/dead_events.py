"""What is published for a dead letter: its event again, with headers that say why and of whom. Pure."""

import re

from eventbus.core.headers import DEAD_EVENT_HEADER
from eventbus.core.model import Event, Message, Options
from eventbus.core.topics import matches

REASON_HEADER, SUBSCRIBER_HEADER = "Eventbus-Dead-Reason", "Eventbus-Dead-Subscriber"
EVENT_HEADER, TOPIC_HEADER = DEAD_EVENT_HEADER, "Eventbus-Dead-Topic"
#: In the order in which they are sent.
DEAD_HEADERS = (REASON_HEADER, SUBSCRIBER_HEADER, EVENT_HEADER, TOPIC_HEADER)
#: Characters of a value, at most.
MAX_VALUE_LENGTH = 1_500
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")


def own_topic_warning(options: Options) -> str | None:
    """Return what may not be meant where a subscription's dead letters are published under a topic that it gets."""
    if not options.dead_to or not matches(options.topics, options.dead_to):
        return None
    return f"dead_to={options.dead_to} matches its own topics: the event of each of its dead letters comes to it again."


def dead_message(event: Event, topic: str, reason: str, key: str, event_id: str, now: float) -> Message:
    """Return what is published under ``topic`` for an event that is dead in the subscription with this key.

    Body, kept headers and order key are the event's; ``event_id`` is the new id, ``now`` in seconds since 1970.
    """
    values = (reason, key, event.id, event.topic)
    lines = [f"{name}: {_printable(value)}\r\n" for name, value in zip(DEAD_HEADERS, values, strict=True) if value]
    return Message(event_id, topic, event.head + "".join(lines).encode("ascii"), event.body, now, event.key)


def _printable(value: str) -> str:
    """Return a text as a header's value."""
    return _NOT_PRINTABLE.sub("?", value[:MAX_VALUE_LENGTH])
