"""``/sendMessage``: take one event in, or many, and answer when they are safe."""

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from itertools import islice
from typing import Any

import gevent
from flask import Blueprint, request
from werkzeug.exceptions import RequestEntityTooLarge

from eventbus.bus import Bus
from eventbus.errors import Refused
from eventbus.event_id import is_header_safe, new_event_id, new_event_ids
from eventbus.journal.base import Appended
from eventbus.model import Message
from eventbus.tokens import Scope
from eventbus.web.access import needs
from eventbus.web.answers import SUCCESS, Reply, as_json, text, wants_json
from eventbus.web.body import read_body
from eventbus.web.cloudevents import BATCH, STRUCTURED, parse_batch, parse_one
from eventbus.web.current import the_bus
from eventbus.web.kept_headers import kept_head, topic_of
from eventbus.web.query import Query, parse_query

#: Events in one batch, at most, and bytes of its body.
MAX_BATCH_EVENTS = 10_000
MAX_BATCH_LINES = 2 * MAX_BATCH_EVENTS
MAX_BATCH_BYTES = 16 * 1024 * 1024
#: Different topics of one batch, at most, and those that are looked at without letting other greenlets run.
MAX_BATCH_TOPICS, SLICE_OF_TOPICS = 1_000, 10
#: Events of a batch that are made without letting other greenlets run.
SLICE = 200
#: The kept headers of an event that came in a batch.
_JSON_HEAD = b"Content-Type: application/json\r\n"
_STRUCTURED_HEAD = f"Content-Type: {STRUCTURED}\r\n".encode()

blueprint = Blueprint("messages", __name__)


@blueprint.post("/sendMessage", provide_automatic_options=False)
@needs(Scope.PUBLISH)
def send_message() -> Reply:
    """Publish the body as one event, or as a batch."""
    bus = the_bus()
    environ = request.environ
    query = parse_query(environ["QUERY_STRING"])
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if "batch" in query.values or kind == BATCH:
        return _many(bus, query, kind)
    topic = topic_of(query.first("topic"), environ.get("HTTP_CE_TYPE"))
    head = kept_head(environ)
    body = read_body(request, bus.settings.max_body_bytes, bus.settings.request_seconds)
    event_id = new_event_id()
    if kind == STRUCTURED:
        cloud_event = parse_one(body)
        event_id, topic = cloud_event.id, topic_of(query.first("topic"), cloud_event.type)
    message = Message(event_id, topic, head, body, bus.clock.wall())
    return _answer(bus, (message,), bus.publish((message,), _idempotency_key(environ)), batch=False)


def _many(bus: Bus, query: Query, kind: str) -> Reply:
    """Publish a batch: all of it, or none."""
    how = query.first("batch")
    if how not in (None, "lines"):
        raise Refused(f"batch is lines, not {(how or '')[:40]!r}; a batch of CloudEvents is told by its Content-Type.")
    body = read_body(request, MAX_BATCH_BYTES, bus.settings.request_seconds)
    topic = topic_of(query.first("topic"), request.environ.get("HTTP_CE_TYPE") if how else None)
    made = _from_lines(bus, body, topic) if how else _from_cloudevents(bus, body, topic)
    messages: list[Message] = []
    while part := list(islice(made, SLICE)):
        messages += part
        if len(part) == SLICE:
            gevent.sleep(0)
    _look_at_topics(bus, messages)
    sizes = [len(message.body) for message in messages]
    if (largest := max(sizes, default=0)) > bus.settings.max_body_bytes:
        number = sizes.index(largest)
        raise RequestEntityTooLarge(
            f"Event {number} of the batch has more than {bus.settings.max_body_bytes} bytes: {largest}."
        )
    if not messages:
        return _answer(bus, (), Appended(()), batch=True)
    return _answer(bus, messages, bus.publish(messages, _idempotency_key(request.environ)), batch=True)


def _look_at_topics(bus: Bus, messages: Sequence[Message]) -> None:
    """Find the subscribers of each topic, which takes its time for a new one, while others have their turns."""
    topics = {message.topic for message in messages}
    if len(topics) > MAX_BATCH_TOPICS:
        raise RequestEntityTooLarge(f"A batch has at most {MAX_BATCH_TOPICS} different topics, not {len(topics)}.")
    for number, topic in enumerate(topics):
        bus.dispatcher.matching(topic)
        if number % SLICE_OF_TOPICS == SLICE_OF_TOPICS - 1:
            gevent.sleep(0)


def _from_lines(bus: Bus, body: bytes, topic: str | None) -> Iterator[Message]:
    lines = list(islice(BytesIO(body), MAX_BATCH_LINES + 1))  # searches by memchr, where bytes.split looks at each byte
    if len(lines) > MAX_BATCH_LINES:
        raise RequestEntityTooLarge(f"A batch has at most {MAX_BATCH_LINES} lines, blank ones included.")
    bodies = [line.rstrip(b"\n").removesuffix(b"\r") for line in lines if not line.isspace()]
    if len(bodies) > MAX_BATCH_EVENTS:
        raise RequestEntityTooLarge(f"A batch has at most {MAX_BATCH_EVENTS} events, not {len(bodies)}.")
    wall = bus.clock.wall()
    made = zip(new_event_ids(len(bodies)), bodies, strict=True)
    return (Message(event_id, topic, _JSON_HEAD, each, wall) for event_id, each in made)


def _from_cloudevents(bus: Bus, body: bytes, topic: str | None) -> Iterator[Message]:
    wall = bus.clock.wall()
    for number, event in enumerate(parse_batch(body, bus.settings.max_body_bytes)):
        if number >= MAX_BATCH_EVENTS:
            raise RequestEntityTooLarge(f"A batch has at most {MAX_BATCH_EVENTS} events.")
        yield Message(event.id, topic or topic_of(None, event.type), _STRUCTURED_HEAD, event.written, wall)


def _idempotency_key(environ: Mapping[str, Any]) -> str | None:
    """The key under which the same publish is known again. Raises Refused."""
    key: str | None = environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not is_header_safe(key):
        raise Refused("An Idempotency-Key is 1 to 256 visible ASCII characters.")
    return key


def _answer(bus: Bus, messages: Sequence[Message], appended: Appended, *, batch: bool) -> Reply:
    if not wants_json(request):
        response = text(SUCCESS)
    else:
        reached = 0 if appended.duplicate else _reach(bus, messages)
        said = {"ids": list(appended.ids)} if batch else {"id": appended.ids[0]}
        response = as_json({**said, "subscribers": reached, "duplicate": appended.duplicate})
    if appended.ids:
        response.headers["Webhook-Id"] = appended.ids[0]
    return response


def _reach(bus: Bus, messages: Sequence[Message]) -> int:
    """How many subscribers get something of this."""
    topics = {message.topic for message in messages}
    here = len({lane.subscriber.key for topic in topics for lane in bus.dispatcher.matching(topic)})
    return here + bus.company.reach(topics)
