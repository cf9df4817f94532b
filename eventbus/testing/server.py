"""A live bus in a process of its own, on a free port, with its journal in a folder."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import eventbus
from eventbus.client.bus import Bus
from eventbus.client.errors import Unreachable
from eventbus.client.http import HttpTransport, Request

#: Seconds in which it has to be ready.
START_SECONDS = 30.0
#: Seconds between two checks whether it is ready.
POLL_INTERVAL_SECONDS = 0.02
#: Below Linux's range for outgoing connections, so that none of those takes the bus's port while it is down.
PORTS = range(30_000, 32_000)
#: Variables that are removed from its environment, so that a developer's settings change no test.
_REMOVED_VARIABLES = ("EVENTBUS_", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS", "PORT")
_NO_KEEP_ALIVE = {"Connection": "close"}


class LiveServer:
    """A bus that can be killed and started again, on the same port with the same journal.

    ``environment`` is the bus's settings, such as ``{"EVENTBUS_SIGNING_SECRETS": ...}``.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / f"eventbus-{self.port}.log"
        own = {"PORT": str(self.port), "EVENTBUS_JOURNAL": f"sqlite:///{folder / 'eventbus.db'}"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_REMOVED_VARIABLES)}
        self._environment = {**kept, **own, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def bus(self, **options: Any) -> Bus:
        """Make a client of it."""
        return Bus(self.url, **options)

    def start(self) -> Self:
        """Start, and wait until it accepts. Raises RuntimeError with its log where it does not."""
        command, folder = _command()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a fixed command
                command, cwd=folder, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        ends = time.monotonic() + START_SECONDS
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > ends:
                self.kill()
                raise RuntimeError(f"The bus did not start; its log:\n{self._log.read_text(errors='replace')}")
            time.sleep(POLL_INTERVAL_SECONDS)
        return self

    def kill(self) -> None:
        """Send SIGKILL to all of its processes, as a crash would end them."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM, as a deploy would, and wait until it has drained."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        self._process.wait()
        while not _is_free(self.port):  # its worker is not ours to wait for
            time.sleep(POLL_INTERVAL_SECONDS)
        self._process = None

    def _ready(self) -> bool:
        try:
            transport = HttpTransport(self.url)
            return transport.request(Request("GET", "/readyz", _NO_KEEP_ALIVE, None, 5.0)).status == 200
        except Unreachable:
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def _command() -> tuple[list[str], Path]:
    """Return the command that starts the bus, and its folder: of a checkout, else the installed command."""
    root = Path(eventbus.__file__).parents[1]
    if (root / "gunicorn.conf.py").exists():
        return [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"], root
    return [str(Path(sys.executable).with_name("eventbus")), "serve"], Path.cwd()


def _free_port() -> int:
    """Return a port that nobody listens on."""
    while not _is_free(port := random.choice(PORTS)):  # noqa: S311 - no secret
        continue
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0
