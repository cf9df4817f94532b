"""Metrics for Prometheus: worked out from the lanes' own counters when they are asked for, at no cost before.

Names by https://prometheus.io/docs/practices/naming/.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Readings:
    """What is measured, over all live subscribers."""

    subscribers: int
    backing_off: int
    paused: int
    pending: int
    in_flight: int
    dead: int
    delivered: int
    failed_attempts: int
    oldest_pending_seconds: float
    accepted_events: int
    journal_bytes: int


class Metrics:
    """Renders readings in Prometheus's text format."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, read: Callable[[], Readings]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Readings(read))

    def render(self) -> bytes:
        """The exposition."""
        return generate_latest(self._registry)


class _Readings(Collector):
    def __init__(self, read: Callable[[], Readings]) -> None:
        self._read = read

    def describe(self) -> list[Metric]:
        """Nothing is read before it is asked for."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics, as they are now."""
        now = self._read()
        states = GaugeMetricFamily("eventbus_subscribers", "Live subscribers, by state.", labels=["state"])
        states.add_metric(["ok"], now.subscribers - now.backing_off - now.paused)
        states.add_metric(["backing_off"], now.backing_off)
        states.add_metric(["paused"], now.paused)
        yield states
        yield GaugeMetricFamily("eventbus_deliveries_pending", "Deliveries that are not settled.", now.pending)
        yield GaugeMetricFamily("eventbus_deliveries_in_flight", "Attempts under way.", now.in_flight)
        yield GaugeMetricFamily("eventbus_dead_letters", "Dead letters of live subscribers.", now.dead)
        yield GaugeMetricFamily(
            "eventbus_oldest_pending_seconds", "Age of the oldest pending event.", now.oldest_pending_seconds
        )
        yield GaugeMetricFamily("eventbus_journal_bytes", "Bytes in use in the journal.", now.journal_bytes)
        yield GaugeMetricFamily("eventbus_deliveries_delivered", "Taken by live subscribers.", now.delivered)
        yield GaugeMetricFamily("eventbus_attempts_failed", "Failed attempts at live subscribers.", now.failed_attempts)
        yield CounterMetricFamily("eventbus_events_accepted", "Events accepted since the start.", now.accepted_events)
