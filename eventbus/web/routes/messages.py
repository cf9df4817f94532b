"""``/sendMessage``: take one event in, or many, and answer when they are safe."""

from collections.abc import Collection, Sequence
from io import BytesIO
from itertools import islice
from typing import Any

from flask import Blueprint, Request
from werkzeug.exceptions import RequestEntityTooLarge

from eventbus.core.errors import BadRequest
from eventbus.core.event_ids import new_event_id, new_event_ids
from eventbus.core.model import Message
from eventbus.core.tokens import Scope
from eventbus.journal.base import Appended
from eventbus.services.bus import Bus
from eventbus.web.accept import wants_json
from eventbus.web.access import needs
from eventbus.web.cloudevents import BATCH, STRUCTURED, CloudEvent, parse_batch, parse_one
from eventbus.web.current import the_bus, the_request
from eventbus.web.kept_headers import attribute, kept_head, topic_asked, topic_of_type
from eventbus.web.publish_once import once_key, once_key_of_batch
from eventbus.web.query import Query, query_of
from eventbus.web.replies import SUCCESS, Reply, as_json, text
from eventbus.web.server.byte_budget import MAX_BATCH_BYTES
from eventbus.web.server.request_body import read_body

#: Events in one batch, at most, and its lines.
MAX_BATCH_EVENTS = 10_000
MAX_BATCH_LINES = 2 * MAX_BATCH_EVENTS
#: Events that are made of lines between two moments at which other greenlets may have a turn.
YIELD_EVERY_LINES = 200
#: Different topics of one batch, at most.
MAX_BATCH_TOPICS = 1_000
#: The kept headers of an event that came in a batch.
_JSON_HEAD = b"Content-Type: application/json\r\n"
_STRUCTURED_HEAD = f"Content-Type: {STRUCTURED}\r\n".encode()

blueprint = Blueprint("messages", __name__)


@blueprint.post("/sendMessage", provide_automatic_options=False)
@needs(Scope.PUBLISH)
def send_message() -> Reply:
    """Publish the body as one event, or as a batch."""
    bus, request = the_bus(), the_request()
    environ = request.environ
    query = query_of(environ)
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if "batch" in query.values or kind == BATCH:
        return _many(bus, request, query)
    topic = topic_asked(query.first("topic"))
    head = kept_head(environ)
    body = read_body(request, bus.settings.max_body_bytes, bus.settings.request_seconds)
    if kind == STRUCTURED:
        bus.give_way()  # a MiB of JSON may take 60 ms
        event: CloudEvent | None = parse_one(body)
    else:
        event = None
    ce_type = attribute(environ, "type") if event is None else event.type
    if topic is None:
        topic = topic_of_type(ce_type)
    key = once_key(environ, query, event)
    message = Message(new_event_id(), topic, head, body, bus.clock.wall())
    appended = bus.publish((message,), key)
    return _answer(bus, request, (message,), appended, {"id": appended.ids[0], **({"topic": topic} if ce_type else {})})


def _many(bus: Bus, request: Request, query: Query) -> Reply:
    """Publish a batch: all of it, or none."""
    key = once_key_of_batch(request.environ, query)
    how = query.first("batch")
    if how not in (None, "lines"):
        raise BadRequest(
            f"batch is lines, not {(how or '')[:40]!r}; a batch of CloudEvents is told by its Content-Type."
        )
    body = read_body(request, MAX_BATCH_BYTES, bus.settings.request_seconds)
    bus.give_way()
    topic = topic_asked(query.first("topic"))
    if topic is None and how:
        topic = topic_of_type(attribute(request.environ, "type"))
    messages = _from_lines(bus, body, topic) if how else _from_cloudevents(bus, body, topic)
    _look_at_topics(bus, {topic} if how else {message.topic for message in messages})
    if not messages:
        return _answer(bus, request, (), Appended(()), {"ids": []})
    appended = bus.publish(messages, key)
    return _answer(bus, request, messages, appended, _named_batch(messages, appended, cloud_events=not how))


def _look_at_topics(bus: Bus, topics: Collection[str | None]) -> None:
    """Find the subscribers of each topic, which takes its time for a new one, while others have their turns."""
    if len(topics) > MAX_BATCH_TOPICS:
        raise RequestEntityTooLarge(f"A batch has at most {MAX_BATCH_TOPICS} different topics, not {len(topics)}.")
    for topic in topics:
        bus.dispatcher.registry.matching(topic)
        bus.give_way()


def _from_lines(bus: Bus, body: bytes, topic: str | None) -> list[Message]:
    """The events of a batch, one a line; others have their turns meanwhile."""
    lines = list(islice(BytesIO(body), MAX_BATCH_LINES + 1))  # searches by memchr, where bytes.split looks at each byte
    if len(lines) > MAX_BATCH_LINES:
        raise RequestEntityTooLarge(f"A batch has at most {MAX_BATCH_LINES} lines, blank ones included.")
    bodies = [line.rstrip(b"\n") for line in lines if not line.isspace()]
    if b"\r" in body:
        bodies = [each.removesuffix(b"\r") for each in bodies]
    if len(bodies) > MAX_BATCH_EVENTS:
        raise RequestEntityTooLarge(f"A batch has at most {MAX_BATCH_EVENTS} events, not {len(bodies)}.")
    _check_sizes(bodies, bus.settings.max_body_bytes)
    wall = bus.clock.wall()
    made = zip(new_event_ids(len(bodies)), bodies, strict=True)
    messages: list[Message] = []
    while part := [
        Message(event_id, topic, _JSON_HEAD, each, wall) for event_id, each in islice(made, YIELD_EVERY_LINES)
    ]:
        messages += part
        bus.give_way()
    return messages


def _from_cloudevents(bus: Bus, body: bytes, topic: str | None) -> list[Message]:
    """The events of a batch in JSON; others may have a turn after each, which takes its time."""
    wall = bus.clock.wall()
    messages: list[Message] = []
    for event in parse_batch(body, bus.settings.max_body_bytes):
        if len(messages) >= MAX_BATCH_EVENTS:
            raise RequestEntityTooLarge(f"A batch has at most {MAX_BATCH_EVENTS} events.")
        its_topic = topic or topic_of_type(event.type)
        messages.append(Message(new_event_id(), its_topic, _STRUCTURED_HEAD, event.written, wall))
        bus.give_way()
    _check_sizes([message.body for message in messages], bus.settings.max_body_bytes)
    return messages


def _check_sizes(bodies: Sequence[bytes], max_bytes: int) -> None:
    """Raise RequestEntityTooLarge where an event of a batch has more bytes than an event may have."""
    largest = max(bodies, key=len, default=b"")
    if len(largest) > max_bytes:
        number = list(map(len, bodies)).index(len(largest))
        raise RequestEntityTooLarge(f"Event {number} of the batch has more than {max_bytes} bytes: {len(largest)}.")


def _answer(bus: Bus, request: Request, messages: Sequence[Message], appended: Appended, said: dict[str, Any]) -> Reply:
    if not wants_json(request):
        response = text(SUCCESS)
    else:
        reached = 0 if appended.duplicate else _reach(bus, messages)
        response = as_json({**said, "subscribers": reached, "duplicate": appended.duplicate})
    if appended.ids:
        response.headers["Webhook-Id"] = appended.ids[0]
    return response


def _named_batch(messages: Sequence[Message], appended: Appended, *, cloud_events: bool) -> dict[str, Any]:
    """A batch's ids, and of CloudEvents how many have a type that is no topic, where any has."""
    without = sum(message.topic is None for message in messages) if cloud_events else 0
    return {"ids": list(appended.ids), **({"without_topic": without} if without else {})}


def _reach(bus: Bus, messages: Sequence[Message]) -> int:
    """How many subscribers get something of this."""
    topics = {message.topic for message in messages}
    return bus.dispatcher.reached(topics) + bus.cluster.reach(topics)
