"""One call that publishes an event or a batch, as ``Bus.publish`` and ``Bus.publish_many`` make it."""

from collections.abc import Mapping
from typing import Any

from eventbus.client import encoding
from eventbus.client.calls import Call, Caller
from eventbus.client.errors import ProtocolError, UsageError
from eventbus.client.model import Delivery, Fate, Published
from eventbus.client.parameters import Parameters
from eventbus.client.parsing import parse_as, parse_time
from eventbus.core.settling import MAX_SETTLE_SECONDS, MIN_SETTLE_SECONDS


def publish(
    caller: Caller,
    query: Parameters,
    body: bytes,
    headers: Mapping[str, str],
    *,
    batch: bool = False,
    settle: float | None = None,
) -> Published:
    """Publish a body: one event, or with ``batch`` one on each line. Raises BusError.

    With ``settle`` wait for up to so many seconds until the event is settled.
    """
    query = [*query, ("batch", "lines")] if batch else query
    if settle is not None:
        if not MIN_SETTLE_SECONDS <= settle <= MAX_SETTLE_SECONDS:
            raise UsageError(f"settle is from {MIN_SETTLE_SECONDS:g} to {MAX_SETTLE_SECONDS:g} seconds, not {settle}.")
        query = [*query, ("settle", f"{settle:g}")]
    headers = encoding.check_headers(headers)
    call = Call(method="POST", path="/sendMessage", query=query, headers=headers, body=body, waits=settle or 0.0)
    payload = caller.json(call)
    try:
        ids = tuple(payload["ids"]) if batch else (payload["id"],)
        fate = None if settle is None else _fate_in(payload)
        due = payload.get("scheduled_for")  # it is null, or left out, where it entered the journal at once
        scheduled_for = None if due is None else parse_time(due)
        return Published(ids, payload["subscribers"], payload["duplicate"], fate, scheduled_for)
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"Not a bus's response to a publish: {str(payload)[:80]}") from error


def _fate_in(payload: Mapping[str, Any]) -> Fate:
    """Read what became of an event. Raises KeyError, TypeError and ProtocolError."""
    rows = payload["subscriptions"]
    found = [
        parse_as(Delivery, {**row, "attempts": row["attempts"] or 0, "last_status": row["status"]}) for row in rows
    ]
    counts = {name: payload[name] for name in ("delivered", "filtered", "pending", "dead", "discarded")}
    return Fate(**counts, subscriptions=tuple(found), more=payload["more"])
