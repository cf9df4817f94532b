"""What an operator does with dead letters."""

from collections.abc import Iterator
from urllib.parse import quote

from eventbus.client.calls import Call, Caller
from eventbus.client.model import DeadLetter, Replayed, ReplayOutcome
from eventbus.client.parameters import given, selection
from eventbus.client.parsing import parse_as

#: Dead letters that are requested at once.
PAGE_LIMIT = 200


class DeadLetterCalls:
    """Lists, replays and discards dead letters. Each method raises BusError."""

    _caller: Caller

    def dead_letters(
        self, *, address: str | None = None, path: str | None = None, group: str | None = None
    ) -> Iterator[DeadLetter]:
        """Yield dead letters, one subscriber's or all, the oldest first. They are requested page by page."""
        chosen, after = given(address=address, path=path, group=group), 0
        while after is not None:
            query = [*chosen, ("after", str(after)), ("limit", str(PAGE_LIMIT))]
            payload = self._caller.json(Call(method="GET", path="/deadLetters", query=query))
            yield from (parse_as(DeadLetter, one) for one in payload["dead_letters"])
            after = payload["next"]

    def replay_dead_letters(
        self,
        *,
        address: str | None = None,
        path: str | None = None,
        group: str | None = None,
        letter: int | None = None,
        everything: bool = False,
        replay: str | None = None,
    ) -> Replayed:
        """Put dead letters back into the backlog: one subscriber's, one by its id, or everything. Return how many.

        The result's ``replay`` is an id for ``replay_outcome``. Give the id of an earlier replay as ``replay`` to
        count these dead letters with it.
        """
        chosen = selection(address=address, path=path, group=group, letter=letter, everything=everything)
        chosen += given(replay=replay)
        return Replayed.of(self._caller.json(Call(method="POST", path="/deadLetters/replay", query=chosen)))

    def replay_outcome(self, replay: str) -> ReplayOutcome:
        """Return what became of dead letters that were put back. Raises NotFound."""
        path = f"/deadLetters/replays/{quote(replay, safe='')}"
        return parse_as(ReplayOutcome, self._caller.json(Call(method="GET", path=path)))

    def discard(
        self,
        *,
        address: str | None = None,
        path: str | None = None,
        group: str | None = None,
        letter: int | None = None,
        everything: bool = False,
    ) -> int:
        """Discard dead letters for good, chosen as in ``replay_dead_letters``. Return how many."""
        chosen = selection(address=address, path=path, group=group, letter=letter, everything=everything)
        return int(self._caller.json(Call(method="DELETE", path="/deadLetters", query=chosen))["discarded"])
