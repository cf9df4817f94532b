"""Events that are published for later: when each is due, and how what has come compares with that."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from eventbus.core.clock import rfc3339_ms, seconds_of
from tests.support.caller import JSON, Caller
from tests.support.kept_caller import kept_caller
from tests.support.subscriber import RecordingSubscriber

#: Seconds that one publish takes, on a busy machine.
PUBLISH_SECONDS = 0.02
#: Seconds by which an event may come before it is due.
EARLY = 0.01


@dataclass(slots=True)
class Scheduled:
    """The ids of scheduled events and when each is due, in seconds since 1970 by the true clock."""

    due: dict[str, float] = field(default_factory=dict)

    def publish(self, port: int, count: int, seconds: float, group: int = 5) -> None:
        """Publish so many events, ``group`` of which are due at each moment, evenly over so many seconds.

        The first ones are due when all are published, on a machine that is not much too busy.
        """
        body = b"\n".join(b"%d" % number for number in range(group))
        start = time.time() + 0.5 + PUBLISH_SECONDS * count / group
        with kept_caller(port) as caller:
            for number in range(count // group):
                due_at = start + seconds * number * group / count
                target = f"/sendMessage?batch=lines&deliver_at={rfc3339_ms(due_at)}"
                told = caller.call("POST", target, [JSON], body).json()
                due = seconds_of(told["scheduled_for"]) if told["scheduled_for"] else time.time()
                self.due |= dict.fromkeys(told["ids"], due)

    def lateness(self, subscriber: RecordingSubscriber) -> list[float]:
        """By how many seconds each event came after it was due for the first time, in order; below 0 is early."""
        ahead = _wall_ahead()
        first: dict[str, float] = {}
        for request in subscriber.received:
            first.setdefault(request.id, request.at + ahead)
        return sorted(at - self.due[event_id] for event_id, at in first.items() if event_id in self.due)


def _wall_ahead() -> float:
    """Return by how many seconds the wall clock is ahead of the monotonic one, read where nothing came in between."""
    pairs = ((time.monotonic(), time.time(), time.monotonic()) for _ in range(1_000))
    before, wall, _ = min(pairs, key=lambda each: each[2] - each[0])
    return wall - before


def journal_ids(caller: Caller) -> list[str]:
    """The ids of all events, in the journal's order."""
    return list(_pages(lambda after: caller.call("GET", f"/events?limit=1000{after}", [JSON]).json(), stops=False))


def scheduled_ids(caller: Caller) -> list[str]:
    """The ids of all scheduled events, by due time."""
    return list(_pages(lambda after: caller.call("GET", f"/events?scheduled=true{after}", [JSON]).json(), stops=True))


def _pages(read: Callable[[str], dict], *, stops: bool) -> Iterable[str]:  # type: ignore[type-arg]
    after = ""
    while (page := read(after))["events"]:
        yield from (event["id"] for event in page["events"])
        if stops and page["next"] is None:
            return
        after = f"&after={page['next']}"
