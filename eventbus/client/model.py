"""The values that the client returns: events and deliveries."""

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from eventbus.client.encoding import decode_attribute, decompress
from eventbus.client.parsing import decode_body, parse_time
from eventbus.core.batch_format import PUBLISHER_FIELD
from eventbus.core.event_attributes import EXPIRY_ATTRIBUTE

STRUCTURED = "application/cloudevents+json"
_DATA_NAMES = ("data", "data_base64")


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Names in ``headers`` are lower case.

    ``at`` is when it was accepted, for one that was read from the bus, and when this attempt was made, for one
    that was delivered; ``attempt`` counts from 1, and is 0 for one that was read. ``key`` is its order key.
    ``scheduled_for`` is when it is due, while it waits for that.
    """

    id: str
    topic: str | None
    body: bytes
    headers: Mapping[str, str]
    at: datetime
    attempt: int = 0
    key: str | None = None
    scheduled_for: datetime | None = None

    @property
    def content_type(self) -> str:
        """Return the media type, without parameters, in lower case; empty where the publisher gave none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def publisher(self) -> str | None:
        """Return the name of the token that published it; None where that has none."""
        return self.headers.get(PUBLISHER_FIELD)

    @property
    def plain(self) -> bytes:
        """Return the body before gzip compressed it (``Content-Encoding``). Raises BadBody."""
        return decompress(self.body, self.headers.get("content-encoding", ""))

    @property
    def text(self) -> str:
        """Return the body as UTF-8. Raises ValueError."""
        return self.plain.decode()

    def json(self) -> Any:
        """Return the body as JSON, whatever its type. Raises ValueError."""
        return json.loads(self.plain)

    @property
    def data(self) -> Any:
        """Return what was published: JSON and text decoded, the data of a structured CloudEvent, else the bytes.

        A JSON object or array is decoded whatever its type says: many clients send JSON without its type.
        """
        kind = self.content_type
        if kind == STRUCTURED:
            return self._structured_data()
        if kind == "application/json" or kind.endswith("+json"):
            return self.json()
        body = self.plain
        if body.lstrip(b" \t\r\n")[:1] in (b"{", b"["):
            with suppress(ValueError, RecursionError):
                return json.loads(body)
        return body.decode() if kind.startswith("text/") else body

    @property
    def attributes(self) -> dict[str, Any]:
        """Return the CloudEvents attributes, in either mode; empty where the event is no CloudEvent."""
        if self.content_type == STRUCTURED:
            return {name: value for name, value in self.json().items() if name not in _DATA_NAMES}
        found = {name[3:]: decode_attribute(value) for name, value in self.headers.items() if name.startswith("ce-")}
        if found and "content-type" in self.headers:
            found["datacontenttype"] = self.headers["content-type"]
        return found

    @property
    def expires_at(self) -> datetime | None:
        """Return when the event expires, None for one that does not: the bus attempts no delivery of it then."""
        text = self.headers.get(f"ce-{EXPIRY_ATTRIBUTE}")
        if text is None and self.content_type == STRUCTURED:
            with suppress(ValueError, RecursionError):
                text = self.attributes.get(EXPIRY_ATTRIBUTE)
        with suppress(ValueError, OverflowError):
            return None if text is None else parse_time(str(decode_attribute(text)))
        return None

    def _structured_data(self) -> Any:
        envelope = self.json()
        return base64.b64decode(envelope["data_base64"]) if "data_base64" in envelope else envelope.get("data")

    @classmethod
    def from_json(cls, payload: Mapping[str, Any]) -> Self:
        """Parse an event as the bus writes it. Raises KeyError, TypeError, ValueError or AttributeError."""
        headers = {name.lower(): value for name, value in payload["headers"].items()}
        at, key = parse_time(payload["accepted_at"]), payload.get("key")  # an older bus gives no key
        due = parse_time(payload["scheduled_for"]) if "scheduled_for" in payload else None
        return cls(payload["id"], payload["topic"], decode_body(payload["body"]), headers, at, 0, key, due)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery of an event to one subscriber: ``pending``, ``delivered``, ``filtered``, ``dead`` or ``discarded``.

    It has the ``address`` of the subscriber, and its ``path`` where it has one, or the name of the ``group``.
    """

    address: str | None
    state: str
    attempts: int = 0
    next_attempt_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None
    group: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Retried:
    """How many deliveries wait for a retry, and are due now unless the subscription's ``state`` says otherwise.

    That is ``paused``, ``waiting for credentials`` or ``expired``; None where an older bus does not say.
    """

    retried: int
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """An event that was skipped: how many of its deliveries are dead letters, and how many are still in flight.

    Those are dead letters unless their attempts succeed.
    """

    skipped: int
    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of a published event when its publisher stopped waiting: the number of deliveries in each state.

    ``subscriptions`` are some of them, those that are not delivered first, and ``more`` how many others there are.
    """

    delivered: int
    filtered: int
    pending: int
    dead: int
    discarded: int
    subscriptions: tuple[Delivery, ...] = ()
    more: int = 0

    @property
    def settled(self) -> bool:
        """Whether nothing is pending."""
        return not self.pending

    @property
    def succeeded(self) -> bool:
        """Whether every subscription that wants the event has it."""
        return not (self.pending or self.dead or self.discarded)


@dataclass(frozen=True, slots=True)
class Published:
    """The result of a publish. ``duplicate`` says that its key was known, and that nothing was kept a second time.

    ``scheduled_for`` is when it is due, None where it entered the journal at once.
    """

    ids: tuple[str, ...]
    subscribers: int
    duplicate: bool
    fate: Fate | None = None  # what became of the event, where that was waited for
    scheduled_for: datetime | None = None

    @property
    def id(self) -> str:
        """Return the first event's id."""
        return self.ids[0]


class PublishedMany(list[str]):
    """The ids of events that were published together; ``scheduled_for`` is as in ``Published``."""

    scheduled_for: datetime | None = None
