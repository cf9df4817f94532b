"""What machines ask of a running bus."""

from prometheus_client.parser import text_string_to_metric_families

from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.subscriber import Subscribe


def readings(caller: Caller) -> dict[str, float]:
    """The exposition's samples by name; of those with labels, the last."""
    families = text_string_to_metric_families(caller.call("GET", "/metrics").body.decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_a_bus_that_runs_is_alive_and_ready(caller: Caller) -> None:
    """A running bus answers 200 to both questions."""
    assert [caller.call("GET", path).status for path in ("/healthz", "/readyz")] == [200, 200]


def test_metrics_count_what_is_published_and_delivered(caller: Caller, subscribe: Subscribe) -> None:
    """Prometheus can read the exposition, and it moves with each event."""
    subscribe()
    before = readings(caller)
    caller.publish(b"one")
    caller.publish(b"two")
    delivered = "eventbus_arrival_seconds_count"
    eventually(lambda: readings(caller)[delivered] == before[delivered] + 2, 10)
    after = readings(caller)
    assert after["eventbus_events_accepted_total"] == before["eventbus_events_accepted_total"] + 2
    assert after["eventbus_journal_bytes"] > 0
