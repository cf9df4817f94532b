"""Writes the journal: one script for each commit, which Redis runs completely or not at all."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gevent
import redis

from eventbus.core.columns import numbered
from eventbus.core.errors import Conflict, JournalError, JournalOutOfMemory, JournalTimeout, KeyReused
from eventbus.core.model import Event, Message, already_registered
from eventbus.core.records import Checkpoint, DeadLetter
from eventbus.journal.base import IDEMPOTENCY_SECONDS, KEY_OVERHEAD, MAX_IDEMPOTENCY_KEYS, Appended, KeptDeadLetter
from eventbus.journal.group_commit import NOT_PUBLISHED, CommitResult, Publish
from eventbus.journal.redis.cluster.membership import Membership
from eventbus.journal.redis.lua import script
from eventbus.journal.redis.store import keys
from eventbus.journal.redis.store.commit_plan import EVENT_OVERHEAD, parts_of, plan_of
from eventbus.journal.redis.store.discovery import ReplicationIdChanged
from eventbus.journal.redis.store.replication import ReplicationPolicy
from eventbus.journal.redis.store.rows import letter_text
from eventbus.journal.redis.store.server import translate_errors
from eventbus.journal.redis.timing import RedisTiming

#: Lets a script run when the server has no memory left. All but the one that keeps events begin with it: what they
#: write is small, mostly replaces older values, and is needed to deliver, settle and remove what was accepted.
#: https://redis.io/docs/latest/develop/programmability/eval-intro/#script-flags
ALLOW_OOM = "#!lua flags=allow-oom\n"
UNWRITTEN = "could not be written, and nothing of this was kept"
UNKNOWN = "whether this was kept is not known: publish it again with the same Idempotency-Key"
#: What a commit answers for a publish that is scheduled by it; for one that was, this is before the rest.
_SCHEDULED = b"\n"
#: How the error begins if the replication id is not the one that the node has read the journal under.
RESTARTED = "RESTARTED"


class Writer:
    """Writes in the name of a node, which hears of lanes that peers own by now. Not for two greenlets at once.

    A commit whose answer is lost may have been made. The writer asks Redis for its outcome, for a while; and Redis
    refuses a commit that arrives late, so that nothing is kept after publishers were answered that it was not.
    """

    def __init__(
        self, client: redis.Redis, node: Membership, replication: ReplicationPolicy, timing: RedisTiming
    ) -> None:
        self._client = client
        self._replication = replication
        self._timing = timing
        self._publish = client.register_script(script("commit"))
        self._save = client.register_script(ALLOW_OOM + script("commit"))
        self._trim = client.register_script(script("trim"))
        self._give_up = client.register_script(script("give_up_bodies"))
        self._outcome = client.register_script(script("commit_outcome"))
        self._node = node
        self._number = 0  # of the last commit

    def commit(self, publishes: Sequence[Publish], checkpoints: Sequence[Checkpoint]) -> CommitResult:
        """Keep all of it. Raises JournalError if nothing is kept, and JournalTimeout if nobody knows.

        If the server has no memory only new events are refused: what is settled makes room, and is kept for that.
        """
        if not publishes and not checkpoints:
            return CommitResult([], [])
        try:
            return self._keep(publishes, checkpoints)
        except JournalOutOfMemory as error:
            return self._keep(publishes, checkpoints, no_memory=error)

    def _keep(
        self,
        publishes: Sequence[Publish],
        checkpoints: Sequence[Checkpoint],
        no_memory: JournalOutOfMemory | None = None,
    ) -> CommitResult:
        """Keep all of it; or, with ``no_memory``, all but new events, whose publishes get that error."""
        self._number += 1
        node = self._node.id
        run = self._publish if publishes and no_memory is None else self._save
        parts = parts_of(publishes) if no_memory is None else []
        deadline = f"{self._node.deadline(self._timing.commit_seconds):.0f}"
        arguments: list[Any] = [node, self._number, deadline, self._node.replication_id]
        arguments.append(plan_of(publishes, checkpoints, no_memory=no_memory is not None))
        with translate_errors(UNWRITTEN):
            try:
                answers, refused, taken = run(keys=[keys.NODES], args=[*arguments, *parts])
            except ReplicationIdChanged:
                self._node.hurry()
                raise
            except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
                answers, refused, taken = self._outcome_of(node, error)
            except redis.ResponseError as error:
                if str(error).startswith(RESTARTED):
                    self._node.hurry()
                raise
        if refused and node == self._node.id:  # else it has lost all of them since, and perhaps owns some again
            self._node.refused(sorted({lane.decode() for lane in refused}))
        missing = self._missing(node) if any(answer is not None for answer in answers) else None
        if missing is not None:
            silent = JournalTimeout(f"The journal has this, but {missing}; {UNKNOWN}.")
            results = [silent if answer is not None else no_memory or silent for answer in answers]
            return CommitResult([], results, _conflicts(taken))
        appended = [
            no_memory if answer is None and no_memory is not None else _appended(publish, answer)
            for publish, answer in zip(publishes, answers, strict=True)
        ]
        scheduled = _scheduled(publishes, answers)
        return CommitResult(_events(publishes, answers), appended, _conflicts(taken), scheduled=scheduled)

    def _missing(self, node: str) -> str | None:
        """Wait until a commit with events is replicated, and return what is missing. Raises JournalTimeout.

        Checkpoints alone are not waited for: one that a failover loses means repeated deliveries, but no lost event.
        """
        if not self._replication.waits:
            return None
        try:
            return self._replication.wait(self._client, keys.last(node), self._number)
        except (redis.RedisError, OSError) as error:
            raise JournalTimeout(f"The journal does not answer ({error}); {UNKNOWN}.") from error

    def _outcome_of(self, node: str, error: Exception) -> Any:
        """Ask for the result of the last commit, whose answer was lost. Raises ``error`` if it was not made."""
        ends = time.monotonic() + self._timing.outcome_seconds
        while True:
            try:
                result = self._outcome(keys=[keys.NODES], args=[node, self._number])
            except (redis.ConnectionError, redis.TimeoutError, OSError) as silence:
                if isinstance(silence, ReplicationIdChanged):
                    self._node.hurry()
                if time.monotonic() > ends:
                    raise JournalTimeout(f"The journal does not answer ({error}); {UNKNOWN}.") from error
                gevent.sleep(self._timing.outcome_interval_seconds)
                continue
            if result is None:
                raise error
            return result

    def give_up_bodies(self, letters: Sequence[KeptDeadLetter]) -> None:
        """Detach dead letters from the bodies of their events. Raises JournalError."""
        changed = [(one, _without_body(one)) for one in letters]
        parts = [part for one, letter in changed for part in (one.id, letter.seq, letter_text(letter))]
        with translate_errors("could not be written"):
            self._give_up(keys=[keys.NODES], args=parts)

    def trim(
        self, replication_id: str, seqs: Sequence[int], forget_before: float, max_key_bytes: int | None, wall: float
    ) -> int:
        """Remove settled events, and return how many; 0 if a peer is the trimmer or the replication id has changed."""
        numbers = "[" + ",".join(f'"{seq}"' for seq in seqs) + "]"
        expired_keys = (wall - IDEMPOTENCY_SECONDS, MAX_IDEMPOTENCY_KEYS)
        sizes = (EVENT_OVERHEAD, 2**62 if max_key_bytes is None else max_key_bytes, KEY_OVERHEAD)
        with translate_errors("could not be trimmed"):
            removed: int = self._trim(
                keys=[keys.NODES],
                args=[self._node.id, replication_id, numbers, forget_before, *expired_keys, *sizes],
            )
        return removed


def _events(publishes: Sequence[Publish], answers: Sequence[Any]) -> list[Event]:
    """Return the new events of a commit."""
    return [
        event
        for publish, answer in zip(publishes, answers, strict=True)
        if isinstance(answer, int)
        for event in numbered(publish.messages, answer)
    ]


def _scheduled(publishes: Sequence[Publish], answers: Sequence[Any]) -> list[Message]:
    """Return the messages of a commit that are scheduled by it."""
    found = (publish for publish, answer in zip(publishes, answers, strict=True) if answer == _SCHEDULED)
    return [message for publish in found for message in publish.messages]


def _appended(publish: Publish, answer: Any) -> Appended | KeyReused:
    if isinstance(answer, int) or answer == _SCHEDULED:
        return Appended(publish.ids, due_at=publish.due_at)
    if answer == b"":
        return NOT_PUBLISHED
    if not isinstance(answer, bytes):
        raise JournalError(f"Redis answered a commit with {answer!r}.")
    if answer == b"!":
        return KeyReused()
    due_at = None
    if answer.startswith(_SCHEDULED):
        due, _, answer = answer.removeprefix(_SCHEDULED).partition(b"\n")
        due_at = float(due)
    return Appended(tuple(answer.decode().split("\n")), duplicate=True, due_at=due_at)


def _conflicts(taken: Any) -> dict[int, Conflict]:
    """Return the errors of checkpoints that were refused, by their numbers in the commit."""
    return {number: already_registered(address.decode(), key.decode()) for number, address, key in taken}


def _without_body(kept: KeptDeadLetter) -> DeadLetter:
    """Return a dead letter that names its event itself, since the body may be trimmed."""
    return replace(
        kept.letter, event_id=kept.event_id, topic=kept.topic, order_key=kept.order_key, answer=b"", dead_to=""
    )
