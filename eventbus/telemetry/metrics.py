"""Metrics for Prometheus, computed from plain counters with each scrape.

Names and units by https://prometheus.io/docs/practices/naming/.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from eventbus import __version__
from eventbus.core.override import override
from eventbus.telemetry.counters import Counters, Histogram

#: Only with a client certificate.
CERTIFICATE_EXPIRY = "eventbus_client_certificate_expiry_timestamp_seconds"
#: Only while an event is scheduled.
SCHEDULED_NEXT = "eventbus_scheduled_next_seconds"
#: Only after a backup was sent.
BACKUP_TIME = "eventbus_backup_timestamp_seconds"
#: The label of all subscribers without series of their own.
OTHER = "other"


@dataclass(frozen=True, slots=True)
class SubscriberSnapshot:
    """The gauges and counts of one subscriber, or of several together."""

    name: str
    states: Mapping[str, int]  # the number in each state
    members: Mapping[str, int]  # of a group, by state; those that drain are counted as draining
    pending: int
    oldest_pending_seconds: float
    delivered: int
    failed_attempts: int
    dead: int
    filtered: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The gauges at one moment, over all live and expired subscribers."""

    states: dict[str, int]
    pending: int
    in_flight: int
    dead: int
    expired_dead: int
    oldest_pending_seconds: float
    journal_bytes: int
    journal_max_bytes: int
    scheduled: int  # events that wait until they are due
    scheduled_next_seconds: float | None  # until the next is due, below 0 where it is overdue; None without one
    loop_lag_seconds: float
    certificate_expiry: float | None  # of the client certificate, in seconds since 1970
    declared: int  # subscribers in this node's file
    declared_faults: int  # what is wrong in it, and those that are not registered
    tokens: int  # in the file of named tokens
    tokens_faults: int  # what is wrong in it
    subscribers: tuple[SubscriberSnapshot, ...]


class Metrics:
    """Renders counters and a snapshot in Prometheus's text format, from its own registry."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, counters: Counters, read: Callable[[], Snapshot]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_CounterCollector(counters))
        self._registry.register(_GaugeCollector(read))
        ProcessCollector(registry=self._registry)

    def render(self) -> bytes:
        """Return the exposition."""
        return generate_latest(self._registry)


class _Collector(Collector):
    def describe(self) -> list[Metric]:
        """Return nothing, so that registering a collector does not collect."""
        return []


class _CounterCollector(_Collector):
    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    @override
    def collect(self) -> Iterator[Metric]:
        counters = self._counters
        build = GaugeMetricFamily("eventbus_build_info", "The version that runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield _counter("eventbus_events_accepted", "Events accepted.", counters.accepted_events)
        yield _counter("eventbus_event_bytes", "Bytes in the bodies of accepted events.", counters.accepted_bytes)
        yield _counter("eventbus_duplicates_suppressed", "Publishes with a known idempotency key.", counters.duplicates)
        ignored = "Accepted requests with an unknown parameter."
        yield _counter("eventbus_ignored_parameters", ignored, counters.ignored_parameters)
        refused = CounterMetricFamily("eventbus_requests_refused", "Requests refused.", labels=["reason"])
        for reason, count in sorted(counters.refused.items()):
            refused.add_metric([reason], count)
        yield refused
        yield from _connections(counters)
        expired = "Deliveries that became dead letters since their events had expired."
        yield _counter("eventbus_deliveries_expired", expired, counters.expired)
        yield from _backups(counters)
        given_up = CounterMetricFamily(
            "eventbus_journal_quota", "Deliveries dropped for the journal quota.", labels=["what"]
        )
        for what in ("pending", "bodies", "discarded"):
            given_up.add_metric([what], counters.quota[what])
        yield given_up
        attempts = CounterMetricFamily("eventbus_attempts", "Attempts, by outcome.", labels=["outcome"])
        for outcome, count in sorted({**counters.attempts, "delivered": counters.arrival.count}.items()):
            attempts.add_metric([outcome], count)
        yield attempts
        yield _histogram("eventbus_arrival_seconds", "End-to-end latency, accepted to delivered.", counters.arrival)
        yield _histogram("eventbus_attempt_seconds", "Delivery latency: the duration of an attempt.", counters.attempt)
        yield _histogram("eventbus_journal_commit_seconds", "Duration of a commit of the journal.", counters.commit)
        yield _histogram("eventbus_journal_commit_events", "Events in one commit.", counters.commit_events)


def _connections(counters: Counters) -> Iterator[Metric]:
    yield _gauge("eventbus_connections", "Open connections of clients.", counters.connections)
    yield _gauge("eventbus_connections_limit", "Limit of open connections.", counters.connections_limit)
    yield _gauge("eventbus_connections_lasting", "Open streams and long polls.", counters.connections_lasting)
    yield _gauge("eventbus_publishes_settling", "Publishes that wait until their event is settled.", counters.settling)
    closed = counters.connections_closed_idle
    yield _counter("eventbus_connections_closed_idle", "Idle connections closed to make room.", closed)


def _backups(counters: Counters) -> Iterator[Metric]:
    backups = CounterMetricFamily("eventbus_backups", "Backups that ended, by outcome.", labels=["outcome"])
    for outcome in ("sent", "failed"):
        backups.add_metric([outcome], counters.backups[outcome])
    yield backups
    if counters.backup_at:
        text = "When the last backup was sent, in seconds since 1970."
        yield GaugeMetricFamily(BACKUP_TIME, text, counters.backup_at)


class _GaugeCollector(_Collector):
    def __init__(self, read: Callable[[], Snapshot]) -> None:
        self._read = read

    @override
    def collect(self) -> Iterator[Metric]:
        now = self._read()
        states = GaugeMetricFamily("eventbus_subscribers", "Subscribers, by state.", labels=["state"])
        for state, count in sorted(now.states.items()):
            states.add_metric([state], count)
        yield states
        for name, text, value in (
            ("eventbus_deliveries_pending", "Deliveries that are not settled.", now.pending),
            ("eventbus_deliveries_in_flight", "Attempts in flight.", now.in_flight),
            ("eventbus_dead_letters", "Dead letters.", now.dead),
            ("eventbus_expired_dead_letters", "Dead letters of expired subscribers.", now.expired_dead),
            ("eventbus_oldest_pending_seconds", "Age of the oldest pending event.", now.oldest_pending_seconds),
            ("eventbus_journal_bytes", "Bytes in use in the journal.", now.journal_bytes),
            ("eventbus_journal_max_bytes", "Bytes at which publishing is refused.", now.journal_max_bytes),
            ("eventbus_scheduled_events", "Scheduled events that are not due yet.", now.scheduled),
            (
                "eventbus_event_loop_lag_seconds",
                "Event loop lag: its longest recent turn.",
                now.loop_lag_seconds,
            ),
            ("eventbus_declared_subscribers", "Subscribers that a file declares.", now.declared),
            ("eventbus_declared_faults", "What is wrong in that file, or not registered.", now.declared_faults),
            ("eventbus_named_tokens", "Tokens in the file of named tokens.", now.tokens),
            ("eventbus_named_tokens_faults", "What is wrong in that file.", now.tokens_faults),
        ):
            yield GaugeMetricFamily(name, text, value)
        if now.certificate_expiry is not None:
            text = "When the client certificate expires, in seconds since 1970."
            yield GaugeMetricFamily(CERTIFICATE_EXPIRY, text, now.certificate_expiry)
        if now.scheduled_next_seconds is not None:
            text = "Until the next scheduled event is due; below 0 it is overdue."
            yield GaugeMetricFamily(SCHEDULED_NEXT, text, now.scheduled_next_seconds)
        yield from _by_subscriber(now.subscribers)


def _by_subscriber(subscribers: tuple[SubscriberSnapshot, ...]) -> Iterator[Metric]:
    by_state = ["subscriber", "state"]
    states = GaugeMetricFamily("eventbus_subscriber_state", "1 for the current state of a subscriber.", labels=by_state)
    members = GaugeMetricFamily("eventbus_members", "Members of a group, by state.", labels=by_state)
    for each in subscribers:
        for gauge, counts in ((states, each.states), (members, each.members)):
            for state, count in counts.items():
                gauge.add_metric([each.name, state], count)
    yield from (states, members)
    families = (
        (GaugeMetricFamily, "pending", "Deliveries that are not settled."),
        (GaugeMetricFamily, "oldest_pending_seconds", "Age of the oldest pending event."),
        (CounterMetricFamily, "delivered", "Events delivered."),
        (CounterMetricFamily, "failed_attempts", "Attempts that failed."),
        (GaugeMetricFamily, "dead", "Dead letters."),
        (CounterMetricFamily, "filtered", "Events that the filter did not match."),
    )
    for kind, field, text in families:
        name = "dead_letters" if field == "dead" else field
        family = kind(f"eventbus_subscriber_{name}", text, labels=["subscriber"])
        for each in subscribers:
            family.add_metric([each.name], getattr(each, field))
        yield family


def _gauge(name: str, text: str, value: int) -> Metric:
    return GaugeMetricFamily(name, text, value)


def _counter(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(name, text, value)


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    total, buckets = 0, []
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.sum)
