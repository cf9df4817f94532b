"""Which of a publisher's headers travel with the event, checked so that they can be sent as they are."""

import re
from collections.abc import Mapping
from typing import Any

from eventbus.errors import Refused
from eventbus.topics import check_topic

#: Bytes of kept headers, at most.
MAX_HEAD_BYTES = 16_384
#: CGI name -> name on the wire, for those that are always kept.
_ALWAYS = {
    "CONTENT_TYPE": "Content-Type",
    "HTTP_CONTENT_ENCODING": "Content-Encoding",
    "HTTP_TRACEPARENT": "traceparent",
    "HTTP_TRACESTATE": "tracestate",
}
_CLOUDEVENTS = "HTTP_CE_"
#: RFC 9110, 5.5: visible characters, spaces and tabs, and what is beyond ASCII.
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")


def kept_head(environ: Mapping[str, Any]) -> bytes:
    """The kept headers as lines on the wire. Raises Refused."""
    lines = [f"{name}: {_checked(name, environ[key])}\r\n" for key, name in _ALWAYS.items() if environ.get(key)]
    for key, value in environ.items():
        if key.startswith(_CLOUDEVENTS):
            name = key[5:].replace("_", "-").lower()
            lines.append(f"{name}: {_checked(name, value)}\r\n")
    head = "".join(lines).encode("latin-1")
    if len(head) > MAX_HEAD_BYTES:
        raise Refused(f"The headers that are kept have {len(head)} bytes; at most {MAX_HEAD_BYTES} may be.")
    return head


def topic_of(asked: str | None, ce_type: str | None) -> str | None:
    """The event's topic: as asked for in the query, else the CloudEvent's type. Raises Refused."""
    topic = asked or ce_type
    return check_topic(topic) if topic else None


def _checked(name: str, value: str) -> str:
    if not _VALUE.match(value):
        raise Refused(f"The header {name} holds a character that no header may hold.")
    return value
