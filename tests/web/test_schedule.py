"""Publishing for later, the list of what is scheduled, and cancelling: what is answered, refused and allowed."""

import logging
from collections.abc import Iterator

import pytest
from werkzeug.test import TestResponse

from eventbus.core.clock import rfc3339_ms, seconds_of
from eventbus.core.tokens import Scope, tokens_of
from tests.support.batches import STRUCTURED, array, cloud_event, written
from tests.support.deadline import eventually
from tests.support.in_process_nodes import InProcessNode, in_process_nodes

JSON = {"Accept": "application/json"}
BATCH = "application/cloudevents-batch+json"
HOUR = 3_600


@pytest.fixture
def node() -> Iterator[InProcessNode]:
    """A bus without subscribers."""
    with in_process_nodes("here") as (here,):
        yield here


def publish(node: InProcessNode, query: str, body: bytes = b"{}", **headers: str) -> TestResponse:
    """Publish, and ask for JSON."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return node.ask("POST", f"/sendMessage?{query}", JSON | given, body)


def scheduled(node: InProcessNode, query: str = "") -> list[str]:
    """The ids of the scheduled events, the one that is due next first."""
    return [each["id"] for each in node.ask("GET", f"/events?scheduled=true{query}", JSON).json["events"]]


def entered(node: InProcessNode) -> list[str]:
    """The ids of the journal's events, in order."""
    return [each["id"] for each in node.ask("GET", "/events", JSON).json["events"]]


def test_json_says_when_an_event_is_due_and_text_says_success(node: InProcessNode) -> None:
    """The plain answer is the same as without a time."""
    plain = node.ask("POST", "/sendMessage?delay=3600", {}, b"x")
    assert (plain.status_code, plain.data, plain.content_type) == (200, b"success", "text/plain; charset=utf-8")
    wall = node.bus.clock.wall()
    told = publish(node, "delay=90.5").json
    due = seconds_of(told["scheduled_for"]) or 0
    assert abs(due - wall - 90.5) < 5
    assert told == {"id": told["id"], "scheduled_for": rfc3339_ms(due), "subscribers": 0, "duplicate": False}
    at = rfc3339_ms(wall + 45).removesuffix("Z") + "%2B00:00"
    assert publish(node, f"deliver_at={at}").json["scheduled_for"] == rfc3339_ms(wall + 45)
    assert scheduled(node)[1] == told["id"]
    assert entered(node) == []


@pytest.mark.parametrize("query", ["delay=0", "deliver_at=2000-01-01T00:00:00Z"])
def test_a_time_that_is_not_ahead_is_now(node: InProcessNode, query: str) -> None:
    """The event is in the journal at once, and JSON says so."""
    told = publish(node, query).json
    assert told["scheduled_for"] is None
    assert (entered(node), scheduled(node)) == ([told["id"]], [])


def test_without_a_time_nothing_is_said_of_one(node: InProcessNode) -> None:
    """JSON has the same properties as before."""
    assert publish(node, "topic=a").json.keys() == {"id", "subscribers", "duplicate"}


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("delay=31622401", "delay must be a number of seconds from 0 to 31622400, not '31622401'."),
        ("delay=soon", "from 0 to 31622400"),
        ("delay=", "from 0 to 31622400"),
        ("deliver_at=9999-01-01T00:00:00Z", "366 days from now"),
        ("deliver_at=tomorrow", "366 days from now"),
        ("deliver_at=2026-11-24T06:03:29", "says no offset"),
        ("delay=1&deliver_at=2000-01-01T00:00:00Z", "Send either delay or deliver_at, not both."),
        ("batch=lines&delay=-1", "from 0 to 31622400"),
    ],
)
def test_a_wrong_time_keeps_nothing(node: InProcessNode, query: str, says: str) -> None:
    """It is refused with the range, as text and as JSON."""
    told = publish(node, query, b"x")
    assert (told.status_code, says in told.json["detail"]) == (400, True), told.text
    plain = node.ask("POST", f"/sendMessage?{query}", {}, b"x")
    assert (plain.status_code, plain.text.startswith("Error:"), says in plain.text) == (400, True, True)
    assert (entered(node), scheduled(node)) == ([], [])


def test_cloudevents_and_batches_are_scheduled_as_others(node: InProcessNode) -> None:
    """Each event of a batch is due at the same time, in the batch's order."""
    event = written(cloud_event(type="orders.created"))
    single = publish(node, "delay=60", event, Content_Type=STRUCTURED).json
    assert (single["topic"], single["scheduled_for"] is not None) == ("orders.created", True)
    binary = publish(node, "delay=61", b"x", ce_id="1", ce_source="/a", ce_type="a.b", ce_specversion="1.0").json
    lines = publish(node, "batch=lines&delay=62", b"1\n2\n\n3\n").json
    events = publish(node, "delay=63", array([event, event]), Content_Type=BATCH).json
    assert lines["scheduled_for"] < events["scheduled_for"]
    assert publish(node, "batch=lines&delay=62", b"\n").json["scheduled_for"] is None
    assert scheduled(node) == [single["id"], binary["id"], *lines["ids"], *events["ids"]]
    found = node.ask("GET", "/events?scheduled=true", JSON).json["events"]
    assert {each["scheduled_for"] for each in found[2:5]} == {lines["scheduled_for"]}
    assert [each["body"]["text"] for each in found[2:5]] == ["1", "2", "3"]
    assert found[0]["headers"] == {"Content-Type": STRUCTURED}


def test_a_repeated_key_has_the_first_id_and_time(node: InProcessNode) -> None:
    """Whatever time the repetition asks for; what is compared is the content."""
    first = publish(node, "delay=60", Idempotency_Key="k").json
    for query in ("delay=60", "delay=90", "deliver_at=2000-01-01T00:00:00Z", ""):
        assert publish(node, query, Idempotency_Key="k").json == first | {"duplicate": True}
    assert publish(node, "delay=60", b"other", Idempotency_Key="k").status_code == 422
    at_once = publish(node, "", Idempotency_Key="now").json
    assert publish(node, "delay=60", Idempotency_Key="now").json == at_once | {
        "scheduled_for": None, "duplicate": True,
    }  # fmt: skip
    assert (scheduled(node), entered(node)) == ([first["id"]], [at_once["id"]])


def test_a_derived_key_covers_what_is_scheduled(node: InProcessNode) -> None:
    """The same CloudEvent twice is one event, due when the first one said."""
    event = written(cloud_event(type="a"))
    first = publish(node, "once=ce&delay=60", event, Content_Type=STRUCTURED).json
    assert publish(node, "once=ce&delay=90", event, Content_Type=STRUCTURED).json == first | {"duplicate": True}


def test_the_list_goes_on_page_by_page(node: InProcessNode) -> None:
    """By due time; ``next`` is what the following page begins after, and null at the end."""
    ids = [publish(node, f"delay={60 + number // 3}", b"%d" % number).json["id"] for number in range(7)]
    found: list[str] = []
    after = ""
    while True:
        page = node.ask("GET", f"/events?scheduled=true&limit=2{after}", JSON).json
        found += [each["id"] for each in page["events"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert len(found) == len(set(found)) == 7
    assert found[6] == ids[6]
    assert node.ask("GET", "/events?scheduled=true&limit=7&after=", JSON).json["next"] is None
    assert node.ask("GET", "/events?scheduled=false", JSON).json["events"] == []


def test_a_page_is_bounded_in_bytes(node: InProcessNode) -> None:
    """A page ends before it has more than 4 MiB, and leads to the rest."""
    for number in range(6):
        publish(node, f"delay={60 + number}", b"\xff" * 1_000_000)
    page = node.ask("GET", "/events?scheduled=true", JSON)
    assert 0 < len(page.data) < 4 * 1_048_576 + 100
    shown = len(page.json["events"])
    assert 0 < shown < 6
    assert len(scheduled(node, f"&after={page.json['next']}")) == min(shown, 6 - shown)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("scheduled=yes", "scheduled must be true or false, not 'yes'."),
        ("scheduled=true&topic=a", "scheduled=true takes no topic."),
        ("scheduled=true&wait=1", "scheduled=true takes no wait."),
        ("scheduled=true&after=now", "after must be what next said on the page before, not 'now'."),
        ("scheduled=true&limit=0", "limit must be a whole number from 1 to 1000"),
    ],
)
def test_what_the_list_does_not_take_is_refused(node: InProcessNode, query: str, says: str) -> None:
    """With a sentence that names the parameter."""
    told = node.ask("GET", f"/events?{query}", JSON)
    assert (told.status_code, says in told.json["detail"]) == (400, True), told.text


def test_a_scheduled_event_is_shown_by_its_id(node: InProcessNode) -> None:
    """With its time and no deliveries while it waits, and as any event from then on."""
    told = publish(node, "topic=a&key=k&delay=3600", b"x").json
    shown = node.ask("GET", f"/events/{told['id']}", JSON).json
    assert (shown["scheduled_for"], shown["deliveries"], shown["topic"]) == (told["scheduled_for"], [], "a")
    assert (shown["key"], shown["body"]) == ("k", {"text": "x"})
    node.bus.journal.move_due(node.bus.clock.wall() + 2 * HOUR, 10, 10**6)
    shown = node.ask("GET", f"/events/{told['id']}", JSON).json
    assert (shown["id"], "scheduled_for" in shown) == (told["id"], False)


def test_cancelling_is_answered_once_and_for_all(node: InProcessNode, caplog: pytest.LogCaptureFixture) -> None:
    """While it waits it is cancelled, and the same is answered again; then it is unknown, and says why."""
    caplog.set_level(logging.INFO, "eventbus.web.audit")
    event_id = publish(node, "delay=3600").json["id"]
    first = node.ask("DELETE", f"/events/{event_id}")
    assert (first.status_code, first.json.keys(), first.json["id"]) == (200, {"id", "cancelled_at"}, event_id)
    assert node.ask("DELETE", f"/events/{event_id}").data == first.data
    assert caplog.text.count("event.cancelled: 1, of " + event_id) == 1
    gone = node.ask("GET", f"/events/{event_id}", JSON)
    assert (gone.status_code, gone.json["detail"]) == (
        404, f"Event {event_id!r} was cancelled at {first.json['cancelled_at']}.",
    )  # fmt: skip
    assert (scheduled(node), entered(node)) == ([], [])


def test_what_has_entered_the_journal_cannot_be_cancelled(node: InProcessNode) -> None:
    """It is 409, and 404 where there is no such event."""
    direct, later = publish(node, "").json["id"], publish(node, "delay=0.01").json["id"]
    eventually(lambda: entered(node) == [direct, later], 10)
    for event_id in (direct, later):
        told = node.ask("DELETE", f"/events/{event_id}", JSON)
        assert told.status_code == 409
        assert told.json["detail"] == f"Event {event_id!r} is in the journal and cannot be cancelled."
    told = node.ask("DELETE", "/events/unknown", JSON)
    assert (told.status_code, "'unknown' is not scheduled, and not in the journal" in told.text) == (404, True)


def test_the_schedule_is_in_the_metrics(node: InProcessNode) -> None:
    """How many wait; and in how many seconds the next is due, only while there is one."""
    before = node.ask("GET", "/metrics").text
    assert ("eventbus_scheduled_events 0.0\n" in before, "eventbus_scheduled_next_seconds" in before) == (True, False)
    publish(node, "batch=lines&delay=100", b"1\n2\n")
    eventually(lambda: "eventbus_scheduled_events 2.0\n" in node.ask("GET", "/metrics").text, 10)
    lines = node.ask("GET", "/metrics").text.splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith("eventbus_scheduled_next_seconds ")]
    assert 60 < float(value) <= 100


def test_who_may_publish_may_schedule_and_cancel() -> None:
    """Publishing for later and cancelling take a publish token, the list one that may read; an admin's does both."""
    words = {scope: f"{scope}-token-0123456789" for scope in Scope}
    header = {scope: JSON | {"Authorization": f"Bearer {word}"} for scope, word in words.items()}
    with in_process_nodes("here", tokens=tokens_of(words)) as (node,):
        for scope in (Scope.PUBLISH, Scope.ADMIN):
            event_id = node.ask("POST", "/sendMessage?delay=60", header[scope], b"x").json["id"]
            assert node.ask("DELETE", f"/events/{event_id}", header[Scope.SUBSCRIBE]).status_code == 403
            assert node.ask("DELETE", f"/events/{event_id}", JSON).status_code == 401
            assert node.ask("DELETE", f"/events/{event_id}", header[scope]).status_code == 200
        listed = [node.ask("GET", "/events?scheduled=true", header[scope]).status_code for scope in Scope]
        assert listed == [403 if scope is Scope.PUBLISH else 200 for scope in Scope]


def test_a_draining_bus_schedules_and_cancels_nothing(node: InProcessNode) -> None:
    """Both are 503, as any other change."""
    event_id = publish(node, "delay=60").json["id"]
    node.bus.draining = True
    assert [publish(node, "delay=60").status_code, node.ask("DELETE", f"/events/{event_id}").status_code] == [503, 503]
    node.bus.draining = False
    assert scheduled(node) == [event_id]
