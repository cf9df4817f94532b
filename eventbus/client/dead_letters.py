"""Dead letters as the client returns them, and what an operator does with them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

from eventbus.client.calls import Call, Caller
from eventbus.client.parameters import given, selection
from eventbus.client.parsing import parse_as


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A dead letter; ``event`` is the event's id, ``last_answer`` the start of the last response.

    ``subscriber`` is an address, with a ``path`` where it was registered with one, or the name of the ``group``.
    """

    id: int
    event: str
    topic: str | None
    subscriber: str
    reason: str
    attempts: int
    first_attempt_at: datetime | None
    last_attempt_at: datetime
    last_status: int | None
    last_error: str | None
    last_answer: bytes = field(default=b"")
    path: str | None = None
    group: str | None = None
    key: str | None = None  # the event's order key
    body_given_up: bool = False  # its event's body is gone: it can be discarded, not replayed


class Replayed(int):
    """How many dead letters were put back; ``Bus.replay_outcome`` takes ``replay`` and returns what became of them."""

    replay: str | None  # None where there were none
    expired: int  # how many were left, since their events had expired: each is put back by its id alone

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Self:
        """Parse a response; a bus of an older version gives no ``replay``."""
        made = cls(payload["replayed"])
        made.replay = payload.get("replay")
        made.expired = payload.get("expired", 0)
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOutcome:
    """What became of the ``replayed`` dead letters that were put back together at a time."""

    replay: str
    at: datetime
    replayed: int
    delivered: int
    dead_again: int
    discarded: int
    filtered: int = 0  # an older bus does not say
    pending: int


class DeadLetterCalls:
    """Lists, replays and discards dead letters. Each method raises BusError."""

    _caller: Caller

    def dead_letters(
        self, *, address: str | None = None, path: str | None = None, group: str | None = None
    ) -> Iterator[DeadLetter]:
        """Yield dead letters, one subscriber's or all, the oldest first. They are requested page by page."""
        chosen = given(address=address, path=path, group=group)
        found = self._caller.listed("/deadLetters", "dead_letters", chosen, after="0")
        return (parse_as(DeadLetter, one) for one in found)

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
        count these dead letters with it. Events that have expired are left, and counted as its ``expired``: each is put
        back by its ``letter`` alone, and attempted then.
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
