"""Batches of one lane for tests of rules: what is taken together, and what it may be answered."""

from eventbus.delivery.lane.batch import DeliveryBatch, Failure
from eventbus.delivery.lane.health import Moment
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.outcome import DeliveryResponse, Verdict, classify_response
from tests.support.lanes import EPOCH


def take_batch(lane: Lane, now: float, most: int = 100) -> DeliveryBatch | None:
    """Start a batch of so many events at most."""
    first = lane.take(now)
    if first is None:
        return None
    batch = DeliveryBatch(lane, first)
    while (left := min(most, first.max_batch) - len(batch.deliveries)) > 0:
        found = lane.candidates(batch.deliveries[-1], now, len(batch.deliveries), left)
        if found is None or not lane.suits(first, None):
            break
        batch.add(found, len(found.seqs), now)
    return batch


def take_batches(lane: Lane, now: float, most: int = 100) -> list[DeliveryBatch]:
    """Start all batches that may start now."""
    taken = []
    while (batch := take_batch(lane, now, most)) is not None:
        taken.append(batch)
    return taken


def numbers_of(batch: DeliveryBatch | None) -> list[int]:
    """The sequence numbers of a batch's events."""
    return [] if batch is None else [delivery.seq for delivery in batch.deliveries]


def moments(batch: DeliveryBatch, now: float, waited: float = 0.0) -> list[Moment]:
    """A moment for each delivery."""
    return [Moment(now, EPOCH + now, waited) for _ in batch.deliveries]


def answer_batch(batch: DeliveryBatch, response: DeliveryResponse, now: float, waited: float = 0.0) -> None:
    """Settle a batch by what was answered."""
    result = classify_response(response, EPOCH + now)
    if result.verdict is Verdict.DELIVERED:
        batch.deliver(batch.deliveries[0].began)
    else:
        batch.fail(result, response, moments(batch, now, waited))


def answer_each(batch: DeliveryBatch, failed: dict[int, Failure], now: float, waited: float = 0.0) -> None:
    """Settle a batch of which some events failed, by their index."""
    batch.settle(failed, DeliveryResponse(200), moments(batch, now, waited))


def send(lane: Lane, response: DeliveryResponse, now: float, most: int = 100) -> list[int]:
    """Make one attempt with a batch that is answered at once; the numbers of its events."""
    batch = take_batch(lane, now, most)
    if batch is not None:
        answer_batch(batch, response, now)
    return numbers_of(batch)
