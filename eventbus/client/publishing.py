"""One call that publishes an event or a batch, as ``Bus.publish`` and ``Bus.publish_many`` make it."""

from collections.abc import Mapping

from eventbus.client import encoding
from eventbus.client.calls import Call, Caller
from eventbus.client.errors import ProtocolError
from eventbus.client.model import Published
from eventbus.client.parameters import Parameters


def publish(
    caller: Caller, query: Parameters, body: bytes, headers: Mapping[str, str], *, batch: bool = False
) -> Published:
    """Publish a body: one event, or with ``batch`` one on each line. Raises BusError."""
    query = [*query, ("batch", "lines")] if batch else query
    headers = encoding.check_headers(headers)
    payload = caller.json(Call(method="POST", path="/sendMessage", query=query, headers=headers, body=body))
    try:
        ids = tuple(payload["ids"]) if batch else (payload["id"],)
        return Published(ids, payload["subscribers"], payload["duplicate"])
    except (KeyError, TypeError) as error:
        raise ProtocolError(f"Not a bus's response to a publish: {str(payload)[:80]}") from error
