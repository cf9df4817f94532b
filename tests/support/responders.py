"""How subscribers answer: always the same, as they are told, or failing now and then."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from gevent.event import Event

from tests.support.subscriber import Answer, Received, Respond


def always(status: int, body: bytes = b"") -> Respond:
    """Answers every request with this."""
    return lambda _: (status, (), body)


@dataclass(slots=True)
class Switch:
    """Answers with a status that may be changed at any time."""

    status: int = 200
    body: bytes = b""

    def __call__(self, _: Received) -> Answer:
        """Answer as things are."""
        return self.status, (), self.body


class Gate:
    """Holds every answer back until it is opened."""

    def __init__(self) -> None:
        self._open = Event()

    def __call__(self, _: Received) -> Answer:
        """Answer once the gate is open."""
        self._open.wait()
        return 200, (), b""

    def open(self) -> None:
        """Let all answers go."""
        self._open.set()


@dataclass(slots=True)
class FailsOnce:
    """Every third event fails once with 500, and is taken when it comes again."""

    seen: Counter[str] = field(default_factory=Counter)  # event id -> times it came
    taken: list[str] = field(default_factory=list)  # ids in the order they were answered 200

    def __call__(self, request: Received) -> Answer:
        """Answer by how often the event has come."""
        self.seen[request.id] += 1
        if self.seen[request.id] == 1 and len(self.seen) % 3 == 0:
            return 500, (), b"once more"
        self.taken.append(request.id)
        return 200, (), b""


def failing(share: float, rng: Random) -> Respond:
    """Answers this share of all requests with 500."""
    return lambda _: (500 if rng.random() < share else 200, (), b"")
