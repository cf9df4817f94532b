"""What changes the journal: one script a commit, which Redis runs whole or not at all."""

from collections.abc import Callable, Sequence
from typing import Any

import redis

from eventbus.errors import JournalError
from eventbus.journal.base import IDEMPOTENCY_SECONDS, MAX_IDEMPOTENCY_KEYS, Appended
from eventbus.journal.group_commit import Publish
from eventbus.journal.redis import keys
from eventbus.journal.redis.membership import Membership
from eventbus.journal.redis.plan import OVERHEAD, parts_of, plan_of
from eventbus.journal.redis.server import script, told
from eventbus.model import Checkpoint, Event

#: What lets a script that frees memory, or nearly so, run where there is none left.
#: https://redis.io/docs/latest/develop/programmability/eval-intro/#script-flags
WHERE_MEMORY_IS_SHORT = "#!lua flags=allow-oom\n"
UNWRITTEN = "could not be written, and nothing of this was kept"


#: Seconds that a commit may take until Redis begins with it; less than its answer is waited for.
COMMIT_SECONDS = 4.0


class Writer:
    """Writes in the name of a node. Not for two greenlets at once. ``lost`` is called with lanes that are another's.

    A commit whose answer does not come may have been made: its publishers are told that nothing was kept, and the next
    commit takes it back. One that Redis comes to too late is refused by it.
    """

    def __init__(self, client: redis.Redis, node: Membership) -> None:
        self._publish = client.register_script(script("commit"))
        self._save = client.register_script(WHERE_MEMORY_IS_SHORT + script("commit"))
        self._trim = client.register_script(WHERE_MEMORY_IS_SHORT + script("trim"))
        self._node = node
        self._writes_as = ""
        self._number = self._known = 0  # this node's last commit, and the last one that is known to be made
        self.lost: Callable[[Sequence[str]], object] = lambda _: None

    def commit(
        self, publishes: Sequence[Publish], checkpoints: Sequence[Checkpoint]
    ) -> tuple[list[Event], list[Appended]]:
        """Keep all of it. Raises JournalError, and then nothing is kept."""
        if not publishes and not checkpoints:
            return [], []
        if self._writes_as != self._node.id:
            self._writes_as, self._number, self._known = self._node.id, 0, 0
        self._number += 1
        small = not publishes and any(not checkpoint.empty for checkpoint in checkpoints)
        run = self._save if small else self._publish  # an empty checkpoint asks whether there is room to publish
        deadline = f"{self._node.deadline(COMMIT_SECONDS):.0f}"
        arguments: list[Any] = [self._writes_as, self._number, self._known, deadline, plan_of(publishes, checkpoints)]
        with told(UNWRITTEN):
            answers, lost = run(keys=[keys.NODES], args=[*arguments, *parts_of(publishes)])
        self._known = self._number
        if lost:
            self.lost(sorted({lane.decode() for lane in lost}))
        return _events(publishes, answers), [
            _appended(publish, answer) for publish, answer in zip(publishes, answers, strict=True)
        ]

    def trim(self, seqs: Sequence[int], forget_before: float, wall: float) -> int:
        """See Journal.trim; nothing goes where another node does so for all."""
        numbers = "[" + ",".join(f'"{seq}"' for seq in seqs) + "]"
        forgotten = (wall - IDEMPOTENCY_SECONDS, MAX_IDEMPOTENCY_KEYS)
        with told("could not be trimmed"):
            gone: int = self._trim(
                keys=[keys.NODES], args=[self._node.id, numbers, forget_before, *forgotten, OVERHEAD]
            )
        return gone


def _events(publishes: Sequence[Publish], answers: Sequence[Any]) -> list[Event]:
    """What is new in the journal."""
    return [
        Event(seq, *message)
        for publish, answer in zip(publishes, answers, strict=True)
        if isinstance(answer, int)
        for seq, message in enumerate(publish.messages, answer)
    ]


def _appended(publish: Publish, answer: Any) -> Appended:
    if isinstance(answer, int):
        return Appended(tuple([message.id for message in publish.messages]))
    if not isinstance(answer, bytes):
        raise JournalError(f"Redis answered a commit with {answer!r}.")
    return Appended(tuple(answer.decode().split("\n")), duplicate=True)
