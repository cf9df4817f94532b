"""``GET /attempts`` has the newest attempts, and ``GET /events/ID`` those of each delivery."""

from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from eventbus.core.addresses import parse_address
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Terms
from eventbus.core.settings import MEMORY, Settings
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from eventbus.web.app import create_app
from eventbus.web.attempt_payload import cursor_of, cursor_text, merged_pages
from tests.support.deadline import eventually
from tests.support.scripted import Attempt, ScriptedTransport

JSON = {"Accept": "application/json"}
ALONE, MEMBER = "127.0.0.1:8001", "127.0.0.1:8002"
BUSY, TAKEN, SILENT = DeliveryResponse(503, excerpt=b"busy" * 100), DeliveryResponse(200), DeliveryResponse(None)


class Scene:
    """A bus whose attempts end as the test says."""

    def __init__(self) -> None:
        self.transport = ScriptedTransport()
        self.bus = Bus(Settings(journal=f"sqlite:///{MEMORY}"), SqliteJournal(MEMORY), self.transport)
        self._client = Client(create_app(self.bus), TestResponse)

    def publish(self, *responses: DeliveryResponse) -> str:
        """Publish an event whose attempts end so, one after the other, and return its id."""
        (event_id,) = self.bus.publish([Message(new_event_id(), "orders", b"", b"{}", self.bus.clock.wall())]).ids
        for response in responses:
            held = self.held(len(self.bus.subscribers()))
            done = self.bus.dispatcher.newest_attempts.count + len(held)
            self.transport.answer(held, response)
            eventually(lambda done=done: self.bus.dispatcher.newest_attempts.count == done, 10)
        return event_id

    def held(self, count: int) -> list[Attempt]:
        """As many attempts that wait for an answer."""
        return eventually(lambda: [*self.transport.held] if len(self.transport.held) == count else None, 10)

    def get(self, target: str) -> Any:
        """What is answered."""
        answer = self._client.get(target, headers=JSON)
        assert answer.status_code == 200, answer.text
        return answer.json

    def attempts(self, query: str = "") -> list[Any]:
        """The attempts of a page."""
        found: list[Any] = self.get(f"/attempts?{query}")["attempts"]
        return found

    def refusal(self, query: str) -> str:
        """Why a query is refused."""
        answer = self._client.get(f"/attempts?{query}", headers=JSON)
        assert (answer.status_code, answer.json is None) == (400, False)
        return str(answer.json["detail"])


@pytest.fixture
def scene() -> Iterator[Scene]:
    """It runs."""
    found = Scene()
    found.bus.start()
    yield found
    found.bus.stop()


def test_each_attempt_is_listed_with_its_end(scene: Scene) -> None:
    """The newest first, with what was answered; of a failing answer the beginning."""
    scene.bus.register(parse_address(ALONE), Terms(backoff=(0.01, 0.01)))
    event_id = scene.publish(BUSY, TAKEN)
    second, first = scene.attempts()
    usual = {"node": None, "event": event_id, "group": None, "address": ALONE, "path": None, "error": None}
    assert {**second, "at": "", "seconds": 0.0} == {
        **usual, "number": 2, "attempt": 2, "at": "", "seconds": 0.0, "status": 200, "outcome": "delivered",
        "answer": {"text": ""},
    }  # fmt: skip
    assert (first["number"], first["attempt"], first["status"], first["outcome"]) == (1, 1, 503, "retry")
    assert first["answer"] == {"text": "busy" * 64}
    assert first["at"] < second["at"]


def test_attempts_are_chosen_by_address_group_event_and_status(scene: Scene) -> None:
    """All that is given has to hold; a member's address finds what went there."""
    scene.bus.register(parse_address(ALONE), Terms())
    scene.bus.register(parse_address(MEMBER), Terms(), group="mailer")
    one = scene.publish(TAKEN)
    two = scene.publish(SILENT)
    assert len(scene.attempts()) == 4
    for query, count in (
        (f"address={ALONE}", 2), (f"address={MEMBER}", 2), ("group=mailer", 2), ("group=other", 0),
        (f"group=mailer&address={ALONE}", 0), (f"id={one}", 2), (f"id={two}&group=mailer", 1), ("id=unknown", 0),
        ("status=200", 2), ("status=2xx", 2), ("status=5xx", 0), ("status=none", 2), ("status=failed", 2),
        ("status=delivered", 2), (f"status=failed&id={one}", 0),
    ):  # fmt: skip
        assert len(scene.attempts(query)) == count, query
    assert {each["group"] for each in scene.attempts(f"address={MEMBER}")} == {"mailer"}


def test_pages_lead_from_one_to_the_next(scene: Scene) -> None:
    """``next`` is null at the end, and each attempt is on one page."""
    scene.bus.register(parse_address(ALONE), Terms())
    for _ in range(5):
        scene.publish(TAKEN)
    pages, query = [], "limit=2&after="
    while query:
        page = scene.get(f"/attempts?{query}")
        pages.append([each["number"] for each in page["attempts"]])
        query = f"limit=2&after={page['next']}" if page["next"] else ""
    assert pages == [[5, 4], [3, 2], [1]]


def test_an_event_has_the_timeline_of_each_delivery(scene: Scene) -> None:
    """The oldest attempt first; one that was delivered says when, and one that waits when it is next."""
    scene.bus.register(parse_address(ALONE), Terms(backoff=(0.01, 0.01)))
    delivered = scene.publish(BUSY, TAKEN)
    (delivery,) = scene.get(f"/events/{delivered}")["deliveries"]
    assert [(step["attempt"], step["status"], step["outcome"]) for step in delivery["timeline"]] == [
        (1, 503, "retry"), (2, 200, "delivered"),
    ]  # fmt: skip
    assert delivery["delivered_at"] >= delivery["timeline"][1]["at"]
    scene.bus.register(parse_address(ALONE), Terms(backoff=(60.0, 60.0)))
    waiting = scene.publish(BUSY)
    (delivery,) = scene.get(f"/events/{waiting}")["deliveries"]
    assert [step["status"] for step in delivery["timeline"]] == [503]
    assert (delivery["state"], "delivered_at" in delivery, "next_attempt_at" in delivery) == ("pending", False, True)


def test_each_event_of_a_batch_has_its_own_attempt(scene: Scene) -> None:
    """What the subscriber rejects has failed, and the others are delivered."""
    scene.bus.register(parse_address(ALONE), Terms(batch=3))
    messages = [Message(new_event_id(), "orders", b"", b"{}", scene.bus.clock.wall()) for _ in range(3)]
    ids = scene.bus.publish(messages).ids
    taken = DeliveryResponse(200, body=b'{"failed":[{"id":"%s","reject":"too old"}]}' % ids[1].encode())
    scene.transport.answer(scene.held(1), taken)
    ring = scene.bus.dispatcher.newest_attempts
    eventually(lambda: ring.count == 3, 10)
    found = {each["event"]: (each["status"], each["outcome"], each["answer"]) for each in scene.attempts()}
    assert found == {
        ids[0]: (200, "delivered", {"text": ""}),
        ids[1]: (200, "rejected", {"text": "too old"}),
        ids[2]: (200, "delivered", {"text": ""}),
    }


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("status=600", "status must be a status such as 503 or 5xx, none, delivered or failed, not '600'."),
        ("status=", "status must be"),
        ("after=x", "after must be what next said"),
        ("limit=1001", "limit must be a whole number from 1 to 1000"),
        ("group=a%20b", "group must be"),
        ("path=/a", "path belongs to an address"),
    ],
)
def test_a_query_that_means_nothing_is_refused(scene: Scene, query: str, says: str) -> None:
    """With what it may be."""
    assert says in scene.refusal(query)


def row(node: str, number: int, second: int) -> dict[str, Any]:
    """An attempt as JSON that ended at a second."""
    return {"node": node, "number": number, "at": f"2026-11-24T06:03:{second:02d}.000Z", "seconds": 0.5}


def test_pages_of_nodes_are_one_page() -> None:
    """By when attempts ended; what has no room goes on the next page, and a node that is through stays so."""
    a, b = [row("a", 9, 30), row("a", 8, 10)], [row("b", 3, 20)]
    first = merged_pages([{"attempts": a, "next": None}, {"attempts": b, "next": None}], None, 2)
    assert first == {"attempts": [a[0], b[0]], "next": "a-9,b-3"}
    second = merged_pages([{"attempts": a[1:], "next": None}, {"attempts": [], "next": None}], first["next"], 2)
    assert second == {"attempts": [a[1]], "next": None}
    more = merged_pages([{"attempts": a[1:], "next": "a-8"}, {"attempts": [], "next": None}], first["next"], 2)
    assert more["next"] == "a-8,b-3"


def test_a_cursor_is_read_as_it_was_written() -> None:
    """Also that of a single node, which has no name."""
    for numbers in ({"": 7}, {"a1": 7, "b": 12}):
        assert cursor_of(cursor_text(numbers)) == numbers
