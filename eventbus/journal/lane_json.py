"""Lane records as JSON, and back."""

import json
from typing import Any

from eventbus.core.addresses import address_with_key, legacy_key, parse_address
from eventbus.core.model import Account, Interest, Options, State, Subscriber
from eventbus.core.options import from_record, to_record
from eventbus.core.records import LaneRecord, Span

#: States that had another name in older journals.
_RENAMED = {"backing_off": "down"}


def to_json(record: LaneRecord) -> str:
    """Write a record as JSON. Only what is written here survives a restart."""
    account = record.account
    return json.dumps(
        {
            "address": record.subscriber.address.text,
            **({"key": record.subscriber.key} if "%" in record.subscriber.address.text else {}),
            "options": to_record(record.subscriber.options),
            "registered_at": record.registered_at,
            "renewed_at": record.renewed_at,
            "ended_at": record.ended_at,
            "spans": [(s.replay_id, s.cursor, s.end, s.remaining, s.topics) for s in record.spans],
            "in_flight": record.in_flight,
            "account": (account.accepted, account.delivered, account.dead, account.discarded),
            "failed_attempts": record.failed_attempts,
            "runs": record.runs,
            "interests": [(i.after, i.until, i.topics) for i in record.interests],
            "replayed": [(i.after, i.until, i.topics) for i in record.replayed],
            "scanned": record.scanned,
            "state": record.state,
            "failures": record.failures,
            "not_before": record.not_before,
            "wait_seconds": record.wait_seconds,
            "down_since": record.down_since,
            "last_error": record.last_error,
            "last_error_at": record.last_error_at,
            "former_attempts": record.former_attempts,
            "expired": record.expired,
        },
        separators=(",", ":"),
    )


def from_json(text: str) -> LaneRecord:
    """Parse a record."""
    fields: dict[str, Any] = json.loads(text)
    options = from_record(Options, fields.pop("options"))
    address_text = fields.pop("address")
    address = (
        address_with_key(address_text, fields.pop("key", None) or legacy_key(address_text))
        if "%" in address_text
        else parse_address(address_text)
    )
    return LaneRecord(
        subscriber=Subscriber(address, options),
        spans=tuple(
            Span(replay_id, cursor, end, remaining, tuple(topics))
            for replay_id, cursor, end, remaining, topics in fields.pop("spans")
        ),
        in_flight=tuple((seq, replay_id) for seq, replay_id in fields.pop("in_flight")),
        account=Account(*fields.pop("account")),
        interests=_interests(fields.pop("interests")),
        replayed=_interests(fields.pop("replayed")),
        state=State(_RENAMED.get(state := fields.pop("state"), state)),
        **fields,
    )


def _interests(rows: list[list[Any]]) -> tuple[Interest, ...]:
    return tuple(Interest(after, until, tuple(topics)) for after, until, topics in rows)
