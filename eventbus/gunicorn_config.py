"""How gunicorn runs the bus. Nothing at import that brings sockets with it: the worker has to patch first."""

import os
import resource
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import Any, NoReturn

from eventbus.core.redis_url import is_redis

#: Files that the bus may have open, where the system lets it.
FILES = 65_536
_names = {number: number.name for number in signal.Signals}


def _number(name: str, default: float) -> float:
    """A number from the environment; a wrong one is told by ``on_starting``, in a sentence."""
    try:
        return float(os.environ.get(name) or default)
    except ValueError:
        return default


port = int(_number("PORT", 3000))
bind = f"[::]:{port}" if socket.has_dualstack_ipv6() else f"0.0.0.0:{port}"
worker_class = "eventbus.web.server.worker.Worker"
#: Where the journal is on Redis, several share it; one process owns a SQLite one, whatever WEB_CONCURRENCY says.
_shared = is_redis(os.environ.get("EVENTBUS_JOURNAL", "").strip())
workers = max(1, int(_number("WEB_CONCURRENCY", 1))) if _shared else 1
worker_connections = 4_000
backlog = 2_048
keepalive = 75  # seconds; longer than a proxy in front keeps its connections
graceful_timeout = int(_number("EVENTBUS_DRAIN_SECONDS", 20)) + 4  # seconds
timeout = 30  # seconds without a sign of life after which the worker is replaced
control_socket_disable = True
http_parser = "python"  # whatever else is installed: what was measured and tested
# Nothing that a proxy says of the client is used, so nobody has to be trusted, or looked up, for it.
forwarded_allow_ips = "*"
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
logger_class = "eventbus.web.server.gunicorn_log.GunicornLog"


def on_starting(server: Any) -> None:
    """Check what would stop the worker, where one sentence is enough, and take as many files as are given."""
    _raise_file_limit()
    from eventbus.core.errors import SettingsError
    from eventbus.core.settings import from_environment

    try:
        settings = from_environment(os.environ)
    except SettingsError as error:
        _stop(str(error))
    if server.cfg.workers != 1 and not settings.on_redis:
        _stop(
            f"{server.cfg.workers} workers were asked for, but one process owns a SQLite journal; leave --workers out"
        )
    if server.cfg.preload_app or server.cfg.max_requests:
        _stop("preload_app and max_requests must stay off: the worker holds the registry and the journal")
    _check_binds(server.cfg)


def when_ready(server: Any) -> None:
    """Say once who may use the bus, where that is more than it may seem."""
    from eventbus.core.settings import from_environment
    from eventbus.web.server.listeners import reachable_from_outside, tcp_names

    for number in (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, lambda *_: server.log.warning("%s is passed over: restart the bus instead", _names[_[0]]))
    tokens = from_environment(os.environ).tokens
    for scope in tokens.closed:
        server.log.warning("nobody may %s: there is no token for it, nor one of an administrator", scope)
    if not tokens and reachable_from_outside(tcp_names(server.LISTENERS)):
        server.log.warning("whoever can reach this port may publish, subscribe and administer: no tokens are set")


def _raise_file_limit() -> None:
    """Each client and each subscriber takes a file; the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _check_binds(cfg: Any) -> None:
    """Say at once what cannot be listened on, instead of trying five times. Sockets that are inherited are bound."""
    from gunicorn.systemd import listen_fds

    if "GUNICORN_FD" in os.environ or listen_fds(unset_environment=False):
        return
    if any(isinstance(address, int) for address in cfg.address):  # gunicorn binds no others then
        return
    for address in cfg.address:
        if isinstance(address, tuple):
            _check_free(*address, reuse=cfg.reuse_port)
        else:
            _check_path(address)


def _check_free(host: str, port: int, *, reuse: bool) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    shown = f"port {port}" if host in ("", "0.0.0.0", "::") else f"port {port} of {host}"
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            _stop(f"{shown} cannot be used: {why}; set PORT, or --bind, to another one")


def _check_path(path: str) -> None:
    """A Unix socket takes the place of one that was left there, of nothing else."""
    if path.startswith("\0"):  # abstract: it has no place in a folder
        return
    try:
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            _stop(f"{path} is there, and is no socket; name another one with --bind unix:PATH")
    except FileNotFoundError:
        if not os.access(Path(path).parent, os.W_OK | os.X_OK):
            _stop(f"no socket can be made at {path}; name another one with --bind unix:PATH")
    except OSError as error:
        _stop(f"no socket can be made at {path}: {error.strerror}; name another one with --bind unix:PATH")


def _stop(sentence: str) -> NoReturn:
    print(f"eventbus cannot start: {sentence}", file=sys.stderr)
    sys.exit(1)
