import asyncio
import base64
import gzip
import io
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest

from eventbus.client import Bus, Event, Inbox, InboxResponse, Reject, Retry, Seen, Subscriber, UsageError, Verifier
from eventbus.client.inbox import MAX_BODY_BYTES
from eventbus.client.wsgi import dispatch_environ
from eventbus.delivery.lane.outcome import DeliveryResponse as BusAnswer
from eventbus.delivery.lane.outcome import Verdict, classify_response
from eventbus.testing import FakeBus, deliver, signed_headers

#: A body that is a megabyte times 17 when it is decompressed.
BOMB = gzip.compress(bytes(17 * 1024 * 1024))
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


def inbox_of(*patterns: str, does: Callable[[Event], Any] = lambda _: None, **options: Any) -> Inbox:
    """An inbox with one handler."""
    inbox = Inbox(**options)
    inbox.on(*patterns)(does)
    return inbox


def raising(error: BaseException) -> Callable[[Event], None]:
    """A handler that raises."""

    def handler(_: Event) -> None:
        raise error

    return handler


def verdict(answer: InboxResponse) -> Verdict:
    """What the bus makes of an answer."""
    return classify_response(BusAnswer(answer.status, answer.headers.get("Retry-After")), 0.0).verdict


def test_a_handler_gets_the_event() -> None:
    """Id, topic, headers, data and attempt arrive as they were published."""
    got: list[Event] = []
    inbox = inbox_of("orders.*", does=got.append)
    answer = deliver(inbox, "orders.created", {"n": 1}, event_id="e1", attempt=3, headers={"ce-subject": "%C3%BC"})
    assert tuple(answer)[::2] == (200, b"handled")
    (event,) = got
    assert (event.id, event.topic, event.data, event.attempt) == ("e1", "orders.created", {"n": 1}, 3)
    assert event.attributes == {"subject": "\u00fc", "datacontenttype": "application/json"}


@pytest.mark.parametrize(
    ("outcome", "status", "payload"),
    [
        (Retry(), 503, Verdict.RETRY),
        (Retry("no stock"), 503, Verdict.RETRY),
        (Retry(after=30), 503, Verdict.PAUSE),
        (Retry(after=0.2), 503, Verdict.PAUSE),
        (Retry(after=float("inf")), 503, Verdict.PAUSE),
        (Retry(after=-1), 503, Verdict.PAUSE),
        (Reject("no such order"), 422, Verdict.REJECTED),
        (ValueError("secret"), 500, Verdict.RETRY),
    ],
)
def test_what_a_handler_raises_becomes_what_the_bus_does(outcome: Exception, status: int, payload: Verdict) -> None:
    """Retry, Reject and any other exception are answered so that the bus draws the right consequence."""
    answer = deliver(inbox_of("a", does=raising(outcome)), "a")
    assert (answer.status, verdict(answer)) == (status, payload)
    assert b"secret" not in answer.body
    if isinstance(outcome, Retry | Reject):
        assert deliver(inbox_of("a", does=lambda _: outcome), "a") == answer  # returned is as good as raised


def test_a_pause_is_in_whole_seconds_and_at_least_one() -> None:
    """Retry-After is rounded up, so that nobody comes back too early."""
    answers = [deliver(inbox_of("a", does=raising(Retry(after=after))), "a") for after in (0.2, 2, 2.1)]
    assert [answer.headers["Retry-After"] for answer in answers] == ["1", "2", "3"]


def test_a_reason_is_told_to_the_bus() -> None:
    """The bus keeps the answer with the dead letter, so that people read why."""
    assert deliver(inbox_of("a", does=raising(Reject("no such order"))), "a").body == b"no such order"


def test_an_exception_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """What went wrong in a handler is for the service's log; Retry and Reject are no errors."""
    deliver(inbox_of("a", does=raising(Retry())), "a")
    assert not caplog.records
    deliver(inbox_of("a", does=raising(ValueError("why"))), "a", event_id="e7")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "e7" in record.message
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "why"


def test_an_event_is_handled_once() -> None:
    """A repetition of what was handled is answered as delivered, and the handler does not see it."""
    got: list[Event] = []
    inbox = inbox_of("a", does=got.append)
    statuses = [deliver(inbox, "a", event_id="e1", attempt=attempt).status for attempt in (1, 2, 3)]
    assert (statuses, len(got)) == ([200, 200, 200], 1)


@pytest.mark.parametrize("first", [Retry(), Reject(), KeyError("x")])
def test_what_was_not_handled_may_come_again(first: Exception) -> None:
    """A failure, and a dead letter that is replayed, reach the handler again."""
    failures = [first]

    def handler(_: Event) -> None:
        if failures:
            raise failures.pop()

    inbox = inbox_of("a", does=handler)
    assert [deliver(inbox, "a", event_id="e1").status for _ in range(2)][1] == 200


def test_an_event_that_is_being_handled_is_not_handled_beside_it() -> None:
    """If the bus tries again after its timeout meanwhile, the response asks it to come later."""
    began, go_on = threading.Event(), threading.Event()

    def slow(_: Event) -> None:
        began.set()
        assert go_on.wait(10)

    inbox = inbox_of("a", does=slow)
    thread = threading.Thread(target=deliver, args=(inbox, "a"), kwargs={"event_id": "e1"})
    thread.start()
    assert began.wait(10)
    meanwhile = deliver(inbox, "a", event_id="e1", attempt=2)
    go_on.set()
    thread.join(10)
    assert (meanwhile.status, verdict(meanwhile)) == (409, Verdict.RETRY)
    assert deliver(inbox, "a", event_id="e1", attempt=3).body == b"handled before"


def test_a_service_that_stops_finishes_what_it_has_begun() -> None:
    """New events are refused so that they come again, what was handled is answered for, and a restart takes all."""
    began, go_on = threading.Event(), threading.Event()

    def slow(event: Event) -> None:
        if event.id == "slow":
            began.set()
            assert go_on.wait(10)

    inbox = inbox_of("a", does=slow)
    assert deliver(inbox, "a", event_id="before").status == 200
    thread = threading.Thread(target=deliver, args=(inbox, "a"), kwargs={"event_id": "slow"})
    thread.start()
    assert began.wait(10)
    assert not inbox.close(0)
    refused, repeated = deliver(inbox, "a", event_id="new"), deliver(inbox, "a", event_id="before")
    assert (refused.status, verdict(refused)) == (503, Verdict.RETRY)
    assert repeated.body == b"handled before"
    go_on.set()
    assert inbox.close(10)
    thread.join(10)
    assert deliver(inbox, "a", event_id="slow").body == b"handled before"


def test_a_handler_that_is_killed_has_not_handled() -> None:
    """What is no Exception, such as a greenlet's end, goes through; the event may come again."""
    inbox = inbox_of("a", does=raising(KeyboardInterrupt()))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            deliver(inbox, "a", event_id="e1")


def test_a_topic_that_nobody_wants_is_taken_and_passed_over() -> None:
    """An event without a handler is delivered as far as the bus is concerned."""
    answer = deliver(inbox_of("a", does=raising(ValueError())), "b")
    assert (answer.status, verdict(answer)) == (200, Verdict.DELIVERED)


def test_the_first_handler_that_matches_gets_the_event() -> None:
    """One event has one handler: in the order in which they were made."""
    got: list[str] = []
    inbox = Inbox()
    inbox.on("a.b")(lambda _: got.append("narrow"))
    inbox.on("a.*", "c")(lambda _: got.append("wide"))
    inbox.on()(lambda _: got.append("all"))
    for topic in ("a.b", "a.c", "c", "d", None):
        deliver(inbox, topic)
    assert got == ["narrow", "wide", "wide", "all", "all"]


def test_an_inbox_asks_for_what_its_handlers_want() -> None:
    """The registration's topics are the handlers' patterns, each once; one that takes all asks for everything."""
    inbox = inbox_of("a", "b.*")
    inbox.on("a", "c.>")(lambda _: None)
    assert inbox.topics == ("a", "b.*", "c.>")
    inbox.on(">")(lambda _: None)
    assert inbox.topics == ()
    with pytest.raises(UsageError, match="topic pattern"):
        inbox.on("a..b")


def test_only_signed_deliveries_reach_a_handler() -> None:
    """With a secret, what is not signed, or was signed long ago, is turned away before anything else."""
    got: list[Event] = []
    inbox = inbox_of("a", does=got.append, verifier=Verifier(SECRET))
    assert deliver(inbox, "a", b"x", event_id="e1").status == 200
    event = got[0]
    good = signed_headers(inbox, event)
    unsigned = {name: value for name, value in good.items() if name != "webhook-signature"}
    old = signed_headers(inbox, event, at=event.at.timestamp() - 301)
    answers = [inbox.dispatch("POST", *args) for args in ((unsigned, b"x"), (good, b"y"), (old, b"x"), ((), b""))]
    assert {(answer.status, verdict(answer)) for answer in answers} == {(401, Verdict.REJECTED)}
    assert inbox.dispatch("POST", good, b"x").body == b"handled before"  # an answer never makes it new again
    assert len(got) == 1


def test_what_is_no_delivery_is_told_so() -> None:
    """Another method, and a request without an event's id."""
    inbox = inbox_of()
    assert inbox.dispatch("GET", {}, b"").status == 405
    assert inbox.dispatch("GET", {}, b"").headers["Allow"] == "POST, OPTIONS"
    assert inbox.dispatch("POST", {"Content-Type": "x"}, b"").status == 400


def test_an_inbox_consents() -> None:
    """A bus that asks first is let, as CloudEvents' web hooks have it."""
    answer = Inbox().dispatch("OPTIONS", {"WebHook-Request-Origin": "eventbus"}, b"")
    assert (answer.status, answer.headers["WebHook-Allowed-Origin"]) == (200, "*")


class RegisteringBus:
    """Registers any inbox, and returns an origin as a bus does."""

    def __init__(self, origin: str | None) -> None:
        self.origin = origin
        self.fake = FakeBus()

    def with_backoff(self, _: object) -> "RegisteringBus":
        """See Bus.with_backoff."""
        return self

    def register(self, *args: Any, **options: Any) -> Subscriber:
        """See Bus.register."""
        return replace(self.fake.register(*args, **options), origin=self.origin)


@pytest.mark.parametrize(
    ("registered", "given", "allowed"),
    [
        (None, None, "*"),
        ("bus.example.com", None, "bus.example.com"),
        ("bus.example.com", "mine:8000", "mine:8000"),
        (None, "mine", "mine"),
        ("evil\r\nSet-Cookie: a=b", None, None),
        ("x" * 5_000, None, None),
    ],
)
def test_an_inbox_consents_to_its_own_bus(registered: str | None, given: str | None, allowed: str | None) -> None:
    """To the name that it was given, or that its bus has returned; never with what no header can hold."""
    inbox = Inbox(cast(Bus, RegisteringBus(registered)), "localhost:8001", verifier=Verifier(origin=given))
    asked = {"WebHook-Request-Origin": "eventbus"}
    assert inbox.dispatch("OPTIONS", asked, b"").headers["WebHook-Allowed-Origin"] == (given or "*")
    with inbox:
        assert inbox.wait_registered(10)
        assert inbox.dispatch("OPTIONS", asked, b"").headers.get("WebHook-Allowed-Origin") == allowed


def test_headers_may_come_as_pairs_and_in_any_case() -> None:
    """Every server has its own way to hand headers over."""
    got: list[Event] = []
    inbox = inbox_of("a", does=got.append)
    inbox.dispatch("POST", [("WEBHOOK-ID", "e1"), ("eventbus-TOPIC", "a"), ("webhook-id", "e2")], b"")
    inbox.dispatch("POST", {"webhook-ID": "e3", "Eventbus-Topic": "a", "Eventbus-Attempt": "x"}, b"")
    assert [(event.id, event.attempt) for event in got] == [("e1", 1), ("e3", 1)]


def test_what_is_remembered_can_be_bounded_or_kept_elsewhere() -> None:
    """With a memory for one id, the one before it is handled again."""
    got: list[str] = []
    inbox = inbox_of("a", does=lambda event: got.append(event.id), seen=Seen(1))
    for event_id in ("e1", "e1", "e2", "e1"):
        deliver(inbox, "a", event_id=event_id)
    assert got == ["e1", "e2", "e1"]


def test_an_async_handler_needs_the_asgi_adapter(caplog: pytest.LogCaptureFixture) -> None:
    """Under WSGI the error says so, and the event waits for a service that is mounted rightly."""

    async def handler(_: Event) -> None:
        raise AssertionError("never runs")

    answer = deliver(inbox_of("a", does=handler), "a")
    assert (answer.status, verdict(answer)) == (500, Verdict.RETRY)
    assert "ASGI adapter" in str(caplog.records[0].exc_info[1])  # type: ignore[index]


def test_async_dispatch_runs_both_kinds_of_handlers() -> None:
    """Coroutines are awaited, and a plain function does not hold up the loop, nor runs in its thread."""
    ran: list[tuple[str, bool]] = []
    here = threading.get_ident()

    async def soft(kind: str, _: Event) -> None:
        await asyncio.sleep(0)
        ran.append((kind, threading.get_ident() == here))

    inbox = Inbox()
    inbox.on("a")(partial(soft, "partial"))
    inbox.on("b")(lambda event: soft("made", event))
    inbox.on("c")(lambda _: ran.append(("plain", threading.get_ident() == here)))
    inbox.on("d")(raising(Reject("no")))
    inbox.on("e")(raising(StopIteration()))

    async def all_of_them() -> list[int]:
        sent = [{"Webhook-Id": topic, "Eventbus-Topic": topic} for topic in "abcde"]
        return [(await inbox.dispatch_async("POST", headers, b"")).status for headers in sent]

    assert asyncio.run(all_of_them()) == [200, 200, 200, 422, 500]
    assert ran == [("partial", True), ("made", True), ("plain", False)]


def test_a_cancelled_task_has_not_handled() -> None:
    """When a server cancels a request, the event may come again."""
    inbox = Inbox()
    ran: list[Event] = []

    @inbox.on("a")
    async def handler(event: Event) -> None:
        ran.append(event)
        await asyncio.Event().wait()

    async def cancelled_twice() -> None:
        for _ in range(2):
            task = asyncio.create_task(inbox.dispatch_async("POST", {"Webhook-Id": "e", "Eventbus-Topic": "a"}, b""))
            while not ran or len(ran) == _:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled_twice())
    assert len(ran) == 2


def test_a_body_that_cannot_be_decompressed_is_a_dead_letter() -> None:
    """A handler that reads it need not know: no retry makes it right."""
    inbox = inbox_of("a", does=lambda event: event.data)
    answers = [deliver(inbox, "a", body, headers={"content-encoding": "gzip"}) for body in (b"no gzip", BOMB)]
    assert [verdict(answer) for answer in answers] == [Verdict.REJECTED] * 2
    assert b"larger than 16777216 bytes" in answers[1].body


def environ_of(body: bytes, **more: Any) -> dict[str, Any]:
    """A delivery as a WSGI environment."""
    return {"REQUEST_METHOD": "POST", "HTTP_WEBHOOK_ID": "e1", "wsgi.input": io.BytesIO(body), **more}


CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}


@pytest.mark.parametrize(
    ("environ", "status", "body"),
    [
        (environ_of(b"whole and more", CONTENT_LENGTH="5"), 200, b"whole"),
        (environ_of(b"chunks", **CHUNKED), 200, b"chunks"),
        (environ_of(b"chunks", CONTENT_LENGTH="", **CHUNKED), 200, b"chunks"),
        (environ_of(b"ignored"), 200, b""),
        (environ_of(b"chunks", HTTP_TRANSFER_ENCODING="chunked"), 411, None),  # a server that cannot read them
        (environ_of(b"half", CONTENT_LENGTH="9"), 503, None),
        (environ_of(b"", CONTENT_LENGTH="many"), 411, None),
        (environ_of(b"", CONTENT_LENGTH=str(MAX_BODY_BYTES + 1)), 413, None),
        (environ_of(bytes(MAX_BODY_BYTES + 1), **CHUNKED), 413, None),
    ],
)
def test_under_wsgi_a_body_is_taken_whole_or_not_at_all(
    environ: dict[str, Any], status: int, body: bytes | None
) -> None:
    """With its length, or in chunks; an incomplete one is not handled."""
    got: list[Event] = []
    assert dispatch_environ(inbox_of(does=got.append), environ).status == status
    assert [event.body for event in got] == ([] if body is None else [body])
