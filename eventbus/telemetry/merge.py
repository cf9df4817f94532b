"""Merges the metrics of all nodes into one exposition. Pure.

Counters and histograms keep a series for each node, with the label ``node``: a sum would fall when a node stops or does
not answer, which Prometheus takes for a reset. Gauges are added up, or the largest is taken.

The text is merged line by line, in the format that ``Metrics`` renders: a parser would block the event loop for long.
https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

#: Types of metrics that keep a series for each node; so do the metrics of processes, the version, and the certificate.
_COUNTED = frozenset({"counter", "histogram"})
_OF_A_PROCESS = ("process_", "eventbus_build_info", "eventbus_client_certificate_")
#: Metrics of subscriptions, whose counts move with their ownership.
_OF_A_SUBSCRIBER = "eventbus_subscriber_"
#: Gauges of which the largest is taken; the journal is the same for all nodes.
_LARGEST = frozenset(
    {
        "eventbus_oldest_pending_seconds",
        "eventbus_subscriber_oldest_pending_seconds",
        "eventbus_journal_bytes",
        "eventbus_journal_max_bytes",
        "eventbus_scheduled_events",
        "eventbus_scheduled_next_seconds",
        "eventbus_event_loop_lag_seconds",
        "eventbus_declared_subscribers",
        "eventbus_declared_faults",
        "eventbus_named_tokens",
        "eventbus_named_tokens_faults",
    }
)


@dataclass(slots=True)
class _Family:
    """A metric, with the values of its series by name and labels."""

    name: str
    help: str
    kind: str = ""
    values: dict[str, float] = field(default_factory=dict)

    @property
    def by_node(self) -> bool:
        """Whether each node keeps its own series."""
        if self.name.startswith(_OF_A_SUBSCRIBER):
            return False
        return self.kind in _COUNTED or self.name.startswith(_OF_A_PROCESS)

    def add(self, series: str, value: float) -> None:
        """Merge a node's value into a series."""
        before = self.values.get(series, 0.0)
        self.values[series] = max(before, value) if self.name in _LARGEST else before + value


def merge_metrics(expositions: Mapping[str, str]) -> bytes:
    """Merge expositions, given by node, into one."""
    families: dict[str, _Family] = {}
    for node, exposition in expositions.items():
        _add(families, node, exposition)
    return "".join(map(_rendered, families.values())).encode()


def _add(families: dict[str, _Family], node: str, exposition: str) -> None:
    family = _Family("", "")
    for line in exposition.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            family = families.setdefault(name, _Family(name, line))
        elif line.startswith("# TYPE "):
            family.kind = line.rpartition(" ")[2]
        else:
            series, _, value = line.rpartition(" ")
            family.add(_with_node(series, node) if family.by_node else series, float(value))


def _with_node(series: str, node: str) -> str:
    """Return a series with the label ``node``."""
    if series.endswith("}"):
        return f'{series[:-1]},node="{node}"}}'
    return f'{series}{{node="{node}"}}'


def _rendered(family: _Family) -> str:
    lines = [f"{series} {value!r}\n" for series, value in family.values.items()]
    return f"{family.help}\n# TYPE {family.name} {family.kind}\n{''.join(lines)}"
