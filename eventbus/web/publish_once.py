"""Idempotency keys of publishes: given by the publisher, or derived from a CloudEvent's source and id."""

import hashlib
from collections.abc import Mapping
from typing import Any

from eventbus.core.errors import BadRequest
from eventbus.core.event_ids import is_header_safe
from eventbus.journal.publish_digest import DERIVED_KEY
from eventbus.web.cloudevents import CloudEvent
from eventbus.web.kept_headers import attribute
from eventbus.web.query import Query


def once_key(environ: Mapping[str, Any], query: Query, event: CloudEvent | None) -> str | None:
    """Return the key of one event, None without one; ``event`` is a structured CloudEvent. Raises BadRequest."""
    given = _given(environ, query)
    if "once" not in query.values:
        return given
    source, event_id = (
        (attribute(environ, "source"), attribute(environ, "id")) if event is None else (event.source, event.id)
    )
    if not source or not event_id:
        raise BadRequest(
            "once=ce requires a CloudEvent with a source and an id: ce-source and ce-id, or a structured event."
        )
    return derived(source, event_id)


def once_key_of_batch(environ: Mapping[str, Any], query: Query) -> str | None:
    """Return the key of a batch, None without one. Raises BadRequest."""
    if "once" in query.values:
        raise BadRequest("once=ce applies to a single event; send a batch with an Idempotency-Key.")
    return _given(environ, query)


def derived(source: str, event_id: str) -> str:
    """Return the key of a CloudEvent: events with the same source and id are duplicates (CloudEvents 1.0.2, 3.1.1)."""
    named = b"%d:%s%s" % (len(source), _bytes(source), _bytes(event_id))
    return f"{DERIVED_KEY}{hashlib.sha256(named).hexdigest()}"


def _given(environ: Mapping[str, Any], query: Query) -> str | None:
    key: str | None = environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not is_header_safe(key):
        raise BadRequest("The Idempotency-Key must be 1 to 256 visible ASCII characters.")
    if "once" in query.values:
        if query.first("once") != "ce":
            raise BadRequest(f"once must be ce or left out, not {(query.first('once') or '')[:40]!r}.")
        if key is not None:
            raise BadRequest("Send either an Idempotency-Key or once=ce, not both.")
    return key


def _bytes(text: str) -> bytes:
    """Return a text as UTF-8, with surrogates, which headers and JSON may hold, unchanged."""
    return text.encode("utf-8", "surrogatepass")
