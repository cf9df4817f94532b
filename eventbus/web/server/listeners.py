"""The addresses that this process listens on. The worker notes them before the app is loaded."""

from collections.abc import Iterable
from typing import Any

Name = tuple[str, int]

_LOOPBACK = ("127.0.0.1", "::1")
_noted: list[tuple[Name, ...]] = []


def note(sockets: Iterable[Any]) -> None:
    """Note the sockets that this process listens on."""
    _noted[:] = [tcp_names(sockets)]


def noted(port: int) -> tuple[Name, ...]:
    """Return host and port of each TCP listener; if none was noted, every host and ``port``."""
    return _noted[0] if _noted else (("", port),)


def tcp_names(sockets: Iterable[Any]) -> tuple[Name, ...]:
    """Return host and port of each TCP socket, and leave Unix sockets out."""
    names = [each.getsockname() for each in sockets]
    return tuple((name[0], name[1]) for name in names if isinstance(name, tuple))


def reachable_from_outside(names: Iterable[Name]) -> bool:
    """Return whether other machines can reach one of these listeners."""
    return any(host not in _LOOPBACK for host, _ in names)


def host_and_port(name: Any, unnamed: Name = ("", 0)) -> Name:
    """Return host and port of a socket name; ``unnamed`` for a Unix socket."""
    return (name[0], name[1]) if isinstance(name, tuple) else unnamed
