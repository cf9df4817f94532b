"""Order by key, through any history: one delivery of a key at a time, and each key's events in their order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from eventbus.core.ordering import BY_KEY
from eventbus.delivery.lane.keyed_retries import KeyedRetries
from tests.unit.test_lane_account import LIMITS, LaneAccount, Ticket


class KeyedOrder(LaneAccount):
    """A lane that is ordered by key from its first event to the last."""

    ordered = BY_KEY

    @precondition(lambda self: not self.lane.closed)
    @rule(topics=st.sampled_from([(), ("a",), ("b",)]))
    def renew(self, topics: tuple[str, ...]) -> None:  # type: ignore[override] # the order stays
        super().renew(topics, BY_KEY)

    def _count_settled(self, tickets: set[Ticket]) -> None:
        """An event is settled only after all that came before it with its key, in the same run, or with them."""
        super()._count_settled(tickets)
        for seq, run in tickets:
            key = self._key_of(seq)
            earlier = {(one, of) for one, of in self.accepted if of == run and one < seq and self._key_of(one) == key}
            assert not key or earlier <= set(self.settled) | self.discarded

    @invariant()
    def one_attempt_at_a_key_is_in_flight(self) -> None:
        """Of two attempts in flight no two have the same key, and in one the events of a key are in order."""
        attempts = [*([one] for one in self._alone()), *(batch.deliveries for batch in self.batches)]
        keys = [key for one in attempts for key in {self._key_of(delivery.seq) for delivery in one} if key]
        assert len(keys) == len(set(keys))
        for one in attempts:
            for key in {self._key_of(delivery.seq) for delivery in one} - {""}:
                for run in {delivery.replay_id for delivery in one}:
                    mine = [d.seq for d in one if d.replay_id == run and self._key_of(d.seq) == key]
                    assert mine == sorted(mine)

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
