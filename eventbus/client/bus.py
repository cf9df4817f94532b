"""The client of a bus, for publishers and operators."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

from eventbus.client import encoding
from eventbus.client.attempts import AttemptCalls
from eventbus.client.calls import Backoff, Call, Caller
from eventbus.client.control import Control
from eventbus.client.dead_letters import DeadLetterCalls
from eventbus.client.errors import UsageError
from eventbus.client.events import Feed, Position
from eventbus.client.http import HttpTransport, Transport
from eventbus.client.model import Delivery, Event, Published, PublishedMany
from eventbus.client.parameters import given, parameter, subscription
from eventbus.client.parsing import parse_as, parse_time
from eventbus.client.publishing import publish
from eventbus.client.registering import dry_run, register
from eventbus.client.scheduling import Delay, DueTime, due_query, scheduled_events
from eventbus.client.subscribers import DryRun, Subscriber, SubscriberList, Terms

#: Seconds without a byte of a response after which a call has failed.
TIMEOUT_SECONDS = 10.0


class Bus(AttemptCalls, DeadLetterCalls, Control):
    """A client of the bus at ``url``. Safe to share between threads and greenlets, and to use after a fork.

    ``token`` is sent with each call; ``backoff`` says when a call is retried; ``source`` makes each event that is
    published a CloudEvent from there. ``transport`` is for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        backoff: Backoff | None = None,
        source: str | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.url = url
        self._options: dict[str, Any] = {"token": token, "timeout": timeout, "source": source}
        self._source = source
        self._transport = transport or HttpTransport(url)
        self._caller = Caller(self._transport, token, timeout, backoff or Backoff())

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """Make a client of the bus at ``EVENTBUS_URL``, with ``EVENTBUS_TOKEN`` where it is set. Raises UsageError."""
        url = os.environ.get("EVENTBUS_URL")
        if not url:
            raise UsageError("EVENTBUS_URL is not set; set it to the bus's address, such as http://localhost:3000.")
        return cls(url, **{"token": os.environ.get("EVENTBUS_TOKEN") or None, **options})

    def with_backoff(self, backoff: Backoff) -> "Bus":
        """Return a client of the same bus, on the same connections, with another backoff."""
        return Bus(self.url, backoff=backoff, transport=self._transport, **self._options)

    # Publishing

    def publish(  # noqa: PLR0913 - each is a part of the event
        self,
        topic: str | None,
        data: Any = b"",
        *,
        content_type: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        order_by: str | None = None,
        expires: float | timedelta | datetime | None = None,
        delay: Delay | None = None,
        deliver_at: DueTime | None = None,
        settle: float | None = None,
    ) -> Published:
        """Publish one event, and return when it is durable.

        bytes are sent as they are, a str as text, anything else as JSON. ``attributes`` are those of CloudEvents;
        of ``headers`` the bus keeps ``traceparent``, ``tracestate`` and ``Content-Encoding``. ``key`` is the
        Idempotency-Key, by which a repeated publish is known; where it is left out, each call has its own.
        ``order_by`` is its order key: subscribers with ``ordered="key"`` get events with the same one in order.
        With ``delay`` (seconds, or a timedelta) or ``deliver_at`` (a datetime with an offset, or RFC 3339) it waits,
        and enters the journal when it is due. Raises BadTime, a ValueError, for others.
        ``expires`` is when nobody wants the event any more, in seconds from now on, or as a time: what was not
        delivered by then is a dead letter.

        With ``settle`` wait until every subscription has delivered the event, filtered it or given it up, or for so
        many seconds, from 0.1 to 60; the result's ``fate`` says which. The timeout of the call is so much longer.
        """
        key = key or uuid4().hex
        body, usual = encoding.encode_body(data)
        expiry, expiry_header = encoding.expiry(expires)
        sent = {"Idempotency-Key": key, **encoding.check_headers(headers or {})}
        if kind := content_type or usual:
            sent["Content-Type"] = kind
        if attributes is not None or self._source is not None:
            sent |= encoding.cloud_event_headers({"source": self._source, **(attributes or {})}, topic, key)
        query = given(topic=topic or None) + encoding.order_key_query(order_by) + due_query(delay, deliver_at, settle)
        return publish(self._caller, query + expiry, body, sent | expiry_header, settle=settle)

    def publish_many(  # noqa: PLR0913 - each is an option of its own
        self,
        topic: str | None,
        items: Iterable[Any],
        *,
        size: int = 1_000,
        key: str | None = None,
        expires: float | timedelta | datetime | None = None,
        progress: Callable[[int], object] | None = None,
        delay: Delay | None = None,
        deliver_at: DueTime | None = None,
    ) -> PublishedMany:
        """Publish each item as an event of its own, ``size`` at a time. Return their ids, in order.

        Each is delivered as JSON: bytes have to be JSON already. Of a batch, all events are kept or none. After
        an error the same call with the same ``key`` adds what is missing and repeats nothing. ``progress`` is called
        with the number of events that are durable so far. ``expires``, ``delay`` and ``deliver_at`` are as in
        ``publish``: all events are due at the same time, which is the result's ``scheduled_for``.
        """
        key, ids = key or uuid4().hex, PublishedMany()
        due = due_query(delay, deliver_at)
        expiry, expiry_header = encoding.expiry(expires)
        for number, lines in enumerate(encoding.batches(items, size)):
            headers = {"Idempotency-Key": f"{key}-{number}", "Content-Type": "application/x-ndjson", **expiry_header}
            query = given(topic=topic or None) + due + expiry
            published = publish(self._caller, query, b"\n".join(lines), headers, batch=True)
            ids += published.ids
            if published.scheduled_for is not None:  # a delay counts from the first batch
                ids.scheduled_for = published.scheduled_for
                due = due_query(None, ids.scheduled_for)
            if progress is not None:
                progress(len(ids))
        return ids

    # Subscribers

    def register(
        self,
        address: str,
        *,
        topics: Sequence[str] | None = None,
        terms: Terms | None = None,
        authorization: str | None = None,
        secret: str | None = None,
    ) -> Subscriber:
        """Register an address, or renew its lease; ``topics=()`` is every topic.

        Deliveries have the ``authorization``, and are signed by the ``secret``; give both with each renewal. None
        leaves one as it was, and an empty text removes it.
        """
        return register(self._caller, address, topics, terms, authorization, secret)

    def dry_run(self, address: str, **options: Any) -> DryRun:
        """Return what ``register`` would do with the same options, and how many of the last day's events match."""
        return dry_run(self._caller, address, **options)

    def deregister(self, address: str | None = None, *, path: str | None = None, group: str | None = None) -> int:
        """End the lease of an address or a group, and discard its pending deliveries. Return how many there were.

        An address that is a member of a group only leaves it; then nothing is discarded. One that was registered with
        a ``path`` is named by both, here and below.
        """
        query = subscription(address, path, group)
        payload = self._caller.json(Call(method="DELETE", path="/deregister", query=query))
        return int(payload.get("discarded", 0))

    def subscribers(self, *, expired: bool = False) -> SubscriberList:
        """Return the live subscribers, or the expired ones, with their state, and the groups."""
        query = given(expired=True if expired else None)
        payload = self._caller.json(Call(method="GET", path="/listSubscribers", query=query))
        return SubscriberList.of(payload, expired=expired)

    # Events and replays

    def events(self, *, after: Position = None, topics: Sequence[str] = (), follow: bool = False) -> Feed:
        """Iterate over the journal's events, oldest first; with ``follow`` over those to come, too, without end.

        ``after`` is the last event's id that was seen, a time, or ``"now"``.
        """
        return Feed(self._caller, after, topics, follow=follow)

    def event(self, event_id: str) -> Event:
        """Return one event. Raises NotFound."""
        return Event.from_json(self._event(event_id))

    def deliveries(self, event_id: str) -> list[Delivery]:
        """Return the deliveries of an event, one for each subscriber. Raises NotFound."""
        return [parse_as(Delivery, one) for one in self._event(event_id)["deliveries"]]

    def _event(self, event_id: str) -> Any:
        return self._caller.json(Call(method="GET", path=f"/events/{quote(event_id, safe='')}"))

    def scheduled(self) -> Iterator[Event]:
        """Yield the events that wait until they are due, the next one first. They are requested page by page."""
        return scheduled_events(self._caller)

    def cancel(self, event_id: str) -> datetime:
        """Cancel an event that is not due yet. Return when it was cancelled.

        Raises Conflict where it has entered the journal, and NotFound. Repeated, it does nothing more.
        """
        payload = self._caller.json(Call(method="DELETE", path=f"/events/{quote(event_id, safe='')}"))
        return parse_time(payload["cancelled_at"])

    def replay(
        self,
        address: str | None = None,
        *,
        path: str | None = None,
        group: str | None = None,
        start: str | datetime,
        end: str | datetime = "now",
    ) -> int:
        """Deliver a range of the journal to one subscriber again. Return how many events.

        ``start`` and ``end`` are ``"earliest"``, ``"now"``, an event's id, or a time. Not repeated when its answer
        is lost: each call that arrives is a replay of its own.
        """
        query = [*subscription(address, path, group), ("from", parameter(start)), ("to", parameter(end))]
        return int(self._caller.json(Call(method="POST", path="/replay", query=query, repeatable=False))["events"])

    def close(self) -> None:
        """Close the idle connections. The client can be used again."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
