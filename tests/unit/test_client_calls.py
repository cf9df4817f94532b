import json
from collections.abc import Iterator
from typing import Any

import pytest

from eventbus.client import NO_RETRY, Backoff, Bus, BusError, Delivery, Terms, UsageError
from eventbus.client import errors as tree
from eventbus.client.calls import MAX_RETRY_AFTER_SECONDS, api_error
from eventbus.client.http import Request, Response

QUICK = Backoff(first=0.001, longest=0.002, max_elapsed=30)
PUBLISHED = {"id": "e1", "subscribers": 2, "duplicate": False}


class Scripted:
    """A transport that answers by a script: a status, an error, or what JSON says."""

    def __init__(self, *script: Any) -> None:
        self._script: Iterator[Any] = iter(script)
        self.requests: list[Request] = []
        self.fresh: list[bool] = []

    def request(self, request: Request, *, fresh: bool = False) -> Response:
        """Answer with the next line of the script."""
        self.requests.append(request)
        self.fresh.append(fresh)
        step = next(self._script)
        if isinstance(step, Exception):
            raise step
        if isinstance(step, int):
            return Response(step, {"retry-after": "0"}, b'{"detail": "no"}')
        return Response(200, {}, step if isinstance(step, bytes) else json.dumps(step).encode())

    def stream(self, request: Request) -> Any:
        """No stream."""
        raise AssertionError(request)

    def close(self) -> None:
        """Nothing to close."""


def bus_on(*script: Any, backoff: Backoff = QUICK, **options: Any) -> tuple[Bus, Scripted]:
    """A bus that answers by a script."""
    transport = Scripted(*script)
    return Bus("http://bus", transport=transport, backoff=backoff, **options), transport


def lost(*, sent: bool) -> tree.Unreachable:
    """An answer that did not come."""
    return tree.Unreachable("gone", sent=sent)


@pytest.mark.parametrize("trouble", [lost(sent=True), lost(sent=False), 408, 425, 429, 502, 503, 504])
def test_a_publish_is_repeated_with_the_same_key(trouble: Exception | int) -> None:
    """What may go well later is sent again, as the same publish."""
    bus, transport = bus_on(trouble, trouble, PUBLISHED)
    assert bus.publish("a", b"x").id == "e1"
    keys = {request.headers["Idempotency-Key"] for request in transport.requests}
    assert (len(transport.requests), len(keys)) == (3, 1)


def test_each_publish_has_a_key_of_its_own() -> None:
    """Two calls are two events, unless the caller says by a key that they are one."""
    bus, transport = bus_on(PUBLISHED, PUBLISHED, PUBLISHED)
    for key in (None, None, "mine"):
        bus.publish("a", b"x", key=key)
    keys = [request.headers["Idempotency-Key"] for request in transport.requests]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 507])
def test_what_cannot_go_well_later_is_not_repeated(status: int) -> None:
    """A refusal is raised at once, with its status and reason."""
    bus, transport = bus_on(status)
    with pytest.raises(tree.ApiError, match="no") as error:
        bus.publish("a", b"x")
    assert (error.value.status, error.value.detail, len(transport.requests)) == (status, "no", 1)


def test_retries_end() -> None:
    """After so many seconds the last error is raised; without a backoff after one try."""
    bus, transport = bus_on(*[503] * 1_000, backoff=Backoff(first=0.02, longest=0.02, max_elapsed=0.1))
    with pytest.raises(tree.Unavailable):
        bus.publish("a", b"x")
    assert len(transport.requests) > 1
    bus, transport = bus_on(lost(sent=False), backoff=NO_RETRY)
    with pytest.raises(tree.Unreachable):
        bus.publish("a", b"x")


def test_a_replay_is_repeated_only_where_it_was_not_begun() -> None:
    """A lost response may be of a replay that has begun; a refused connection and a 503 do not."""
    bus, transport = bus_on(lost(sent=False), 503, {"events": 3})
    assert bus.replay("a:1", start="earliest") == 3
    assert transport.fresh == [True] * 3  # a kept connection may have been closed: not distinguishable from a loss
    bus, transport = bus_on(lost(sent=True))
    with pytest.raises(tree.Unreachable):
        bus.replay("a:1", start="earliest")


@pytest.mark.parametrize(
    ("payload", "seconds"),
    [
        *(
            ("7", 7.0),
            ("0", 0.0),
            ("99999999999999", MAX_RETRY_AFTER_SECONDS),
            ("", None),
            ("soon", None),
            ("-1", None),
        ),
        *(("Fri, 01 Jan 2100 00:00:00 GMT", MAX_RETRY_AFTER_SECONDS), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)),
    ],
)
def test_retry_after_is_read_where_it_is_sensible(payload: str, seconds: float | None) -> None:
    """Seconds or a date, and never longer than an hour."""
    assert api_error(Response(503, {"retry-after": payload}, b"")).retry_after == seconds


def test_waits_grow_and_are_never_shorter_than_asked() -> None:
    """Full jitter up to a bound that doubles, on top of what Retry-After asks for."""
    backoff = Backoff(first=0.1, longest=5)
    assert [backoff.wait(tries, 1.0) for tries in (1, 2, 3, 7, 10_000)] == [0.1, 0.2, 0.4, 5, 5]
    assert backoff.wait(3, 0.0) == 0
    assert backoff.wait(1, 0.5, 20) == 20.05


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b"null", b'{"id": "e"}', b"\xff"])
def test_an_answer_that_no_bus_gives_is_an_error(body: bytes) -> None:
    """A 200 from elsewhere is not taken for an event that is safe."""
    bus, _ = bus_on(body)
    with pytest.raises(tree.ProtocolError, match="Not a bus's"):
        bus.publish("a", b"x")


def test_a_token_is_sent_with_each_call() -> None:
    """As RFC 6750 has it, and in no query."""
    bus, transport = bus_on(PUBLISHED, {"subscribers": []}, token="secret")  # noqa: S106 - a test's own
    bus.publish("a")
    bus.subscribers()
    assert {request.headers["Authorization"] for request in transport.requests} == {"Bearer secret"}
    assert "secret" not in "".join(request.target for request in transport.requests)


def test_a_batch_can_be_taken_up_again() -> None:
    """Each batch has a key that follows from the call's, so that the same call repeats nothing."""
    answers = [
        {"ids": ["a", "b"], "subscribers": 0, "duplicate": False},
        {"ids": ["c"], "subscribers": 0, "duplicate": 0},
    ]
    bus, transport = bus_on(*answers, *answers)
    counts: list[int] = []
    for _ in range(2):
        assert bus.publish_many("t", [1, 2, 3], size=2, key="k", progress=counts.append) == ["a", "b", "c"]
    keys = [request.headers["Idempotency-Key"] for request in transport.requests]
    assert keys == ["k-0", "k-1"] * 2
    assert [request.body for request in transport.requests[:2]] == [b"1\n2", b"3"]
    assert transport.requests[0].target == "/sendMessage?topic=t&batch=lines"
    assert counts == [2, 3, 2, 3]


def test_a_registration_says_what_was_asked_for() -> None:
    """What is None is left to the bus; no topic at all is everything."""
    bus, transport = bus_on(*[400] * 3)
    for options in (
        {"topics": ("a.*", "b"), "terms": Terms(lease=30, ordered=True, resume=False, start="earliest")},
        {"topics": ()},
        {},
    ):
        with pytest.raises(tree.ApiError):
            bus.register("h:1", **options)  # type: ignore[arg-type]
    targets = [request.target.partition("?")[2] for request in transport.requests]
    assert targets == [
        "address=h%3A1&topic=a.%2A&topic=b&lease=30&ordered=true&resume=false&from=earliest",
        "address=h%3A1&topic=",
        "address=h%3A1",
    ]


@pytest.mark.parametrize(
    ("option", "value"),
    [("backoff", 5), ("backoff", (5, 1)), ("backoff", "5"), ("backoff", (1, 2, 3)), ("filter", object())],
)
def test_terms_that_no_query_can_say_are_refused(option: str, value: Any) -> None:
    """The error names the option, and what it may be."""
    with pytest.raises(ValueError, match=rf"^{option} must be (two numbers from 0\.1 to 3600|an expression).*, not "):
        Terms(**{option: value})


def test_the_bus_is_found_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """EVENTBUS_URL and EVENTBUS_TOKEN; without the first an error that names it."""
    monkeypatch.delenv("EVENTBUS_URL", raising=False)
    with pytest.raises(UsageError, match="EVENTBUS_URL is not set"):
        Bus.from_env()
    monkeypatch.setenv("EVENTBUS_URL", "http://bus:3000")
    monkeypatch.setenv("EVENTBUS_TOKEN", "secret")
    transport = Scripted(PUBLISHED)
    assert Bus.from_env(transport=transport).url == "http://bus:3000"
    Bus.from_env(transport=transport).publish("a")
    assert transport.requests[0].headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("url", ["", "ftp://bus", "http://", "http://bus:99999", "http://me:pw@bus", "http://bus:0"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    """The error shows what a URL looks like."""
    with pytest.raises(UsageError, match="http://HOST:PORT"):
        Bus(url)


def test_everything_is_one_tree() -> None:
    """Whoever catches BusError catches all that the client raises; what a handler answers is not among it."""
    raised = [found for found in vars(tree).values() if isinstance(found, type) and issubclass(found, Exception)]
    assert all(issubclass(found, BusError) != issubclass(found, tree.HandlerResult) for found in raised)
    drawn = {line.strip("│├└─ ").split(" ")[0] for line in (tree.__doc__ or "").splitlines() if line.strip()}
    assert {found.__name__ for found in raised} <= drawn


def test_which_dead_letters_are_meant_has_to_be_said() -> None:
    """Nobody discards all of them by leaving something out."""
    bus, transport = bus_on()
    for chosen in ({}, {"address": "a", "everything": True}, {"letter": 1, "address": "a"}):
        with pytest.raises(UsageError, match="which dead letters"):
            bus.discard(**chosen)  # type: ignore[arg-type]
    assert not transport.requests


SETTLED = {
    **PUBLISHED, "delivered": 1, "filtered": 0, "pending": 1, "dead": 0, "discarded": 0, "more": 3,
    "subscriptions": [
        {"address": None, "path": None, "group": "g", "state": "pending", "status": None, "attempts": None},
        {"address": "h:1", "path": "/x", "group": None, "state": "delivered", "status": 204, "attempts": 2},
    ],
}  # fmt: skip


def test_a_publish_that_waits_has_the_fate_of_its_event() -> None:
    """Each subscription as a delivery, and a timeout that is longer by as much as the bus may wait."""
    bus, transport = bus_on(SETTLED, timeout=2.0)
    fate = bus.publish("a", b"x", settle=5).fate
    assert fate is not None
    assert (fate.delivered, fate.pending, fate.more, fate.settled, fate.succeeded) == (1, 1, 3, False, False)
    assert fate.subscriptions == (
        Delivery(None, "pending", 0, group="g"),
        Delivery("h:1", "delivered", 2, last_status=204, path="/x"),
    )
    (request,) = transport.requests
    assert request.target == "/sendMessage?topic=a&settle=5"
    assert request.timeout == 7.0


def test_a_publish_that_does_not_wait_has_no_fate() -> None:
    """And its timeout is that of every call."""
    bus, transport = bus_on(PUBLISHED, timeout=2.0)
    assert bus.publish("a", b"x").fate is None
    assert transport.requests[0].timeout == 2.0


@pytest.mark.parametrize("seconds", [0, 0.05, 61, -1, float("nan")])
def test_only_a_time_that_the_bus_takes_may_be_waited(seconds: float) -> None:
    """Anything else is refused before the bus is asked."""
    bus, transport = bus_on()
    with pytest.raises(UsageError, match=r"from 0\.1 to 60 seconds"):
        bus.publish("a", b"x", settle=seconds)
    assert transport.requests == []


def test_a_publish_that_waits_is_repeated_with_the_same_key() -> None:
    """A bus where too many wait is asked again."""
    bus, transport = bus_on(429, lost(sent=True), SETTLED)
    assert bus.publish("a", b"x", settle=5).fate is not None
    assert len({request.headers["Idempotency-Key"] for request in transport.requests}) == 1


def test_an_older_bus_that_tells_no_fate_is_no_bus_for_it() -> None:
    """A bus that does not know ``settle`` has published the event; the error says what it answered."""
    bus, _ = bus_on(PUBLISHED)
    with pytest.raises(BusError, match="Not a bus's response to a publish"):
        bus.publish("a", b"x", settle=5)
