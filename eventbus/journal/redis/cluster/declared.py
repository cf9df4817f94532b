"""Which subscribers the files of all nodes declare: each node shares its own again and again, and they end with it."""

from collections.abc import Collection
from typing import Any

from eventbus.journal.redis.lua import script
from eventbus.journal.redis.store import keys
from eventbus.journal.redis.store.server import translate_errors


class DeclaredOfNodes:
    """Shares with the other nodes what this one's file declares."""

    def __init__(self, client: Any) -> None:
        self._declare = client.register_script(script("declare"))

    def share(self, names: Collection[str], seconds: float) -> frozenset[str]:
        """Let these count for so many seconds; return those of all nodes. Raises JournalError."""
        with translate_errors("does not take what a file declares"):
            found = self._declare(keys=[keys.NODES], args=[int(seconds * 1_000), *names])
        return frozenset(name.decode() for name in found)
