"""A batch: the deliveries that go to a subscriber in one request, and what its answer means for each. Pure."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from eventbus.delivery.lane.companions import Candidates
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.health import Moment
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.outcome import (
    MAX_PAUSE_SECONDS,
    REJECTED,
    RETRY,
    SPLIT,
    AttemptResult,
    DeliveryResponse,
    Verdict,
)

#: Bytes of a reason that are kept.
MAX_REASON_BYTES = 1_024


class InvalidBatchResponse(Exception):
    """The body of a response does not say which events of the batch failed; the text says why."""


class Failure(NamedTuple):
    """What a subscriber says of one event of a batch that it does not take."""

    result: AttemptResult
    reason: bytes = b""

    def of(self, answer: DeliveryResponse) -> DeliveryResponse:
        """Return the response for this event of the batch, whose ``answer`` it is in."""
        what = "rejects" if self.result.verdict is Verdict.REJECTED else "does not take"
        error = f"answered {answer.status} and {what} this event"
        return DeliveryResponse(answer.status, error=error, excerpt=self.reason)


def failures_in(body: bytes, ids: Iterable[tuple[str, ...]]) -> dict[int, Failure]:
    """Return what a response of status 2xx says of the events that failed, by their index in the batch.

    ``ids`` has the ids of each event. A body that is no JSON object, or has no ``failed``, says that none has. Raises
    InvalidBatchResponse for one that cannot be understood, since nothing may be lost.
    """
    if not body.lstrip().startswith(b"{"):
        return {}
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidBatchResponse("the answer to the batch is not JSON, or not whole") from None
    found: dict[int, Failure] = {}
    listed, entries = list(ids), given.get("failed", [])
    if not isinstance(entries, list):
        raise InvalidBatchResponse("the answer to the batch has a failed that is not an array")
    for entry in entries:
        failure = _failure(entry)
        for index in _indices(entry["id"], listed):
            found[index] = failure
    return found


def _failure(entry: Any) -> Failure:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
        raise InvalidBatchResponse("the answer to the batch has a failed event without an id")
    if (reason := entry.get("reject")) is not None:
        return Failure(REJECTED, str(reason).encode(errors="replace")[:MAX_REASON_BYTES])
    wait = entry.get("retry_after")
    if isinstance(wait, int | float) and wait > 0:
        return Failure(AttemptResult(Verdict.RETRY, float(min(MAX_PAUSE_SECONDS, wait))))
    return Failure(RETRY)


def _indices(name: str, ids: Sequence[tuple[str, ...]]) -> list[int]:
    """Return the events with an id: the bus's; where none has it, a CloudEvent's own."""
    found = [index for index, each in enumerate(ids) if each[0] == name]
    found = found or [index for index, each in enumerate(ids) if name in each]
    if not found:
        raise InvalidBatchResponse(f"the answer to the batch names an event that was not in it: {name[:80]!r}")
    return found


class DeliveryBatch:
    """Deliveries of one lane in one request, in order."""

    __slots__ = ("_lane", "deliveries")

    def __init__(self, lane: Lane, first: Delivery) -> None:
        self._lane = lane
        self.deliveries = [first]

    @property
    def attempt(self) -> int:
        """Return the number of the attempt: the highest of the deliveries'."""
        return max([delivery.attempts for delivery in self.deliveries])

    def add(self, candidates: Candidates, count: int, now: float) -> None:
        """Let the first ``count`` of the candidates go along."""
        self.deliveries += self._lane.take_along(self.deliveries[0], candidates, count, now)

    def release(self, due: float) -> None:
        """Let all wait until ``due``, since no attempt was made."""
        first, *companions = self.deliveries
        self._lane.release(first, due)
        for delivery in companions:
            self._lane.release_along(delivery, due)

    def deliver(self, now: float) -> None:
        """Count all as delivered; ``now`` is when the attempt began."""
        first, *companions = self.deliveries
        self._lane.deliver_along(companions)
        self._lane.deliver(first, now)

    def fail(self, result: AttemptResult, answer: DeliveryResponse, moments: Sequence[Moment]) -> AttemptResult:
        """Let all that failed together wait, or make the only one a dead letter; return what the response means.

        ``moments`` has one for each. Those that fail for what may be one event's fault come in half as large a batch
        next, so that it is alone in the end, and keeps no others from being delivered. The halves of a rejected one are
        the same attempt, made again; the last attempt that an event may have is its own.
        """
        first, *companions = self.deliveries
        most = self._lane.subscriber.options.max_attempts
        if companions and most != 1 and result.verdict in (Verdict.REJECTED, Verdict.RETRY):
            result = SPLIT if result.verdict is Verdict.REJECTED else result
            for delivery in self.deliveries:
                delivery.attempts -= result is SPLIT
                is_last = most and delivery.tries + 1 >= most
                delivery.max_batch = 1 if is_last else (len(self.deliveries) + 1) // 2
        self._lane.fail(first, result, answer, moments[0])
        wait = first.due - moments[0].now
        for delivery, moment in zip(companions, moments[1:], strict=True):
            self._lane.fail_along(delivery, result, answer, moment, wait=wait if wait > 0 else None)
        return result

    def settle(self, failures: dict[int, Failure], answer: DeliveryResponse, moments: Sequence[Moment]) -> None:
        """Count those as delivered that the subscriber has taken, and let the others fail, each by itself."""
        order = sorted(range(len(self.deliveries)), key=lambda index: index in failures)
        self._lane.deliver_along([self.deliveries[index] for index in order[1:] if index not in failures])
        stands = order[0]
        delivery = self.deliveries[stands]
        if stands not in failures:
            self._lane.deliver(delivery, delivery.began)
        else:
            self._lane.fail(delivery, failures[stands].result, failures[stands].of(answer), moments[stands])
        for index in order[1:]:
            if index in failures:
                self._fail_alone(self.deliveries[index], failures[index], answer, moments[index])

    def _fail_alone(self, delivery: Delivery, failure: Failure, answer: DeliveryResponse, moment: Moment) -> None:
        """Let a companion fail by itself. One behind another that failed was not attempted, and waits for that."""
        if failure.result.verdict is Verdict.RETRY and self._lane.retries.is_behind(delivery):
            self._lane.release_along(delivery, moment.now)
        else:
            self._lane.fail_along(delivery, failure.result, failure.of(answer), moment)
