"""A real bus: gunicorn with the repository's own configuration, in a process group of its own."""

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.deadline import eventually
from tests.support.ports import free_port
from tests.support.processes import group_runs, resident_bytes, running_children
from tests.support.raw_client import RawConnection
from tests.support.redis_journals import redis_journal

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app")
#: Left out of the environment, so that a developer's own settings change no test.
_FOREIGN = ("EVENTBUS_", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS", "FORWARDED_ALLOW_IPS", "PORT")


class BusServer:
    """The bus on a free port with its journal in ``folder``; may be started again after it ended.

    ``environment`` is added to what the process gets, ``arguments`` to gunicorn's command line; where that names a
    certificate, ``context`` trusts it. ``command`` starts gunicorn.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
        arguments: Sequence[str] = (),
        context: ssl.SSLContext | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.port = free_port() if port is None else port
        self.journal = folder / "bus.db"
        self.context = context
        self._log = folder / f"bus-{self.port}.log"
        self._command = (*command, *arguments)
        own = {"PORT": str(self.port), "EVENTBUS_JOURNAL": redis_journal(folder) or f"sqlite:///{self.journal}"}
        self._environment = _clean_environment() | own | dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float = 30.0) -> Self:
        """Start, and wait until it is ready to accept; RuntimeError with its log where it ended instead."""
        self.spawn()
        eventually(self._ready_or_ended, timeout, f"the bus was not ready; its log:\n{self.log_text()}")
        return self

    def spawn(self) -> None:
        """Start, and wait for nothing."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ended(self, timeout: float = 30.0) -> int:
        """Wait until it has ended by itself; its exit status."""
        return self._master.wait(timeout)

    def send(self, number: signal.Signals, *, whole_group: bool = False) -> None:
        """Send a signal to the master, or to every process of the group."""
        if whole_group:
            os.killpg(self._master.pid, number)
        else:
            os.kill(self._master.pid, number)

    def terminate(self, timeout: float = 30.0) -> int:
        """SIGTERM to the master; its exit status, or subprocess.TimeoutExpired if it runs on."""
        self.send(signal.SIGTERM)
        return self.ended(timeout)

    def kill(self) -> None:
        """SIGKILL to the whole group, and wait until none of it runs."""
        if self._process is None:
            return
        if group_runs(self._process.pid):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        group = self._process.pid
        eventually(lambda: not group_runs(group), 10, f"process group {group} still ran after SIGKILL")

    @property
    def worker_pids(self) -> list[int]:
        """The workers' process ids."""
        return running_children(self._master.pid)

    @property
    def worker_pid(self) -> int:
        """The one worker's process id."""
        (pid,) = self.worker_pids
        return pid

    def resident_bytes(self) -> int:
        """Memory that the worker holds in RAM."""
        return resident_bytes(self.worker_pid)

    def log_text(self) -> str:
        """All that it has written so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def _master(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("The bus was not started")
        return self._process

    def _ready_or_ended(self) -> bool:
        status = self._master.poll()
        if status is not None:
            raise RuntimeError(f"The bus ended with status {status}; its log:\n{self.log_text()}")
        try:
            with RawConnection(self.port, context=self.context) as connection:
                return connection.request("GET", "/readyz").status == 200
        except (OSError, EOFError):
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def _clean_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return kept | {"PYTHONUNBUFFERED": "1"}


def refusal(bus: BusServer, names: str) -> str:
    """The line of the log in which a bus that must not start names what is wrong."""
    bus.spawn()
    try:
        status = bus.ended()
    finally:
        bus.kill()
    log = bus.log_text()
    assert status != 0, log
    assert "Traceback" not in log, log
    lines = [line for line in log.splitlines() if names in line]
    assert lines, log
    return lines[0]
