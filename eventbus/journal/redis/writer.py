"""What changes the journal: one script a commit, which Redis runs whole or not at all."""

from collections.abc import Sequence
from typing import Any

import redis

from eventbus.errors import JournalError, JournalUnavailable
from eventbus.journal.base import IDEMPOTENCY_SECONDS, MAX_IDEMPOTENCY_KEYS, Appended
from eventbus.journal.group_commit import Publish
from eventbus.journal.redis import keys
from eventbus.journal.redis.plan import OVERHEAD, parts_of, plan_of
from eventbus.journal.redis.server import script, told
from eventbus.model import Checkpoint, Event

#: What lets a script that frees memory, or nearly so, run where there is none left.
#: https://redis.io/docs/latest/develop/programmability/eval-intro/#script-flags
WHERE_MEMORY_IS_SHORT = "#!lua flags=allow-oom\n"
UNWRITTEN = "could not be written, and nothing of this was kept"


class Writer:
    """Writes in the name of one owner. Not for two greenlets at once.

    A commit whose answer does not come may have been made, or be made yet: its publishers are told that nothing was
    kept, and the next commit takes it back, or is numbered so that it comes too late.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._publish = client.register_script(script("commit"))
        self._save = client.register_script(WHERE_MEMORY_IS_SHORT + script("commit"))
        self._trim = client.register_script(WHERE_MEMORY_IS_SHORT + script("trim"))
        self._epoch = ""
        self._number = 0
        self._known = 0  # the last commit that is known to be made

    def begin(self, epoch: str, number: int) -> None:
        """Write from now on with this epoch; ``number`` is the last commit's."""
        self._epoch = epoch
        self._number = self._known = number

    def commit(
        self, publishes: Sequence[Publish], checkpoints: Sequence[Checkpoint]
    ) -> tuple[list[Event], list[Appended]]:
        """Keep all of it. Raises JournalError, and then nothing is kept."""
        if not publishes and not checkpoints:
            return [], []
        self._number += 1
        small = not publishes and any(not checkpoint.empty for checkpoint in checkpoints)
        run = self._save if small else self._publish  # an empty checkpoint asks whether there is room to publish
        arguments = [self._epoch, self._number, self._known, plan_of(publishes, checkpoints), *parts_of(publishes)]
        with told(UNWRITTEN):
            answers = _owned(run, arguments)
        self._known = self._number
        return _events(publishes, answers), [
            _appended(publish, answer) for publish, answer in zip(publishes, answers, strict=True)
        ]

    def trim(self, seqs: Sequence[int], forget_before: float, wall: float) -> int:
        """See Journal.trim."""
        numbers = "[" + ",".join(f'"{seq}"' for seq in seqs) + "]"
        with told("could not be trimmed"):
            gone: int = _owned(
                self._trim,
                [self._epoch, numbers, forget_before, wall - IDEMPOTENCY_SECONDS, MAX_IDEMPOTENCY_KEYS, OVERHEAD],
            )
        return gone


def _owned(run: "redis.commands.core.Script", arguments: Sequence[Any]) -> Any:
    """Run a script that an owner alone may run. Raises JournalUnavailable where that is another one."""
    try:
        return run(keys=[keys.EPOCH], args=arguments)
    except redis.ResponseError as error:
        if str(error).startswith(("EPOCH", "LATE")):
            raise JournalUnavailable(f"The journal is not this bus's any more; {UNWRITTEN}.") from error
        raise


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
