"""``/sendMessage``: publish one event or a batch, and answer once it is durable."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from io import BytesIO
from itertools import islice
from typing import Any

from flask import Blueprint, Request
from werkzeug.exceptions import RequestEntityTooLarge

from eventbus.core.access import Access
from eventbus.core.columns import messages_of
from eventbus.core.errors import BadRequest
from eventbus.core.event_ids import new_event_id, new_event_ids
from eventbus.core.headers import publisher_line
from eventbus.core.model import Message
from eventbus.core.tokens import Scope
from eventbus.journal.base import Appended
from eventbus.services.bus import Bus
from eventbus.services.settled_fates import FatePeers
from eventbus.web.accept import wants_json
from eventbus.web.access import access_of, needs
from eventbus.web.cloudevents import BATCH, PARTITION_KEY, STRUCTURED, CloudEvent, parse_batch, parse_one
from eventbus.web.cluster.rpc_codec import ACCESS, PEERS
from eventbus.web.current import the_bus, the_request
from eventbus.web.kept_headers import attribute, kept_head, order_key, topic_in_query, topic_of_type
from eventbus.web.publish_expiry import PublishExpiry, expiring_head, expiry_in
from eventbus.web.publish_once import once_key, once_key_of_batch
from eventbus.web.query import Query, query_of
from eventbus.web.replies import SUCCESS, Reply, as_json, text
from eventbus.web.scheduled_for import due_in, scheduled_for
from eventbus.web.server.byte_budget import MAX_BATCH_BYTES
from eventbus.web.server.connections import ClientConnection
from eventbus.web.server.environment import CONNECTION
from eventbus.web.server.request_body import read_body
from eventbus.web.settle import SETTLE, check_unsettled, hold, may_list, settle_seconds, settled_payload

#: Events in one batch, and its lines, at most.
MAX_BATCH_EVENTS = 10_000
MAX_BATCH_LINES = 2 * MAX_BATCH_EVENTS
#: Lines that are read before other greenlets get a turn.
YIELD_EVERY_LINES = 200
#: Different topics of one batch, at most.
MAX_BATCH_TOPICS = 1_000
#: The kept headers of an event in a batch.
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
        return _publish_batch(bus, request, query)
    topic = topic_in_query(query.first("topic"))
    access: Access | None = environ.get(ACCESS)  # the guard has set it where there are tokens
    head = kept_head(environ) if access is None else kept_head(environ) + publisher_line(access.name)
    settle = settle_seconds(query) if SETTLE in query.values else None
    body = read_body(request, bus.settings.max_body_bytes, bus.settings.request_seconds)
    if kind == STRUCTURED:
        bus.give_way()  # parsing a MiB of JSON may take 60 ms
        event: CloudEvent | None = parse_one(body)
    else:
        event = None
    ce_type = attribute(environ, "type") if event is None else event.type
    if topic is None:
        topic = topic_of_type(ce_type)
    if access is not None:
        access.check_publish(topic)
    key = _order_key(environ, query, event)
    once, wall = once_key(environ, query, event), bus.clock.wall()
    due_at = due_in(query, wall)
    head, terms = expiring_head(environ, query, event, head, due_at or wall)
    message = Message(new_event_id(), topic, head, body, wall, key)
    named = {"topic": topic} if ce_type else {}
    if settle is not None:
        return _settle(bus, environ, message, partial(bus.publish, (message,), once, due_at, terms), settle, named)
    appended = bus.publish((message,), once, due_at, terms)
    return _response(bus, request, query, (message,), appended, {"id": appended.ids[0], **named})


def _settle(
    bus: Bus,
    environ: dict[str, Any],
    message: Message,
    publish: Callable[[], Appended],
    seconds: float,
    named: dict[str, Any],
) -> Reply:
    """Publish an event, and answer when it is settled, or after so many seconds, in JSON whatever ``Accept`` says.

    Once it is published, nothing is an error any more.
    """
    connection: ClientConnection | None = environ.get(CONNECTION)
    peers: FatePeers | None = environ[PEERS](seconds) if PEERS in environ else None
    with bus.settling.awaiting(message.id, message.topic) as awaited:
        hold(connection)
        if peers is not None:
            peers.watch(message.id)
        appended = publish()
        reached = 0 if appended.duplicate else _reach(bus, (message,))
        if appended.duplicate:
            bus.settling.follow(awaited, appended.ids[0])
        gone = connection.has_gone if connection is not None else lambda: False
        settled = bus.settling.wait(awaited, seconds, gone, peers)
    times = scheduled_for(query_of(environ), appended)
    published = {"id": appended.ids[0], **named, "subscribers": reached, "duplicate": appended.duplicate, **times}
    response = as_json({**published, **settled_payload(settled, listed=may_list(environ.get(ACCESS)))})
    response.headers["Webhook-Id"] = appended.ids[0]
    return response


def _order_key(environ: Mapping[str, Any], query: Query, event: CloudEvent | None) -> str:
    """Return the order key of one event, empty without one; ``event`` is a structured CloudEvent. Raises BadRequest."""
    if event is not None:
        return order_key(query.first("key"), event.partition_key)
    if "HTTP_CE_PARTITIONKEY" in environ or "key" in query.values:  # most have neither, and this is cheap
        return order_key(query.first("key"), attribute(environ, PARTITION_KEY) or None)
    return ""


def _publish_batch(bus: Bus, request: Request, query: Query) -> Reply:
    """Publish a batch: all of it, or none."""
    once = once_key_of_batch(request.environ, query)
    if "key" in query.values:
        raise BadRequest(f"key applies to a single event; in a batch each CloudEvent has its own {PARTITION_KEY}.")
    check_unsettled(query)
    how = query.first("batch")
    if how not in (None, "lines"):
        raise BadRequest(
            f"batch must be lines, not {(how or '')[:40]!r}; a batch of CloudEvents is recognized by its Content-Type."
        )
    body = read_body(request, MAX_BATCH_BYTES, bus.settings.request_seconds)
    bus.give_way()
    topic = topic_in_query(query.first("topic"))
    if topic is None and how:
        topic = topic_of_type(attribute(request.environ, "type"))
    access = access_of(request.environ, bus.tokens)
    wall, line = bus.clock.wall(), publisher_line(access.name)
    due_at = due_in(query, wall)
    expiry = expiry_in(request.environ, query, due_at or wall)
    messages = (_from_lines if how else _from_cloudevents)(bus, body, topic, line, expiry)
    del body  # its events have copies, and publishing may take long
    topics = {topic} if how else {message.topic for message in messages}
    for each in topics:
        access.check_publish(each)
    _check_topics(bus, topics)
    if not messages:
        return _response(bus, request, query, (), Appended(()), {"ids": []})
    appended = bus.publish(messages, once, due_at, expiry.terms)
    payload = _named_batch(messages, appended, cloud_events=not how)
    return _response(bus, request, query, messages, appended, payload)


def _check_topics(bus: Bus, topics: Collection[str | None]) -> None:
    """Find the subscribers of each topic, giving way in between: a new topic takes long. Limit the number of topics."""
    if len(topics) > MAX_BATCH_TOPICS:
        raise RequestEntityTooLarge(f"A batch has at most {MAX_BATCH_TOPICS} different topics, not {len(topics)}.")
    for topic in topics:
        bus.dispatcher.registry.matching(topic)
        bus.give_way()


def _from_lines(bus: Bus, body: bytes, topic: str | None, publisher: bytes, expiry: PublishExpiry) -> list[Message]:
    """Return the events of a batch, one a line; give way in between. ``publisher`` is a line of their heads."""
    lines = list(islice(BytesIO(body), MAX_BATCH_LINES + 1))  # faster than bytes.split, which does not use memchr
    if len(lines) > MAX_BATCH_LINES:
        raise RequestEntityTooLarge(f"A batch has at most {MAX_BATCH_LINES} lines, blank ones included.")
    bodies = [line.rstrip(b"\n") for line in lines if not line.isspace()]
    if b"\r" in body:
        bodies = [each.removesuffix(b"\r") for each in bodies]
    if len(bodies) > MAX_BATCH_EVENTS:
        raise RequestEntityTooLarge(f"A batch has at most {MAX_BATCH_EVENTS} events, not {len(bodies)}.")
    _check_sizes(bodies, bus.settings.max_body_bytes)
    wall = bus.clock.wall()
    head = expiry.head(_JSON_HEAD + publisher, None)
    ids = new_event_ids(len(bodies))
    messages: list[Message] = []
    for start in range(0, len(bodies), YIELD_EVERY_LINES):
        part = slice(start, start + YIELD_EVERY_LINES)
        messages += messages_of(ids[part], topic, head, bodies[part], wall)
        bus.give_way()
    return messages


def _from_cloudevents(
    bus: Bus, body: bytes, topic: str | None, publisher: bytes, expiry: PublishExpiry
) -> list[Message]:
    """Return the events of a batch in JSON; give way after each, since parsing takes long."""
    wall, common = bus.clock.wall(), _STRUCTURED_HEAD + publisher
    messages: list[Message] = []
    for event in parse_batch(body, bus.settings.max_body_bytes):
        if len(messages) >= MAX_BATCH_EVENTS:
            raise RequestEntityTooLarge(f"A batch has at most {MAX_BATCH_EVENTS} events.")
        event_topic = topic or topic_of_type(event.type)
        key = order_key(None, event.partition_key)
        head = expiry.head(common, event.expirytime)
        messages.append(Message(new_event_id(), event_topic, head, event.raw, wall, key))
        bus.give_way()
    _check_sizes([message.body for message in messages], bus.settings.max_body_bytes)
    return messages


def _check_sizes(bodies: Sequence[bytes], max_bytes: int) -> None:
    """Raise RequestEntityTooLarge if an event of a batch has more than ``max_bytes``."""
    largest = max(bodies, key=len, default=b"")
    if len(largest) > max_bytes:
        number = list(map(len, bodies)).index(len(largest))
        raise RequestEntityTooLarge(f"Event {number} of the batch has more than {max_bytes} bytes: {len(largest)}.")


def _response(
    bus: Bus, request: Request, query: Query, messages: Sequence[Message], appended: Appended, payload: dict[str, Any]
) -> Reply:
    if not wants_json(request):
        response = text(SUCCESS)
    else:
        reached = 0 if appended.duplicate else _reach(bus, messages)
        counts = {"subscribers": reached, "duplicate": appended.duplicate}
        response = as_json({**payload, **scheduled_for(query, appended), **counts})
    if appended.ids:
        response.headers["Webhook-Id"] = appended.ids[0]
    return response


def _named_batch(messages: Sequence[Message], appended: Appended, *, cloud_events: bool) -> dict[str, Any]:
    """Return a batch's ids, and the number of CloudEvents whose type is no topic, if there are any."""
    without = sum(message.topic is None for message in messages) if cloud_events else 0
    return {"ids": list(appended.ids), **({"without_topic": without} if without else {})}


def _reach(bus: Bus, messages: Sequence[Message]) -> int:
    """Return the number of subscribers that receive any of the messages."""
    topics = {message.topic for message in messages}
    return bus.dispatcher.reached(topics) + bus.cluster.reach(topics)
