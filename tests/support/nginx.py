"""A real nginx in front of the bus, with the configuration that is deployed."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.deadline import eventually
from tests.support.ports import LOOPBACK, free_port
from tests.support.processes import running_children
from tests.support.raw_client import RawConnection
from tests.support.server import ROOT

CONFIGURATION = ROOT / "deploy" / "nginx.conf"
#: Where distributions put it, which is not on every user's path.
_PATHS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


def find_nginx() -> str | None:
    """The nginx binary."""
    return shutil.which("nginx", path=_PATHS)


def adapt(text: str, *, port: int, upstream_port: int, folder: Path) -> str:
    """The deployed configuration with only what belongs to a machine changed: its ``# site:`` lines.

    Raises ValueError where one of these is not there exactly once.
    """
    for line, replacement in {
        "user www-data;": "",
        "pid /run/nginx.pid;": f"pid {folder}/nginx.pid;",
        "error_log /var/log/nginx/error.log warn;": f"error_log {folder}/error.log warn;",
        "access_log /var/log/nginx/access.log eventbus;": f"access_log {folder}/access.log eventbus;",
        "client_body_temp_path /var/lib/nginx/body;": _temporary_paths(folder),
        "server 127.0.0.1:3000 max_fails=0;": f"server {LOOPBACK}:{upstream_port} max_fails=0;",
        "listen 80;": f"listen {LOOPBACK}:{port};",
    }.items():
        if text.count(line) != 1:
            raise ValueError(f"{CONFIGURATION.name} has {text.count(line)} times the line {line!r}")
        text = text.replace(line, replacement)
    return text


def _temporary_paths(folder: Path) -> str:
    kinds = {"client_body": "body", "proxy": "proxy", "fastcgi": "fcgi", "uwsgi": "uwsgi", "scgi": "scgi"}
    return " ".join(f"{kind}_temp_path {folder}/{name};" for kind, name in kinds.items())


class NginxProcess:
    """nginx with a configuration that has it listen on ``port`` of loopback, and write into ``folder`` alone."""

    def __init__(self, binary: str, folder: Path, port: int, configuration: str) -> None:
        self.port = port
        self._binary = binary
        self._log = folder / "nginx.log"
        self._configuration = folder / "nginx.conf"
        own_user = "user root;\n" if os.geteuid() == 0 else ""  # the folder is open to its owner only
        self._configuration.write_text(own_user + configuration)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float = 10.0) -> Self:
        """Start, and wait until it listens; RuntimeError with its log where it ended instead."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._binary, "-c", str(self._configuration), "-e", str(self._log), "-g", "daemon off;"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._listening_or_ended, timeout, "nginx did not listen")
        return self

    def stop(self) -> None:
        """End the master and its workers."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(10)

    @property
    def worker_pids(self) -> list[int]:
        """The workers' process ids."""
        return [] if self._process is None else running_children(self._process.pid)

    def log_text(self) -> str:
        """What it has written to its own log, and to its error log."""
        return self._log.read_text() + (self._log.parent / "error.log").read_text()

    def _listening_or_ended(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"nginx ended; its log:\n{self._log.read_text()}")
        try:
            RawConnection(self.port).close()
        except OSError:
            return False
        return True

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Nginx(NginxProcess):
    """nginx on a free port of loopback, before whatever listens on ``upstream_port``.

    ``changes`` are made to its configuration: texts, and what stands instead of each.
    """

    def __init__(self, binary: str, folder: Path, upstream_port: int, changes: Mapping[str, str] | None = None) -> None:
        port = free_port()
        adapted = adapt(CONFIGURATION.read_text(), port=port, upstream_port=upstream_port, folder=folder)
        for text, instead in (changes or {}).items():
            if text not in adapted:
                raise ValueError(f"{CONFIGURATION.name} has no {text!r}")
            adapted = adapted.replace(text, instead)
        super().__init__(binary, folder, port, adapted)


class NginxSubscriber(NginxProcess):
    """nginx as a subscriber by https that answers 200 to clients with a certificate of ``ca_file``, and 400 to others.

    Its access log has a line for each request, with the ``seen`` variables of nginx.
    """

    def __init__(
        self, binary: str, folder: Path, server: tuple[Path, Path], ca_file: Path, seen: Sequence[str]
    ) -> None:
        port, (certificate, key) = free_port(), server
        self._access = folder / "access.log"
        line = " ".join(f"${name}" for name in seen)
        super().__init__(
            binary,
            folder,
            port,
            f"""
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{}}
http {{
    {_temporary_paths(folder)}
    log_format seen '{line}';
    access_log {self._access} seen;
    server {{
        listen {LOOPBACK}:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_client_certificate {ca_file};
        ssl_verify_client on;
        keepalive_requests 3;
        location / {{ return 200; }}
    }}
}}
""",
        )

    @property
    def address(self) -> str:
        """Where it is registered."""
        return f"https://{LOOPBACK}:{self.port}"

    def seen(self) -> list[str]:
        """The lines of its access log."""
        return self._access.read_text().splitlines()
