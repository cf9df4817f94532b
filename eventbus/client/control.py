"""What an operator does to the deliveries of one subscription."""

from datetime import datetime

from eventbus.client.calls import Call, Caller
from eventbus.client.model import Retried, Skipped
from eventbus.client.parameters import given, subscription
from eventbus.client.parsing import parse_as


class Control:
    """Pauses, resumes, retries and skips. Each method is about an address or a group, and raises BusError.

    An address that was registered with a ``path`` is named by both.
    """

    _caller: Caller

    def pause(
        self,
        address: str | None = None,
        *,
        path: str | None = None,
        group: str | None = None,
        until: datetime | None = None,
    ) -> None:
        """Begin no further attempt at a subscriber, a group, or a member by its address.

        Without ``until``, at most 366 days ahead, the pause lasts until ``resume``.
        """
        query = [*subscription(address, path, group), *given(until=until)]
        self._caller.json(Call(method="POST", path="/pause", query=query))

    def resume(self, address: str | None = None, *, path: str | None = None, group: str | None = None) -> bool:
        """End a pause; return whether there was one."""
        return bool(
            self._caller.json(Call(method="POST", path="/resume", query=subscription(address, path, group)))["resumed"]
        )

    def retry(self, address: str | None = None, *, path: str | None = None, group: str | None = None) -> Retried:
        """Have all attempted at once that waits for its backoff. Return how many deliveries wait, and the state."""
        query = subscription(address, path, group)
        return parse_as(Retried, self._caller.json(Call(method="POST", path="/retry", query=query)))

    def skip(
        self, event_id: str, address: str | None = None, *, path: str | None = None, group: str | None = None
    ) -> Skipped:
        """Make the pending deliveries of an event dead letters. Raises NotFound where it is not pending.

        Not repeated when its answer is lost: the event would not be pending any more.
        """
        query = [*subscription(address, path, group), ("id", event_id)]
        return parse_as(Skipped, self._caller.json(Call(method="POST", path="/skip", query=query, repeatable=False)))
