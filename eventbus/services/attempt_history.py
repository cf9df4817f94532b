"""The newest attempts of this node, chosen by subscription, address, event and how they ended."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from eventbus.core.errors import BadRequest
from eventbus.delivery.attempts import OUTCOMES
from eventbus.delivery.lane.outcome import Verdict
from eventbus.services.node import Node
from eventbus.telemetry.attempt_ring import Attempt

#: What ``status`` may be beside a status: a hundred of them, no response, or how the attempt ended.
NO_RESPONSE, DELIVERED, FAILED = "none", "delivered", "failed"
_STATUS = re.compile(r"[1-5](?:[0-9]{2}|xx)\Z")


@dataclass(frozen=True, slots=True)
class ChosenAttempts:
    """Which attempts are asked for: all, or those that are of a subscription, went to an address, and so on."""

    subscription: str | None = None  # its key
    target: str | None = None  # the key of the address, which may be a member's
    event_id: str | None = None
    status: str | None = None  # as ``check_status`` allows

    def include(self, attempt: Attempt) -> bool:
        """Return whether an attempt is one of them."""
        return (
            self.subscription in (None, attempt.subscription)
            and self.target in (None, attempt.target)
            and (self.status is None or _ended_so(self.status, attempt))
        )


def check_status(text: str) -> str:
    """Return how attempts that are asked for ended. Raises BadRequest."""
    if text not in (NO_RESPONSE, DELIVERED, FAILED) and not _STATUS.match(text):
        raise BadRequest(f"status must be a status such as 503 or 5xx, none, delivered or failed, not {text[:40]!r}.")
    return text


def outcome_of(attempt: Attempt) -> Verdict:
    """Return what the attempt's response meant."""
    return OUTCOMES[attempt.outcome]


def _ended_so(status: str, attempt: Attempt) -> bool:
    if status in (DELIVERED, FAILED):
        return (outcome_of(attempt) is Verdict.DELIVERED) is (status == DELIVERED)
    if attempt.status is None or status == NO_RESPONSE:
        return attempt.status is None and status == NO_RESPONSE
    return str(attempt.status) == status or f"{attempt.status // 100}xx" == status


class AttemptHistory:
    """Finds attempts that have ended in this process; a restart forgets them."""

    def __init__(self, node: Node) -> None:
        self._ring = node.dispatcher.newest_attempts
        self._give_way = node.dispatcher.load.give_way

    def page(self, chosen: ChosenAttempts, before: int | None, limit: int) -> list[Attempt]:
        """Return up to ``limit`` of the chosen attempts, the newest first, of those before a number."""
        return list(islice(self._chosen(chosen, before), limit))

    def _chosen(self, chosen: ChosenAttempts, before: int | None) -> Iterator[Attempt]:
        if chosen.event_id is None:
            found: Iterator[Attempt] = self._ring.newest(before, self._give_way, chosen.subscription, chosen.target)
        else:
            of_event = reversed(self._ring.of_event(chosen.event_id, self._give_way))
            found = (each for each in of_event if before is None or each.number < before)
        return filter(chosen.include, found)

    def of_event(self, event_id: str) -> dict[str, list[Attempt]]:
        """Return the attempts for one event, by the key of the subscription, the oldest first."""
        found: dict[str, list[Attempt]] = {}
        for attempt in self._ring.of_event(event_id, self._give_way):
            found.setdefault(attempt.subscription, []).append(attempt)
        return found
