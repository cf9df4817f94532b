"""The order of a batch: which of its events wait for an earlier one that failed. Pure."""

from eventbus.client.dispatch import InboxResponse, text_response
from eventbus.client.model import Event
from eventbus.core.ordering import BY_KEY

WAITING = text_response(503, "an earlier event failed, which goes first")
#: Statuses after which the next event in order may be handled: it is done, or a dead letter.
_SETTLED_STATUSES = (200, 422)


class BatchOrder:
    """Stops the events of a batch at one that failed: those with its key, or all, as the subscription is ordered."""

    def __init__(self, ordered: bool | str) -> None:  # noqa: FBT001 - it is an option's value
        self.ordered = ordered
        self._stopped: set[str] = set()

    def note(self, event: Event, response: InboxResponse) -> None:
        """Note the response to an event."""
        scope = self._scope(event)
        if scope is not None and response.status not in _SETTLED_STATUSES:
            self._stopped.add(scope)

    def stops(self, event: Event) -> bool:
        """Return whether an event has to wait."""
        return self._scope(event) in self._stopped

    def _scope(self, event: Event) -> str | None:
        """Return what the events in order with this one have in common; None if there are none."""
        return event.key if self.ordered == BY_KEY else "" if self.ordered else None
