"""The headers of a publish that are kept with the event, checked so that they can be sent unchanged."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from eventbus.core.errors import BadRequest
from eventbus.core.order_key import check_key
from eventbus.core.topics import check_topic

#: Bytes of kept headers, at most.
MAX_HEAD_BYTES = 16_384
#: The headers that are always kept: the CGI name, and the name on the wire.
_ALWAYS = {
    "CONTENT_TYPE": "Content-Type",
    "HTTP_CONTENT_ENCODING": "Content-Encoding",
    "HTTP_TRACEPARENT": "traceparent",
    "HTTP_TRACESTATE": "tracestate",
}
_CLOUDEVENTS = "HTTP_CE_"
_QUOTED_PAIR = re.compile(r"\\(.)")
#: RFC 9110, 5.5: visible characters, spaces, tabs and bytes beyond ASCII.
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")


def kept_head(environ: Mapping[str, Any]) -> bytes:
    """Return the kept headers as lines on the wire. Raises BadRequest."""
    lines = [f"{name}: {_checked(name, environ[key])}\r\n" for key, name in _ALWAYS.items() if environ.get(key)]
    for key in [key for key in environ if _CLOUDEVENTS in key]:  # 5 % less of a publish than startswith
        if key.startswith(_CLOUDEVENTS):
            name = key[5:].replace("_", "-").lower()
            lines.append(f"{name}: {_checked(name, environ[key])}\r\n")
    head = "".join(lines).encode("latin-1")
    if len(head) > MAX_HEAD_BYTES:
        raise BadRequest(f"The kept headers have {len(head)} bytes; at most {MAX_HEAD_BYTES} are allowed.")
    return head


def topic_in_query(text: str | None) -> str | None:
    """Return the topic in the query, None without one. Raises BadRequest for an invalid one."""
    return check_topic(text) if text else None


def topic_of_type(ce_type: str) -> str | None:
    """Return a CloudEvent's type as a topic; None for a type that is no valid topic, which CloudEvents allows."""
    try:
        return check_topic(ce_type) if ce_type else None
    except BadRequest:
        return None


def order_key(given: str | None, ce_key: str | None) -> str:
    """Return an event's order key: the query's, else the CloudEvent's; empty without one. Raises BadRequest."""
    if given is not None:
        return check_key(given, "key")
    return "" if ce_key is None else check_key(ce_key, "partitionkey")


def attribute(environ: Mapping[str, Any], name: str) -> str:
    """Return a CloudEvents attribute of binary mode, decoded (HTTP binding 1.0.2, 3.1.3.2); empty if it is not set.

    Bytes that are not UTF-8 become surrogates, so that different ones stay different.
    """
    value: str = environ.get(f"{_CLOUDEVENTS}{name.upper()}", "").strip(" \t")
    if not value:
        return ""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = _QUOTED_PAIR.sub(r"\1", value[1:-1])
    return unquote_to_bytes(value.encode("latin-1")).decode("utf-8", "surrogateescape")


def _checked(name: str, value: str) -> str:
    if not _VALUE.match(value):
        raise BadRequest(f"The header {name} holds a character that is not allowed in headers.")
    return value
