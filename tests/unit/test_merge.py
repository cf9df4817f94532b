"""What is made of several nodes' answers to one request."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from eventbus.telemetry.counters import Counters
from eventbus.telemetry.merge import merge_metrics
from eventbus.telemetry.metrics import Metrics, Snapshot, SubscriberSnapshot
from eventbus.web.cluster import merge
from eventbus.web.dashboard import cluster_views
from eventbus.web.query import EMPTY, parse_query


def sample(at: float, **figures: float) -> dict[str, float]:
    """A second of a node that did nothing but this."""
    nothing = dict.fromkeys(
        ("events", "deliveries", "failures", "arrival_p50", "arrival_p99", "pending", "oldest"), 0.0
    )
    return {"at": at, **nothing, **figures}


def row(key: str, **told: Any) -> dict[str, Any]:
    """A subscriber's row on the dashboard."""
    return {"key": key, "address": key, "state": "ok", "oldest": 0.0, "dead": 0, "pending": 0, **told}


def letters(*ids: int) -> list[dict[str, int]]:
    """Dead letters."""
    return [{"id": number} for number in ids]


def test_lists_of_subscribers_are_one_by_address() -> None:
    """Lines of several nodes are in the order of the addresses' one spelling; of two for one, the newer counts."""
    parts = {
        "one": "b:80  :  2026-11-24T06:03:29Z\nHTTP://c  :  2026-11-24T06:03:29Z\n",
        "two": "A:1  :  2026-11-24T06:03:29Z\nB  :  2026-11-24T06:03:30Z\n",
    }
    assert merge.lines(parts).decode().splitlines() == [
        "A:1  :  2026-11-24T06:03:29Z",
        "B  :  2026-11-24T06:03:30Z",
        "HTTP://c  :  2026-11-24T06:03:29Z",
    ]
    assert merge.lines({"one": "", "two": ""}) == b""


def test_lists_in_json_are_as_those_in_text() -> None:
    """The same holds for subscribers as JSON."""
    old, new = "2026-11-24T06:03:29Z", "2026-11-24T06:03:30Z"
    parts = [
        {
            "subscribers": [{"address": "b", "renewed_at": new, "pending": 2}, {"address": "c", "renewed_at": old}],
            "groups": [{"group": "g", "renewed_at": old}],
        },
        {
            "subscribers": [{"address": "a", "renewed_at": old}, {"address": "B:80", "renewed_at": old, "pending": 1}],
            "groups": [{"group": "g", "renewed_at": new}, {"group": "f", "renewed_at": old}],
        },
    ]
    assert merge.subscribers(parts, EMPTY)["subscribers"] == [
        {"address": "a", "renewed_at": old},
        {"address": "b", "renewed_at": new, "pending": 2},
        {"address": "c", "renewed_at": old},
    ]
    groups = [{"group": "f", "renewed_at": old}, {"group": "g", "renewed_at": new}]
    assert merge.subscribers(parts, EMPTY)["groups"] == groups


def test_what_nodes_have_changed_adds_up() -> None:
    """Dead letters that were replayed or discarded are counted over all nodes."""
    assert merge.counts([{"replayed": 2}, {"replayed": 0}, {"replayed": 5}], EMPTY) == {"replayed": 7}
    none, some = {"replayed": 0, "expired": 2, "replay": None}, {"replayed": 3, "expired": 1, "replay": "r"}
    older = {"replayed": 1, "replay": "r"}  # which knows of none that have expired
    assert merge.redelivered([none, some, older], EMPTY) == {"replayed": 4, "expired": 3, "replay": "r"}


@pytest.mark.parametrize(
    ("query", "ids", "following"),
    [("limit=3", [1, 2, 4], 4), ("limit=4", [1, 2, 4, 6], 6), ("limit=5", [1, 2, 4, 6], None)],
)
def test_a_page_of_dead_letters_has_what_any_node_knows_of(query: str, ids: list[int], following: int | None) -> None:
    """Each dead letter is told once, by its id, and a full page says where the next one begins."""
    parts = [{"dead_letters": letters(1, 4), "next": None}, {"dead_letters": letters(1, 2, 6), "next": None}]
    page = merge.dead_letters(parts, parse_query(query))
    assert ([letter["id"] for letter in page["dead_letters"]], page["next"]) == (ids, following)


def test_a_page_of_dead_letters_ends_where_the_first_of_its_parts_ends() -> None:
    """What a node has left out, since its page had as many bytes as it may, is in the next page of all."""
    parts = [{"dead_letters": letters(1, 4), "next": 4}, {"dead_letters": letters(1, 2, 5, 6), "next": 6}]
    page = merge.dead_letters(parts, parse_query("limit=9"))
    assert ([letter["id"] for letter in page["dead_letters"]], page["next"]) == ([1, 2, 4], 4)


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (("dead", "pending"), "pending"),
        (("pending", "delivered"), "pending"),
        (("delivered", "dead"), "delivered"),
        (("discarded", "dead"), "discarded"),
    ],
)
def test_of_two_states_of_a_delivery_the_one_further_on_counts(states: tuple[str, str], said: str) -> None:
    """Where two nodes tell of the same delivery, pending counts before all, and what was settled later before that."""
    for parts in (states, states[::-1]):
        told = [[{"address": "a", "state": state}] for state in parts]
        assert merge.merged_deliveries(told) == [{"address": "a", "state": said, "timeline": []}]


def test_an_event_is_told_with_the_deliveries_of_all_nodes() -> None:
    """An event's deliveries are those that any node makes, by address."""
    parts = [
        {"id": "e", "deliveries": [{"address": "b", "state": "delivered"}]},
        {"id": "e", "deliveries": [{"address": "c", "state": "dead"}, {"address": "a", "state": "pending"}]},
    ]
    event = merge.event(parts, EMPTY)
    assert [fate["address"] for fate in event["deliveries"]] == ["a", "b", "c"]
    assert event["id"] == "e"


# The dashboard


def test_samples_add_up_and_the_slowest_counts() -> None:
    """A second of several nodes has what all did, the median by how much each delivered, and the slowest's rest."""
    busy = sample(100.0, events=3, deliveries=30, arrival_p50=0.1, arrival_p99=0.5, pending=7, oldest=2.0)
    calm = sample(99.5, events=1, deliveries=10, arrival_p50=0.5, arrival_p99=0.9, failures=1, pending=1, oldest=9.0)
    both = cluster_views.merged_sample([busy, calm])
    assert both["arrival_p50"] == pytest.approx(0.2)
    assert both | {"arrival_p50": 0} == sample(
        100.0, events=4, deliveries=40, failures=1, arrival_p99=0.9, pending=8, oldest=9.0
    )
    assert cluster_views.merged_sample([sample(1.0), sample(1.0)]) == sample(1.0)


def test_samples_of_other_seconds_are_not_added() -> None:
    """Each of this node's samples gets the last one of another node, unless that has taken none for long."""
    own = [sample(at, events=1) for at in (100.0, 101.0, 102.0, 130.0)]
    other = [sample(100.5, events=10), sample(101.7, events=20)]
    assert [each["events"] for each in cluster_views.merged_samples([own, other, []])] == [1, 11, 21, 1]


def test_other_nodes_are_asked_for_samples_from_a_little_earlier() -> None:
    """Who wants samples since a moment gets whole ones: other nodes tell what they last knew before it, too."""
    assert cluster_views.earlier(parse_query("since=20000&x=1"), "") == "since=5000"
    assert cluster_views.earlier(parse_query("since=20"), "") == "since=0"
    assert cluster_views.earlier(EMPTY, "") == "since=0"


def test_the_overview_is_of_all_nodes() -> None:
    """Figures add up, the oldest and the fullest count, and those that need somebody most come first."""
    shared: dict[str, Any] = {"latest": None, "samples": [], "fresh": False, "journal_max_bytes": 100}
    one = shared | {"host": "here", "oldest_pending_seconds": 1.5, "journal_bytes": 50, "attention": [row("c", dead=3)]}
    two = shared | {
        "host": "there",
        "oldest_pending_seconds": 9.5,
        "journal_bytes": 49,
        "attention": [row("b", state="down"), row("c")],
    }
    one |= {"subscribers": {"ok": 1, "down": 0}, "pending": 1, "in_flight": 2, "dead": 3}
    two |= {"subscribers": {"ok": 2, "down": 1}, "pending": 10, "in_flight": 20, "dead": 0}
    made = cluster_views.overview([one, two], EMPTY)
    assert made["subscribers"] == {"ok": 3, "down": 1}
    assert (made["pending"], made["in_flight"], made["dead"], made["host"]) == (11, 22, 3, "here")
    assert (made["oldest_pending_seconds"], made["journal_bytes"], made["journal_max_bytes"]) == (9.5, 50, 100)
    assert [each["key"] for each in made["attention"]] == ["b", "c"]
    assert made["attention"][1]["dead"] == 3
    assert made["fresh"] is False


def test_a_page_of_subscribers_is_cut_from_all_of_them() -> None:
    """Rows of all nodes are sorted together, and the page has those that belong to it."""
    names = [f"{number:03}" for number in range(120)]
    shared = {"sort": "address", "start": 50, "q": ""}
    parts = [
        {**shared, "count": 60, "rows": [row(name) for name in names[0::2]]},
        {**shared, "count": 60, "rows": [row(name) for name in names[1::2]]},
    ]
    made = cluster_views.subscribers(parts, EMPTY)
    assert [each["key"] for each in made["rows"]] == names[50:100]
    assert (made["count"], made["following"]) == (120, 100)
    last = cluster_views.subscribers([part | {"start": 100} for part in parts], EMPTY)
    assert [each["key"] for each in last["rows"]] == names[100:]
    assert last["following"] is None


def test_the_page_of_dead_letters_counts_them_all() -> None:
    """The page shows what any node knows of, and how many there are on all nodes."""
    named = {"name": "", "group": None}
    parts = [{**named, "letters": letters(1, 3), "dead": 2}, {**named, "letters": letters(*range(2, 60)), "dead": 58}]
    made = cluster_views.dead_letters(parts, EMPTY)
    assert [letter["id"] for letter in made["letters"]] == list(range(1, 51))
    assert (made["following"], made["dead"]) == (50, 60)


# Metrics

ONE = """\
# HELP eventbus_events_accepted_total Events accepted.
# TYPE eventbus_events_accepted_total counter
eventbus_events_accepted_total 3.0
# HELP eventbus_attempts_total Attempts, by outcome.
# TYPE eventbus_attempts_total counter
eventbus_attempts_total{outcome="delivered"} 5.0
# HELP eventbus_arrival_seconds From publish to arrival.
# TYPE eventbus_arrival_seconds histogram
eventbus_arrival_seconds_bucket{le="1.0"} 4.0
eventbus_arrival_seconds_bucket{le="+Inf"} 5.0
eventbus_arrival_seconds_count 5.0
eventbus_arrival_seconds_sum 6.5
# HELP eventbus_subscribers Live subscribers, by state.
# TYPE eventbus_subscribers gauge
eventbus_subscribers{state="ok"} 2.0
# HELP eventbus_oldest_pending_seconds Age of the oldest pending event.
# TYPE eventbus_oldest_pending_seconds gauge
eventbus_oldest_pending_seconds 9.0
# HELP eventbus_journal_bytes Bytes in use in the journal.
# TYPE eventbus_journal_bytes gauge
eventbus_journal_bytes 1000.0
# HELP eventbus_subscriber_delivered_total Events delivered.
# TYPE eventbus_subscriber_delivered_total counter
eventbus_subscriber_delivered_total{subscriber="a"} 7.0
eventbus_subscriber_delivered_total{subscriber="other"} 1.0
# HELP process_resident_memory_bytes Resident memory size in bytes.
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 100.0
"""
TWO = """\
# HELP eventbus_events_accepted_total Events accepted.
# TYPE eventbus_events_accepted_total counter
eventbus_events_accepted_total 4.0
# HELP eventbus_attempts_total Attempts, by outcome.
# TYPE eventbus_attempts_total counter
eventbus_attempts_total{outcome="retry"} 1.0
# HELP eventbus_subscribers Live subscribers, by state.
# TYPE eventbus_subscribers gauge
eventbus_subscribers{state="ok"} 1.0
eventbus_subscribers{state="paused"} 1.0
# HELP eventbus_oldest_pending_seconds Age of the oldest pending event.
# TYPE eventbus_oldest_pending_seconds gauge
eventbus_oldest_pending_seconds 2.0
# HELP eventbus_journal_bytes Bytes in use in the journal.
# TYPE eventbus_journal_bytes gauge
eventbus_journal_bytes 1000.0
# HELP eventbus_subscriber_delivered_total Events delivered.
# TYPE eventbus_subscriber_delivered_total counter
eventbus_subscriber_delivered_total{subscriber="b"} 8.0
eventbus_subscriber_delivered_total{subscriber="other"} 2.0
# HELP process_resident_memory_bytes Resident memory size in bytes.
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 200.0
"""
TOGETHER = {
    'eventbus_events_accepted_total{node="one"} 3.0',
    'eventbus_events_accepted_total{node="two"} 4.0',
    'eventbus_attempts_total{outcome="delivered",node="one"} 5.0',
    'eventbus_attempts_total{outcome="retry",node="two"} 1.0',
    'eventbus_arrival_seconds_bucket{le="1.0",node="one"} 4.0',
    'eventbus_arrival_seconds_bucket{le="+Inf",node="one"} 5.0',
    'eventbus_arrival_seconds_count{node="one"} 5.0',
    'eventbus_arrival_seconds_sum{node="one"} 6.5',
    'eventbus_subscribers{state="ok"} 3.0',
    'eventbus_subscribers{state="paused"} 1.0',
    "eventbus_oldest_pending_seconds 9.0",
    "eventbus_journal_bytes 1000.0",
    'eventbus_subscriber_delivered_total{subscriber="a"} 7.0',
    'eventbus_subscriber_delivered_total{subscriber="b"} 8.0',
    'eventbus_subscriber_delivered_total{subscriber="other"} 3.0',
    'process_resident_memory_bytes{node="one"} 100.0',
    'process_resident_memory_bytes{node="two"} 200.0',
}


def test_metrics_of_several_nodes_are_one_exposition() -> None:
    """What is counted is by node, what is measured adds up or is the largest, and a subscriber's is its own."""
    made = merge_metrics({"one": ONE, "two": TWO}).decode().splitlines()
    assert {line for line in made if not line.startswith("#")} == TOGETHER
    assert sum(line == "# TYPE eventbus_events_accepted_total counter" for line in made) == 1


def test_gathered_metrics_are_well_formed() -> None:
    """What the bus renders, with any address, is read by Prometheus's own parser after gathering as before."""
    strange = SubscriberSnapshot('[::1]:80/a "b} c\\d', {"ok": 1}, {"down": 2}, 1, 2.5, 3, 4, 5, 6)
    readings = Snapshot({"ok": 1}, 1, 2, 3, 0, 4.5, 5, 6, 8, 9.5, 0.25, 7.5, 0, 0, 0, 0, (strange,))
    counters = Counters()
    counters.arrival.observe(0.3)
    alone = Metrics(counters, lambda: readings).render().decode()
    before = {family.name: family for family in text_string_to_metric_families(alone)}
    families = list(text_string_to_metric_families(merge_metrics({"n1": alone, "n2": alone}).decode()))
    assert [(family.name, family.type) for family in families] == [(each.name, each.type) for each in before.values()]
    for family in families:
        nodes = [sample.labels.get("node") for sample in family.samples]
        once = len(before[family.name].samples)
        assert nodes in ([None] * once, ["n1"] * once + ["n2"] * once), family.name
    pending = next(family for family in families if family.name == "eventbus_subscriber_pending")
    assert [(sample.labels, sample.value) for sample in pending.samples] == [({"subscriber": strange.name}, 2.0)]


def test_a_node_that_is_left_out_lowers_no_counter() -> None:
    """Where a node does not answer, what the others have counted stands as it did."""
    with_both, with_one = (merge_metrics(nodes).decode() for nodes in ({"one": ONE, "two": TWO}, {"one": ONE}))
    counted = [line for line in with_one.splitlines() if line.startswith("eventbus_attempts_total")]
    assert counted
    assert set(counted) <= set(with_both.splitlines())
