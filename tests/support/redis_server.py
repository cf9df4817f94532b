"""A real redis-server on a free port, with its append-only file in a folder."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.support.deadline import eventually
from tests.support.ports import LOOPBACK, free_port

#: ``redis-server``, or what ``TESTS_REDIS_SERVER`` names: another version of it, or Valkey's.
COMMAND = shutil.which(os.environ.get("TESTS_REDIS_SERVER", "redis-server"))

#: Marks tests that need it.
NEEDS_REDIS = pytest.mark.skipif(COMMAND is None, reason="there is no redis-server here")


class RedisServer:
    """May be killed, stopped for a while, and started again with what it kept.

    ``options`` go to its command line; ``role`` comes first there, and makes it something else than a server of data.
    """

    def __init__(self, folder: Path, *options: str, durable: bool = True, role: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.url = f"redis://{LOOPBACK}:{self.port}/0"
        self._folder = folder
        kept = ("--appendonly", "yes", "--appendfsync", "always") if durable else ()
        data = () if role else ("--save", "", *kept)
        listens = ("--port", str(self.port), "--bind", LOOPBACK, "--dir", str(folder))
        self._arguments = (*role, *listens, *data, *options)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start, and wait until it answers."""
        assert COMMAND is not None
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [COMMAND, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually(lambda: self.ask("PING") == b"+PONG\r\n", 20)
        return self

    def ask(self, *command: str) -> bytes:
        """The raw answer to a command; empty where there is none."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=5) as connection:
                connection.sendall((" ".join(command) + "\r\n").encode())
                return connection.recv(65_536)
        except OSError:
            return b""

    def has_replica(self) -> bool:
        """Whether some replica has all that this server has."""
        return b"state=online" in self.ask("INFO", "replication")

    def is_master(self) -> bool:
        """Whether it takes writes."""
        return b"role:master" in self.ask("INFO", "replication")

    def kill(self) -> None:
        """SIGKILL; what it had on disk stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def copy(self, folder: Path) -> None:
        """Put all that it has on disk into the folder of another one, which does not run."""
        shutil.copytree(self._folder, folder, dirs_exist_ok=True)

    def stop(self) -> None:
        """It answers nothing until ``go_on``."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """After ``stop``."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
