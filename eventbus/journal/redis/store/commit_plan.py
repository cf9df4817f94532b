"""A batch as the commit script reads it. Numbers that have to stay exact are written as text."""

import json
from collections.abc import Sequence
from typing import Any

from eventbus.core.model import Group
from eventbus.core.records import BLOCKED_UNTIL, Checkpoint, LaneRecord
from eventbus.journal import lane_json
from eventbus.journal.base import KEY_OVERHEAD, MAX_REDELIVERIES
from eventbus.journal.group_commit import Publish
from eventbus.journal.redis.store.rows import delivery_name, letter_text, retry_text, topic_text

#: Bytes that an event takes beside its own: its entry, and its row among the ids.
EVENT_OVERHEAD = 160


def plan_of(publishes: Sequence[Publish], checkpoints: Sequence[Checkpoint], *, no_memory: bool = False) -> str:
    """Return the batch as JSON, but for the messages; with ``no_memory`` no message is to be kept."""
    return json.dumps(
        {
            "overhead": EVENT_OVERHEAD,
            "key_overhead": KEY_OVERHEAD,
            "no_memory": no_memory,
            "max_redeliveries": MAX_REDELIVERIES,
            "blocked_until": repr(BLOCKED_UNTIL),
            "publishes": [_publish(publish) for publish in publishes],
            "checkpoints": [_checkpoint(checkpoint) for checkpoint in checkpoints],
        },
        separators=(",", ":"),
    )


def parts_of(publishes: Sequence[Publish]) -> list[str | bytes]:
    """Return the messages, six arguments each."""
    return [
        part
        for publish in publishes
        for message in publish.messages
        for part in (
            *(message.id, topic_text(message.topic), message.head, message.body),
            repr(message.accepted_at),
            message.key,
        )
    ]


def _publish(publish: Publish) -> dict[str, Any]:
    plan: dict[str, Any] = {"count": len(publish.messages), "letters": [str(number) for number in publish.letters]}
    if publish.due_at is not None:
        plan["due"] = repr(publish.due_at)
    if publish.idempotency_key is not None:
        at = publish.messages[0].accepted_at if publish.messages else 0.0
        plan |= {"key": publish.idempotency_key, "at": repr(at), "content": publish.content}
    return plan


def lane_plan(record: LaneRecord) -> dict[str, str]:
    """Return a lane's record, its topics if it gets new events, when it ended if it is closed, and its members."""
    plan = {"key": record.subscriber.key, "record": lane_json.to_json(record), "scanned": str(record.scanned)}
    if record.interests[-1].until is None:
        plan["topics"] = " ".join(record.subscriber.options.topics) or ">"
    if not record.open:
        plan["ended"] = repr(record.ended_at)
    if isinstance(record.subscriber, Group):
        plan["members"] = " ".join(each.subscriber.key for each in record.members if record.open)
    return plan


def _checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "at": repr(checkpoint.at),
        "scanned": str(checkpoint.scanned),
        "registers": checkpoint.registers,
        "lanes": [lane_plan(record) for record in checkpoint.lanes],
        "settled_retries": _names(checkpoint.settled_retries),
        "filtered_retries": _names(checkpoint.filtered_retries),
        "retries": [
            (row.key, delivery_name(row.seq, row.replay_id), repr(row.due_at), retry_text(row), row.order_key or "")
            for row in checkpoint.retries
        ],
        "dead": [
            {
                "key": letter.key,
                "delivery": delivery_name(letter.seq, letter.replay_id),
                "seq": str(letter.seq),
                "at": repr(letter.last_at),
                "row": letter_text(letter),
                "unpublished": bool(letter.dead_to),
            }
            for letter in checkpoint.dead
        ],
        "hastened": checkpoint.hastened,
        "cleared": checkpoint.cleared,
        "replayed": [str(number) for number in checkpoint.replayed],
        "replay": checkpoint.replay,
        "replay_expires": checkpoint.replay_expires,
        "dropped": [str(number) for number in checkpoint.dropped],
        "discards": [(span.key, str(span.first), str(span.last)) for span in checkpoint.discards],
        "forgotten": checkpoint.forgotten,
    }


def _names(retries: Sequence[tuple[str, int, int]]) -> list[tuple[str, str]]:
    """Return the lane and the name of each retry."""
    return [(key, delivery_name(seq, replay_id)) for key, seq, replay_id in retries]
