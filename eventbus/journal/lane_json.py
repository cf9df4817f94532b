"""Lane records as JSON, and back."""

import json
from collections.abc import Iterable
from dataclasses import asdict, astuple, replace
from typing import Any

from eventbus.core.addresses import address_with_key, legacy_key, parse_address
from eventbus.core.credentials import CredentialKind
from eventbus.core.model import Account, FormerFilter, Group, Interest, Options, State, Subscriber, Subscription
from eventbus.core.option_table import from_record, to_record
from eventbus.core.records import DeadLetter, LaneRecord, Pause, Span

#: States that had another name in older journals.
_RENAMED = {"backing_off": "down"}
_encode = json.JSONEncoder(separators=(",", ":")).encode


def to_json(record: LaneRecord) -> str:
    """Write a record as JSON. Only what is written here survives a restart."""
    return _encode(_fields_of(record))


def _fields_of(record: LaneRecord) -> dict[str, Any]:
    account = record.account
    settled = account.accepted, account.delivered, account.dead, account.discarded
    return {
        **_identity(record.subscriber),
        **({"owner": owner} if (owner := record.subscriber.owner) else {}),
        **({"credentials": list(kinds)} if (kinds := record.subscriber.credentials) else {}),
        "options": to_record(record.subscriber.options),
        "registered_at": record.registered_at,
        "renewed_at": record.renewed_at,
        "ended_at": record.ended_at,
        "spans": [_span_fields(span) for span in record.spans],
        "in_flight": record.in_flight,
        "account": (*settled, account.filtered) if account.filtered else settled,
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
        **({"waiting": record.waiting} if record.waiting else {}),
        **({"former_filters": filters} if (filters := [astuple(one) for one in record.former_filters]) else {}),
        **({"pause": asdict(record.pause)} if record.pause else {}),
        **({"skipping": [_letter_fields(letter) for letter in record.skipping]} if record.skipping else {}),
        **({"members": [_fields_of(member) for member in record.members]} if record.members else {}),
    }


def _identity(subscriber: Subscription) -> dict[str, Any]:
    if isinstance(subscriber, Group):
        return {"group": subscriber.name}
    address = subscriber.address
    found: dict[str, Any] = {"address": address.text}
    if "%" in address.text:
        found["key"] = replace(address, target="").key
    if address.target:
        found["path"] = address.target
    return found | {"declared": True} if subscriber.declared else found


def from_json(text: str) -> LaneRecord:
    """Parse a record."""
    return _record_of(json.loads(text))


def _record_of(fields: dict[str, Any]) -> LaneRecord:
    subscriber = _subscriber_of(fields)
    return LaneRecord(
        subscriber=subscriber,
        spans=tuple(map(_span_of, fields.pop("spans"))),
        in_flight=_deliveries(fields.pop("in_flight")),
        waiting=_deliveries(fields.pop("waiting", [])),
        account=Account(*fields.pop("account")),
        interests=_interests(fields.pop("interests")),
        replayed=_interests(fields.pop("replayed")),
        former_filters=tuple(FormerFilter(until, former) for until, former in fields.pop("former_filters", ())),
        state=State(_RENAMED.get(state := fields.pop("state"), state)),
        skipping=_letters_of(subscriber, fields.pop("skipping", ())),
        pause=Pause(**pause) if (pause := fields.pop("pause", None)) else None,
        members=tuple(_record_of(member) for member in fields.pop("members", ())),
        **fields,
    )


def _subscriber_of(fields: dict[str, Any]) -> Subscription:
    options = from_record(Options, fields.pop("options"))
    owner = fields.pop("owner", "")
    if "group" in fields:
        return Group(fields.pop("group"), options, owner=owner)
    text = fields.pop("address")
    key, target = fields.pop("key", None), fields.pop("path", "")
    address = address_with_key(text, key or legacy_key(text)) if "%" in text else parse_address(text)
    kinds = tuple(map(CredentialKind, fields.pop("credentials", ())))
    return Subscriber(
        replace(address, target=target), options, kinds, declared=fields.pop("declared", False), owner=owner
    )


def _span_fields(span: Span) -> tuple[Any, ...]:
    fields = span.replay_id, span.cursor, span.end, span.remaining, span.topics
    return (*fields, span.skipped) if span.skipped else fields


def _span_of(fields: list[Any]) -> Span:
    replay_id, cursor, end, remaining, topics, *more = fields
    return Span(replay_id, cursor, end, remaining, tuple(topics), tuple(more[0]) if more else ())


def _letter_fields(letter: DeadLetter) -> tuple[Any, ...]:
    numbers = letter.seq, letter.replay_id
    return (*numbers, letter.reason, letter.attempts, letter.first_at, letter.last_at, letter.status, letter.error)


def _letters_of(subscriber: Subscription, rows: Iterable[list[Any]]) -> tuple[DeadLetter, ...]:
    return tuple(
        DeadLetter(
            *(subscriber.key, seq, replay_id, reason, attempts, first_at, last_at, status, error, b""),
            dead_to=subscriber.options.dead_to,
        )
        for seq, replay_id, reason, attempts, first_at, last_at, status, error in rows
    )


def _deliveries(rows: list[list[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((seq, replay_id) for seq, replay_id in rows)


def _interests(rows: list[list[Any]]) -> tuple[Interest, ...]:
    return tuple(Interest(after, until, tuple(topics)) for after, until, topics in rows)
