"""``/sendMessage``: take an event in, and answer when it is safe."""

from flask import Blueprint, Response, request

from eventbus.event_id import new_event_id
from eventbus.model import Message
from eventbus.web.answers import SUCCESS, as_json, text, wants_json
from eventbus.web.body import read_body
from eventbus.web.current import the_bus
from eventbus.web.kept_headers import kept_head, topic_of
from eventbus.web.query import parse_query

blueprint = Blueprint("messages", __name__)


@blueprint.post("/sendMessage", provide_automatic_options=False)
def send_message() -> Response:
    """Publish the body as one event."""
    bus = the_bus()
    environ = request.environ
    query = parse_query(environ["QUERY_STRING"])
    topic = topic_of(query.first("topic"), environ.get("HTTP_CE_TYPE"))
    head = kept_head(environ)
    body = read_body(request, bus.settings.max_body_bytes)
    message = Message(new_event_id(), topic, head, body, bus.clock.wall())
    appended = bus.publish((message,))
    response = _answer(appended.ids[0], len(bus.dispatcher.matching(topic)))
    response.headers["Webhook-Id"] = appended.ids[0]
    return response


def _answer(event_id: str, subscribers: int) -> Response:
    if not wants_json(request):
        return text(SUCCESS)
    return as_json({"id": event_id, "subscribers": subscribers, "duplicate": False})
