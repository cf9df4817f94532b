"""The host names by which browsers may use the bus, as a protection from DNS rebinding. Pure.

A foreign page may make its own name resolve to the bus, and then has the same origin as the bus in its browser. Its
requests still carry that name as ``Host``. A name that nobody can own in the public DNS is safe.
"""

import ipaddress
import re
from dataclasses import dataclass, field

from eventbus.core.errors import SettingsError

#: In ``EVENTBUS_HOSTS``: any name.
ALL_HOSTS = "*"
#: Domains that the public DNS does not have, so that no foreign page can be there (RFC 6761, 6762, 8375; ICANN reserves
#: ``internal`` for private use).
_PRIVATE = (".localhost", ".local", ".internal", ".home.arpa")
_PORT = re.compile(r":[0-9]{1,5}\Z")
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\Z")


@dataclass(frozen=True, slots=True)
class HostNames:
    """The allowed names, in addition to those that nobody can own in the public DNS."""

    names: frozenset[str] = field(default_factory=frozenset)

    def knows(self, host: str) -> bool:
        """Return whether a ``Host`` is an IP address, without a dot, in a private domain, or one of the names."""
        if ALL_HOSTS in self.names:
            return True
        name = split_host(host.strip().lower())[0]
        if "." not in name or _is_ip(name):
            return True
        name = name.removesuffix(".")
        return name == "localhost" or name in self.names or name.endswith(_PRIVATE)


def names_of(text: str) -> str:
    """Return the value of ``EVENTBUS_HOSTS`` in canonical spelling, without ports. Raises SettingsError."""
    parts = [_PORT.sub("", part.strip().lower()) for part in text.split(",")]
    names = [part.removesuffix(".") for part in parts if part]
    wrong = [name for name in names if name != ALL_HOSTS and not _NAME.match(name)]
    if wrong or (text.strip() and not names):
        raise SettingsError(
            "EVENTBUS_HOSTS must be a list of host names such as bus.example.com, comma-separated, without scheme and"
            f" path, not {(wrong or [text])[0][:100]!r}"
        )
    return ", ".join(names)


def hosts_of(names: str, own: str) -> HostNames:
    """Return the names in the setting, and this machine's ``own`` name."""
    return HostNames(frozenset(filter(None, [*map(str.strip, names.split(",")), own.lower()])))


def is_name(host: str) -> bool:
    """Return whether a text is a valid host name."""
    return bool(_NAME.match(host))


def split_host(host: str) -> tuple[str, str]:
    """Return name and port of a ``Host``; an IPv6 address keeps its brackets."""
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and not port.endswith("]") else (host, "")


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
