"""What an operator does to the deliveries of one subscription, and to the bus."""

from datetime import datetime

from eventbus.client.calls import Call, Caller
from eventbus.client.http import Stream
from eventbus.client.model import Retried, Skipped
from eventbus.client.parameters import given, subscription
from eventbus.client.parsing import parse_as

#: Seconds that the bus may take to copy its journal, before it sends the first byte.
COPY_SECONDS = 3_600.0


class Control:
    """Pauses, resumes, retries, skips and backs up. Each method raises BusError.

    All but the backup are about an address or a group. An address that was registered with a ``path`` is named by both.
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

    def backup(self) -> Stream:
        """Have the bus copy its journal, and return the copy as a stream, which the caller closes.

        Its response has ``content-length``, ``eventbus-last-sequence`` and ``eventbus-rows``. Raises ApiError where the
        bus keeps its journal on Redis (409), makes another backup (429), or has no room for the copy (507).
        """
        call = Call(method="GET", path="/backup", headers={"Accept": "application/json, */*;q=0.5"})
        return self._caller.stream(call, timeout=COPY_SECONDS)
