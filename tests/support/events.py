"""Messages and events for tests of what keeps and carries them."""

from eventbus.core.model import Event, Message
from tests.support.lanes import EPOCH


def message(
    event_id: str,
    body: bytes = b"{}",
    *,
    topic: str | None = None,
    head: bytes = b"",
    at: float = EPOCH,
    key: str = "",
) -> Message:
    """A message as a publisher sent it."""
    return Message(event_id, topic, head, body, at, key)


def event(seq: int = 1, body: bytes = b"{}", *, topic: str | None = None, head: bytes = b"", key: str = "") -> Event:
    """An event with its number in its id."""
    return Event(seq, f"id-{seq}", topic, head, body, EPOCH, key)
