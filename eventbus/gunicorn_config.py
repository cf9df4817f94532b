"""gunicorn's configuration for the bus. Nothing here imports sockets: the worker has to patch first."""

import os
import resource
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import Any, NoReturn

from eventbus.core.redis_url import is_redis

#: The limit on open files that the bus sets, if the hard limit allows it.
MAX_OPEN_FILES = 65_536
_names = {number: number.name for number in signal.Signals}


def _number(name: str, default: float) -> float:
    """Return a number from the environment, or the default for an invalid one, which ``on_starting`` reports."""
    try:
        return float(os.environ.get(name) or default)
    except ValueError:
        return default


port = int(_number("PORT", 3000))
bind = f"[::]:{port}" if socket.has_dualstack_ipv6() else f"0.0.0.0:{port}"
worker_class = "eventbus.web.server.worker.Worker"
#: Several processes share a journal on Redis; one process owns a SQLite journal, so it ignores WEB_CONCURRENCY.
_shared = is_redis(os.environ.get("EVENTBUS_JOURNAL", "").strip())
workers = max(1, int(_number("WEB_CONCURRENCY", 1))) if _shared else 1
worker_connections = 4_000
backlog = 2_048
keepalive = 75  # seconds; longer than a proxy keeps its connections
graceful_timeout = int(_number("EVENTBUS_DRAIN_SECONDS", 20)) + 4  # seconds
timeout = 30  # seconds without a heartbeat after which the worker is replaced
control_socket_disable = True
http_parser = "python"  # the parser that is tested and measured, whatever is installed
# The bus does not use what a proxy says of a client, so no proxy has to be trusted for it.
forwarded_allow_ips = "*"
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
logger_class = "eventbus.web.server.gunicorn_log.GunicornLog"


def on_starting(server: Any) -> None:
    """Check what would stop the worker, to report it in one sentence, and raise the limit of open files."""
    _raise_file_limit()
    from eventbus.core.errors import SettingsError
    from eventbus.core.settings import from_environment

    try:
        settings = from_environment(os.environ)
    except SettingsError as error:
        _stop(str(error))
    _check_tokens_file(settings.tokens_file)
    if server.cfg.workers != 1 and not settings.on_redis:
        _stop(f"{server.cfg.workers} workers are set, but one process owns a SQLite journal; remove --workers")
    if server.cfg.preload_app or server.cfg.max_requests:
        _stop("preload_app and max_requests must not be set: the worker holds the registrations and the journal")
    _check_binds(server.cfg)


def when_ready(server: Any) -> None:
    """Log once who may use the bus, if that may surprise; ignore the signals that would reload it."""
    from eventbus.core.settings import from_environment
    from eventbus.web.server.listeners import reachable_from_outside, tcp_names

    for number in (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, lambda *_: server.log.warning("ignoring %s: restart the bus instead", _names[_[0]]))
    settings = from_environment(os.environ)
    for scope in _closed_scopes(settings):
        server.log.warning("nobody may %s: neither a token for it nor one of an administrator is set", scope)
    if not settings.tokens and not settings.tokens_file and reachable_from_outside(tcp_names(server.LISTENERS)):
        server.log.warning("everyone who can reach this port may publish, subscribe and administer: no tokens are set")


def _check_tokens_file(path: str) -> None:
    """Report a file of tokens that would stop the worker."""
    from eventbus.core.token_file import parse_token_file

    if not path:
        return
    try:
        found = parse_token_file(Path(path).read_bytes())
    except OSError as error:
        _stop(f"EVENTBUS_TOKENS_FILE names {path!r}, which cannot be read: {error.strerror}")
    if found.faults:
        _stop(f"EVENTBUS_TOKENS_FILE is wrong: {found.faults[0].at(path).rstrip('.')}")


def _closed_scopes(settings: Any) -> tuple[str, ...]:
    """Return the scopes that no token has, of the settings or of the file, where there is any token."""
    from eventbus.core.token_file import parse_token_file
    from eventbus.core.tokens import closed_scopes

    given = set(settings.tokens.digests)
    if settings.tokens_file:
        content = Path(settings.tokens_file).read_bytes()
        given |= {scope for each in parse_token_file(content).tokens for scope in each.access.scopes}
    return closed_scopes(given)


def _raise_file_limit() -> None:
    """Raise the soft limit of open files: each client and each subscriber needs one, and 1,024 is common."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MAX_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _check_binds(cfg: Any) -> None:
    """Report a port or path that cannot be bound at once; gunicorn tries five times. Inherited sockets are bound."""
    from gunicorn.systemd import listen_fds

    if "GUNICORN_FD" in os.environ or listen_fds(unset_environment=False):
        return
    if any(isinstance(address, int) for address in cfg.address):  # then gunicorn binds no others
        return
    for address in cfg.address:
        if isinstance(address, tuple):
            _check_free(*address, reuse=cfg.reuse_port)
        else:
            _check_path(address)


def _check_free(host: str, port: int, *, reuse: bool) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    name = f"port {port}" if host in ("", "0.0.0.0", "::") else f"port {port} of {host}"
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            _stop(f"{name} cannot be used: {why}; set PORT or --bind to another one")


def _check_path(path: str) -> None:
    """Check that a Unix socket can be created: it may replace a socket, but no other file."""
    if path.startswith("\0"):  # an abstract socket has no file
        return
    try:
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            _stop(f"{path} exists and is not a socket; choose another path with --bind unix:PATH")
    except FileNotFoundError:
        if not os.access(Path(path).parent, os.W_OK | os.X_OK):
            _stop(f"no socket can be created at {path}; choose another path with --bind unix:PATH")
    except OSError as error:
        _stop(f"no socket can be created at {path}: {error.strerror}; choose another path with --bind unix:PATH")


def _stop(sentence: str) -> NoReturn:
    print(f"eventbus cannot start: {sentence}", file=sys.stderr)
    sys.exit(1)
