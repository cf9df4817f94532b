"""A fake bus: it records what is published, and delivers it to inboxes if asked to."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

from eventbus.client.bus import Bus
from eventbus.client.calls import NO_RETRY
from eventbus.client.dispatch import InboxResponse
from eventbus.client.encoding import rfc3339
from eventbus.client.errors import BusError, KeyReused, UsageError
from eventbus.client.http import Request, Response, Transport
from eventbus.client.inbox import Inbox
from eventbus.client.model import Event
from eventbus.core.clock import rfc3339_ms
from eventbus.core.event_expiry import parse_expires
from eventbus.core.override import override
from eventbus.core.topics import matches
from eventbus.testing.batches import deliver_together
from eventbus.testing.deliveries import passes
from eventbus.testing.fake_schedule import FakeSchedule, due_of
from eventbus.testing.fake_subscribers import FakeSubscribers
from eventbus.testing.fates import Said, fate_json

_EVENT_PATH = "/events/"
_KEPT_HEADERS = ("content-type", "content-encoding", "traceparent", "tracestate")


class FakeBus(Bus):
    """Behaves as a bus without other clients, without a network: publishing, registering, and reading ``events()``.

    Raises UsageError for what it does not have, such as dead letters and streams.
    """

    def __init__(self, *, source: str | None = None) -> None:
        self._fake = FakeTransport()
        super().__init__("http://fake", source=source, transport=self._fake, backoff=NO_RETRY)

    @property
    def published(self) -> list[Event]:
        """Return all events that were published, in order; a repeated key adds none."""
        return list(self._fake.events)

    def enter_scheduled(self, until: datetime | None = None) -> list[Event]:
        """Let events enter that wait and are due until a time, or all that wait now. Return those that entered.

        They are recorded and delivered in the order in which they are due. Until then they are not ``published``:
        ``scheduled()`` has them, however long a test takes.
        """
        return self._fake.enter(until)

    def deliver_to(self, inbox: Inbox) -> None:
        """Deliver events to an inbox from now on, signed, before ``publish`` returns, if it has a handler for them.

        With a ``batch`` in the inbox's terms those that are published together come together, so many at a time.
        """
        self._fake.inboxes.append(inbox)

    @property
    def answers(self) -> list[tuple[Event, InboxResponse]]:
        """Return the inboxes' responses, in order: one for each event, also where several came in one request."""
        return list(self._fake.answers)

    def fail_next(self, *errors: BusError) -> None:
        """Make the next calls raise these errors, one each."""
        self._fake.errors.extend(errors)


class FakeTransport(Transport):
    """A transport that answers as the bus does."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.answers: list[tuple[Event, InboxResponse]] = []
        self.inboxes: list[Inbox] = []
        self.errors: list[BusError] = []
        self._keys: dict[str, tuple[str, ...]] = {}
        self._fates: dict[str, dict[str, Said]] = {}  # by event and inbox
        self._due: dict[str, datetime | None] = {}
        self._schedule = FakeSchedule()
        self._contents: dict[str, tuple[list[str], bytes | None]] = {}  # what was asked for and the body, by key
        self._subscribers = subscribers = FakeSubscribers()
        self._routes: dict[tuple[str, str], Callable[[Request, dict[str, list[str]]], Any]] = {
            ("POST", "/sendMessage"): self._publish,
            ("POST", "/registerAndKeepAlive"): self._register,
            ("DELETE", "/deregister"): lambda _, query: subscribers.deregister(query),
            ("GET", "/listSubscribers"): lambda _, query: subscribers.list(expired="expired" in query),
            ("POST", "/pause"): lambda _, query: subscribers.pause(query),
            ("POST", "/resume"): lambda _, query: subscribers.resume(query),
            ("POST", "/retry"): lambda _, query: subscribers.retry(query),
            ("GET", "/events"): self._page,
        }

    @override
    def request(self, request: Request, *, fresh: bool = False) -> Response:
        if self.errors:
            raise self.errors.pop(0)
        parts = urlsplit(request.target)
        query = parse_qs(parts.query, keep_blank_values=True)
        route = self._routes.get((request.method, parts.path))
        if route is None and request.method == "DELETE" and parts.path.startswith(_EVENT_PATH):
            payload: Any = self._cancel(unquote(parts.path).removeprefix(_EVENT_PATH))
        else:
            payload = self._one(parts.path) if route is None else route(request, query)
        return Response(200, {}, json.dumps(payload).encode())

    @override
    def stream(self, request: Request) -> NoReturn:
        raise UsageError(f"A fake bus has no stream ({request.target}); eventbus.testing.LiveServer has.")

    @override
    def close(self) -> None:
        pass

    def _register(self, request: Request, query: dict[str, list[str]]) -> dict[str, Any]:
        if "dry_run" in query:
            raise UsageError("A fake bus has no dry run; eventbus.testing.LiveServer has.")
        return self._subscribers.register(query, request.headers)

    def _publish(self, request: Request, query: dict[str, list[str]]) -> dict[str, Any]:
        headers = {name.lower(): value for name, value in request.headers.items()}
        batch, key = "batch" in query, headers.get("idempotency-key", "")
        asked = [value for name in ("topic", "key", "expires") for value in query.get(name, [])]
        duplicate, content = key in self._keys, ([*asked, headers.get("ce-expirytime", "")], request.body)
        if duplicate and self._contents[key] != content:
            raise KeyReused(
                422,
                "This Idempotency-Key was used for another topic, order key, expiry or body; nothing of this was kept.",
            )
        self._contents[key] = content
        if not duplicate:
            now = datetime.now(UTC)
            due_at = due_of(query, now)
            kept = {"content-type": "application/json"} if batch else _kept(headers)
            kept |= _expiry(headers, query, due_at or now)
            topic = query.get("topic", [kept.get("ce-type")])[0]
            bodies = (request.body or b"").split(b"\n") if batch else [request.body or b""]
            order_key = query.get("key", [kept.get("ce-partitionkey")])[0]
            events = [Event(str(uuid4()), topic, body, kept, now, key=order_key) for body in bodies]
            self._keys[key], self._due[key] = tuple(event.id for event in events), due_at
            self._accept(topic, events, due_at)
        ids = self._keys[key]
        named = {"ids": ids} if batch else {"id": ids[0]}
        due = _text_of(self._due[key])
        fate = fate_json(self._fates.get(ids[0], {})) if "settle" in query else {}
        return {**named, "subscribers": 0, "duplicate": duplicate, "scheduled_for": due, **fate}

    def _accept(self, topic: str | None, events: Sequence[Event], due_at: datetime | None) -> None:
        """Record events that were published together, and deliver them, or keep them until they are due."""
        if due_at is not None:
            self._schedule.add(due_at, topic, events)
        else:
            self._enter(topic, events)

    def enter(self, until: datetime | None) -> list[Event]:
        """Let events enter that wait, and return them; see ``FakeBus.enter_scheduled``."""
        entered = []
        for due in self._schedule.take(until):
            self._enter(due.topic, due.events)
            entered += due.events
        return entered

    def _enter(self, topic: str | None, events: Sequence[Event]) -> None:
        """Record events, and deliver them, but for those that have expired when they enter."""
        self.events += events
        fates: dict[str, dict[str, Said]] = {event.id: {} for event in events}
        for number, inbox in enumerate(self.inboxes, 1):
            if not matches(inbox.topics, topic):
                continue
            wanted = [event for event in events if passes(inbox, event)]
            for event in events:
                fates[event.id][f"inbox-{number}"] = "expired" if event in wanted else "filtered"
            current = [event for event in wanted if event.expires_at is None or event.expires_at > event.at]
            for part in _in_parts(current, inbox.terms.batch or 1):
                for event, answer in zip(part, deliver_together(inbox, part), strict=True):
                    self.answers.append((event, answer))
                    fates[event.id][f"inbox-{number}"] = answer
        self._fates |= fates

    def _page(self, _: Request, query: dict[str, list[str]]) -> dict[str, Any]:
        if "scheduled" in query:
            waiting, following = self._schedule.page(query.get("after", [""])[0], int(query["limit"][0]))
            return {"events": [_event_json(event) for event in waiting], "next": following}
        ids = [event.id for event in self.events]
        start = 0
        with suppress(ValueError):  # an unknown position is before everything
            start = ids.index(query.get("after", [""])[0]) + 1
        found = self.events[start:][: int(query["limit"][0])]
        return {"events": [_event_json(event) for event in found], "next": found[-1].id if found else None}

    def _one(self, path: str) -> dict[str, Any]:
        for event in [*self.events, *self._schedule.events]:
            if unquote(path) == _EVENT_PATH + event.id:
                return {**_event_json(event), "deliveries": []}
        raise UsageError(f"A fake bus has no {path}; eventbus.testing.LiveServer has.")

    def _cancel(self, event_id: str) -> dict[str, Any]:
        return {"id": event_id, "cancelled_at": rfc3339(self._schedule.cancel(event_id, self.events))}


def _text_of(due_at: datetime | None) -> str | None:
    return None if due_at is None else rfc3339(due_at)


def _in_parts(events: Sequence[Event], size: int) -> Iterator[Sequence[Event]]:
    return (events[start : start + size] for start in range(0, len(events), size))


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in _KEPT_HEADERS or name.startswith("ce-")}


def _expiry(headers: Mapping[str, str], query: Mapping[str, Sequence[str]], since: datetime) -> dict[str, str]:
    """Return the kept header of an event that expires; seconds count from ``since``."""
    if "ce-expirytime" in headers:
        return {"ce-expirytime": headers["ce-expirytime"]}
    if "expires" not in query:
        return {}
    return {"ce-expirytime": rfc3339_ms(since.timestamp() + parse_expires(query["expires"][0]))}


def _event_json(event: Event) -> dict[str, Any]:
    """Return an event as the bus writes it."""
    try:
        body = {"text": event.body.decode()}
    except UnicodeDecodeError:
        body = {"base64": b64encode(event.body).decode()}
    payload = {"id": event.id, "topic": event.topic, "key": event.key, "headers": dict(event.headers), "body": body}
    due = {} if event.scheduled_for is None else {"scheduled_for": rfc3339(event.scheduled_for)}
    expires = None if event.expires_at is None else event.expires_at.isoformat()
    return {**payload, "accepted_at": event.at.isoformat(), "expires_at": expires, **due}
