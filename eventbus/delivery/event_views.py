"""What filters see of events, read once for all subscribers. Bounded in bytes."""

from collections import OrderedDict

from eventbus.core.event_view import EventView
from eventbus.core.model import Event

#: Bytes of the events whose views are kept; a body that was parsed takes up to 25 times as much.
MAX_VIEW_BYTES = 1_048_576
#: Bytes that a view costs beside its event's body and headers, about.
OVERHEAD = 600


class EventViews:
    """Views of the events that lanes with filters looked at last."""

    def __init__(self, max_bytes: int = MAX_VIEW_BYTES) -> None:
        self._views: OrderedDict[int, tuple[Event, EventView]] = OrderedDict()
        self._free_bytes = max_bytes

    def of(self, event: Event) -> EventView:
        """Return an event's view."""
        kept = self._views.get(id(event))  # unique while it is kept
        if kept is not None:
            return kept[1]
        view = EventView(event)
        self._views[id(event)] = event, view
        self._free_bytes -= _size(event)
        while self._free_bytes < 0 and len(self._views) > 1:
            oldest, _ = self._views.popitem(last=False)[1]
            self._free_bytes += _size(oldest)
        return view


def _size(event: Event) -> int:
    return len(event.body) + len(event.head) + OVERHEAD
