"""Order by key, through any history: one delivery of a key at a time, and each key's events in their order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from eventbus.core.ordering import BY_KEY
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.keyed_retries import KeyedRetries
from eventbus.delivery.lane.outcome import DeliveryResponse
from tests.unit.test_lane_account import LIMITS, LaneAccount


class KeyedOrder(LaneAccount):
    """A lane that is ordered by key from its first event to the last."""

    ordered = BY_KEY

    @precondition(lambda self: not self.lane.closed)
    @rule(topics=st.sampled_from([(), ("a",), ("b",)]))
    def renew(self, topics: tuple[str, ...]) -> None:  # type: ignore[override] # the order stays
        super().renew(topics, BY_KEY)

    def _key_of(self, seq: int) -> str:
        return self.journal.events[seq - 1].key

    def _settle(self, delivery: Delivery, response: DeliveryResponse) -> None:
        """An event is settled only after all that came before it with its key, in the same run."""
        ticket, key = (delivery.seq, delivery.replay_id), self._key_of(delivery.seq)
        before = len(self.settled)
        super()._settle(delivery, response)
        if key and len(self.settled) > before:
            earlier = {
                (seq, run)
                for seq, run in self.accepted
                if run == ticket[1] and seq < ticket[0] and self._key_of(seq) == key
            }
            assert earlier <= set(self.settled) | self.discarded

    @invariant()
    def one_delivery_of_a_key_is_in_flight(self) -> None:
        """Of two attempts in flight no two have the same key."""
        keys = [key for delivery in self.lane.in_flight if (key := self._key_of(delivery.seq))]
        assert len(keys) == len(set(keys))

    @invariant()
    def keys_in_memory_are_bounded(self) -> None:
        """However many keys wait, memory holds a few of them, and a few of the events behind them."""
        retries = self.lane.retries
        assert isinstance(retries, KeyedRetries)
        waiting = [one for queue in retries.queues.values() for one in queue.waiting]
        assert sum(one.kept for one in waiting) <= LIMITS.retries + LIMITS.key_rows
        assert sum(not one.kept for one in waiting) <= LIMITS.waiting_events


def test_each_key_is_in_order_through_any_history() -> None:
    """Through failures, pauses, replays, changes of topics, crashes and full memory, a key's events come in order."""
    run_state_machine_as_test(KeyedOrder, settings=settings(max_examples=150, stateful_step_count=60))
