"""Batches as publishers send them: lines, and CloudEvents one by one or as an array."""

import json
from collections.abc import Iterable
from typing import Any

from tests.support.caller import JSON, Caller
from tests.support.raw_client import Response

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def cloud_event(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A sound event; a change to ``...`` leaves an attribute out."""
    event = {"specversion": "1.0", "id": f"id-{number}", "source": "/shop", "type": "orders.created"} | changes
    return {name: value for name, value in event.items() if value is not ...}


def written(value: Any) -> bytes:
    """JSON as no serialiser of ours would write it, so that byte for byte means something."""
    return json.dumps(value, separators=(" ,  ", " :\t"), ensure_ascii=False).encode()


def array(parts: Iterable[bytes]) -> bytes:
    """A JSON array of these elements, with white space around them."""
    return b" [\n  " + b" ,\r\n\t".join(parts) + b"\n] \n"


def publish_lines(caller: Caller, body: bytes, *headers: tuple[str, str], topic: str = "") -> Response:
    """Publish newline-delimited bodies."""
    target = f"/sendMessage?batch=lines&topic={topic}" if topic else "/sendMessage?batch=lines"
    return caller.call("POST", target, [JSON, *headers], body)


def publish_cloud_events(caller: Caller, body: bytes, content_type: str = BATCH, topic: str = "") -> Response:
    """Publish what claims to be CloudEvents."""
    target = f"/sendMessage?topic={topic}" if topic else "/sendMessage"
    return caller.call("POST", target, [JSON, ("Content-Type", content_type)], body)
