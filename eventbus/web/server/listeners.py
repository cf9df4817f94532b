"""Where this process listens: what gunicorn has bound, by whichever of its options. Noted before the app is loaded."""

from collections.abc import Iterable
from typing import Any

Name = tuple[str, int]

_LOOPBACK = ("127.0.0.1", "::1")
_noted: list[tuple[Name, ...]] = []


def note(sockets: Iterable[Any]) -> None:
    """Note the sockets that this process listens on."""
    _noted[:] = [tcp_names(sockets)]


def noted(port: int) -> tuple[Name, ...]:
    """Host and port of each listener by TCP; every address, and ``port``, where nothing was noted."""
    return _noted[0] if _noted else (("", port),)


def tcp_names(sockets: Iterable[Any]) -> tuple[Name, ...]:
    """Host and port of each; a Unix socket has none."""
    names = [each.getsockname() for each in sockets]
    return tuple((name[0], name[1]) for name in names if isinstance(name, tuple))


def beyond_loopback(names: Iterable[Name]) -> bool:
    """Whether other machines can reach one of these listeners."""
    return any(host not in _LOOPBACK for host, _ in names)


def end_of(name: Any, unnamed: Name = ("", 0)) -> Name:
    """Host and port of a connection's end; ``unnamed`` for a Unix socket's."""
    return (name[0], name[1]) if isinstance(name, tuple) else unnamed
