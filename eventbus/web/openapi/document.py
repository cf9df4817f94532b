"""The complete document (OpenAPI 3.1, https://spec.openapis.org/oas/v3.1.1)."""

from eventbus import __version__
from eventbus.web.openapi import attempts, dead_letters, events, operations, operator_actions, publishing, subscribers
from eventbus.web.openapi.builder import Json
from eventbus.web.openapi.responses import RESPONSES
from eventbus.web.openapi.schemas import SCHEMAS
from eventbus.web.openapi.webhooks import WEBHOOKS

_ABOUT = """\
An HTTP event bus: services register, anyone publishes, every live subscriber receives.

Errors are text, a sentence after `Error:`. With `Accept: application/json` answers are JSON and errors are problem \
details (RFC 9457) with the same status. Only the query is read for parameters, never a form body; a parameter that \
is given twice counts once, the first, unless it may repeat; one that is not known is ignored. A broken escape or \
a `;` in the query is answered 400. Paths are exact.

A method that a path does not know is answered 400 on the four routes (`/registerAndKeepAlive`, `/deregister`, \
`/sendMessage`, `/listSubscribers`), 405 on the others, with `Allow`. `HEAD` is answered as `GET` without a body, and \
`OPTIONS` with `Allow`, on all but the four. A path that is not here is 404."""

_PARTS = (subscribers, publishing, events, attempts, dead_letters, operator_actions, operations)
_TAGS = {
    "Subscribers": "A subscriber is an address with a lease: it lives as long as it renews.",
    "Publishing": "An event is a body with its headers and an id. What is answered with 2xx is on disk.",
    "Reading": "Events and dead letters, and the state of their deliveries.",
    "Redelivery": "Dead letters and replays: events are delivered again, or discarded.",
    "Control": "Pauses, retries at once, and events that are skipped.",
    "Operations": "For those who run the bus.",
    "Receiving": "What a subscriber gets, and what its responses mean.",
}

_BEARER: Json = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token (RFC 6750), where tokens are set; else everything is open. Each operation names the scopes "
    "of which it needs one: `publish`, `subscribe`, `view` or `admin`; an `admin` token may do all. A named token may "
    "be narrowed to topics and addresses.",
}

#: Where the bus is: at the root of its host, or below the prefix that a proxy gives. Not relative to the document, as
#: OpenAPI allows: tools do not understand it.
SERVER: Json = {"url": "/", "description": "The bus that serves this document"}


def document() -> Json:
    """Return the document as JSON has it."""
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "eventbus",
            "version": __version__,
            "summary": "An HTTP event bus",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [SERVER],
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "security": [{}, {"bearer": []}],
        "paths": {path: methods for part in _PARTS for path, methods in part.PATHS.items()},
        "webhooks": WEBHOOKS,
        "components": {"schemas": SCHEMAS, "responses": RESPONSES, "securitySchemes": {"bearer": _BEARER}},
    }
