"""Iterate over the journal: pages for what is there, a stream for what comes. It resumes after a lost connection."""

import json
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

from eventbus.client.calls import PAGE_LIMIT, Call, Caller
from eventbus.client.encoding import check_patterns
from eventbus.client.errors import NotFound, ProtocolError, Unavailable, Unreachable, UsageError
from eventbus.client.http import Stream
from eventbus.client.model import Event
from eventbus.core.event_ids import new_event_id
from eventbus.core.topics import matches

#: Where to begin: after an event's id or a time, ``"now"``, or None, with the oldest.
Position = str | datetime | None
#: Seconds without a byte of a stream, which has a heartbeat every 15, after which it is opened again.
STREAM_TIMEOUT_SECONDS = 40.0


class Feed:
    """Iterates over events. Another thread may close it, which ends the iteration."""

    def __init__(self, caller: Caller, after: Position, topics: Sequence[str], *, follow: bool) -> None:
        self._caller = caller
        self._topics = check_patterns(topics)
        self._last = event_id_at(after) if isinstance(after, datetime) else after
        self._stream: Stream | None = None
        self._closed = threading.Event()
        self._received_at = 0.0  # on the monotonic clock
        self._events = self._follow() if follow else self._read_pages()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        return next(self._events)

    def close(self) -> None:
        """End the iteration, also for a thread that waits for the next event."""
        self._closed.set()
        if self._stream is not None:
            self._stream.interrupt()
        with suppress(ValueError):  # it runs in another thread, which will see that it is closed
            self._events.close()

    def _read_pages(self) -> Generator[Event]:
        """Yield everything up to the newest event.

        Topics are filtered here: the bus names no position to resume at where no event of a long range matches.
        """
        more = self._last != "now"
        while more and not self._closed.is_set():
            after = [("after", self._last)] if self._last else []
            call = Call(method="GET", path="/events", query=[*after, ("limit", str(PAGE_LIMIT))])
            headers, payload = self._caller.head_and_json(call)
            self._check_start(headers)
            yield from self._filter(map(parse_event, payload["events"]))
            self._last, more = payload["next"], bool(payload["next"])

    def _follow(self) -> Generator[Event]:
        """Yield everything. Raises BusError where the bus is away for longer than the backoff's ``max_elapsed``."""
        tries, self._received_at = 0, time.monotonic()
        while not self._closed.is_set():
            error: Exception = Unreachable("The bus ended the stream.", sent=True)
            try:
                for event in self._filter(self._read_stream()):
                    tries = 0
                    yield event
            except (Unreachable, Unavailable) as failure:
                error = failure
            tries += 1
            wait = self._caller.pause(tries, error)
            if (
                time.monotonic() + wait >= self._received_at + self._caller.backoff.max_elapsed
                and not self._closed.is_set()
            ):
                raise error
            self._closed.wait(wait)

    def _read_stream(self) -> Iterator[Event]:
        """Yield the events of one stream, from where the last one ended."""
        query = [("topic", topic) for topic in self._topics]
        last = {"Last-Event-ID": self._start} if self._start else {}
        stream = self._stream = self._caller.stream(
            Call(method="GET", path="/events", query=query, headers=last), timeout=STREAM_TIMEOUT_SECONDS
        )
        try:
            self._check_start(stream.response.headers)
            self._last = self._start or _opened_at_id(stream.response.headers)
            if self._closed.is_set():
                return
            for fields in parse_server_sent(stream.lines()):
                event = parse_event(json.loads(fields["data"]))
                self._last = fields.get("id", event.id)
                yield event
        finally:
            self._received_at = time.monotonic()
            stream.close()

    def _check_start(self, headers: Mapping[str, str]) -> None:
        """Raise NotFound where the bus begins with its oldest event, because it does not know the position."""
        if headers.get("eventbus-resumed") == "earliest":
            raise NotFound(404, f"Event {str(self._last)[:80]!r} is not in the journal, and its id holds no time.")

    @property
    def _start(self) -> str | None:
        """Return the position as a stream takes it; None is now."""
        return None if self._last == "now" else self._last or OLDEST_EVENT_ID

    def _filter(self, events: Iterable[Event]) -> Iterator[Event]:
        return (event for event in events if matches(self._topics, event.topic))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def parse_server_sent(lines: Iterable[bytes]) -> Iterator[dict[str, str]]:
    """Yield the fields of each server-sent event (WHATWG HTML, 9.2.6), as far as the bus uses them."""
    fields: dict[str, str] = {}
    for line in lines:
        text = line.decode().removesuffix("\r")
        if not text and "data" in fields:
            yield fields
            fields = {}
        elif text and not text.startswith(":"):
            name, _, value = text.partition(":")
            fields[name] = value.removeprefix(" ")


def event_id_at(at: datetime) -> str:
    """Return an id for a time: a UUIDv7, whose time the bus reads if no event has the id."""
    if at.tzinfo is None:
        raise UsageError(f"The time {at.isoformat()} has no offset; make it with one, such as datetime.now(UTC).")
    return new_event_id(max(0, int(at.timestamp() * 1_000)), entropy=bytes(10))


#: The id for a time before every event.
OLDEST_EVENT_ID = event_id_at(datetime.fromtimestamp(0, UTC))


def _opened_at_id(headers: Mapping[str, str]) -> str:
    """Return the id at which a stream resumes if it breaks before its first event: now by the bus's clock."""
    try:
        return event_id_at(parsedate_to_datetime(headers["date"]))
    except (KeyError, ValueError):
        return event_id_at(datetime.now(UTC))


def parse_event(payload: Any) -> Event:
    """Return an event as the bus writes it. Raises ProtocolError."""
    try:
        return Event.from_json(payload)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"Not an event of a bus: {str(payload)[:80]}") from error
