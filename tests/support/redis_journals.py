"""Lets the tests of processes run on Redis instead of SQLite: ``TESTS_JOURNAL=redis``."""

import atexit
import os
import tempfile
from functools import cache
from pathlib import Path

from tests.support.redis_server import RedisServer

#: Journals in one run, at most: each is a database of the one server.
DATABASES = 4_096
_numbers: dict[Path, int] = {}


def redis_journal(folder: Path) -> str | None:
    """The URL of the journal that belongs to a folder; None where the tests run on SQLite."""
    if os.environ.get("TESTS_JOURNAL") != "redis":
        return None
    number = _numbers.setdefault(folder, len(_numbers))
    return f"{_server().url.removesuffix('/0')}/{number}"


@cache
def _server() -> RedisServer:
    """One server for all, until the tests end."""
    folder = tempfile.TemporaryDirectory(prefix="eventbus-redis-")
    server = RedisServer(Path(folder.name), "--databases", str(DATABASES)).start()
    atexit.register(folder.cleanup)
    atexit.register(server.kill)
    return server
