"""By which host names browsers may ask for the bus: no page can have its own name resolved to it then. Pure.

A page of somebody else's may let its own name lead to the bus (DNS rebinding), and is then of the same origin as the
bus to its browser. Its requests still carry that name as ``Host``. A name that nobody can own in the public DNS is
safe.
"""

import ipaddress
import re
from dataclasses import dataclass, field

from eventbus.core.errors import SettingsError

#: In ``EVENTBUS_HOSTS``: every name.
ALL_HOSTS = "*"
#: Domains that the public DNS does not have, so that no page from elsewhere can be there (RFC 6761, 6762, 8375; ICANN
#: keeps ``internal`` for private use).
_PRIVATE = (".localhost", ".local", ".internal", ".home.arpa")
_PORT = re.compile(r":[0-9]{1,5}\Z")
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\Z")


@dataclass(frozen=True, slots=True)
class HostNames:
    """The names that are known beside those that nobody else can have."""

    names: frozenset[str] = field(default_factory=frozenset)

    def knows(self, host: str) -> bool:
        """Whether a ``Host`` is an IP address, a name without a dot, one of a private domain, or one of the names."""
        if ALL_HOSTS in self.names:
            return True
        name = split_host(host.strip().lower())[0]
        if "." not in name or _is_ip(name):
            return True
        name = name.removesuffix(".")
        return name == "localhost" or name in self.names or name.endswith(_PRIVATE)


def names_of(text: str) -> str:
    """The value of ``EVENTBUS_HOSTS`` in one spelling, without ports. Raises SettingsError for what is no host name."""
    parts = [_PORT.sub("", part.strip().lower()) for part in text.split(",")]
    names = [part.removesuffix(".") for part in parts if part]
    wrong = [name for name in names if name != ALL_HOSTS and not _NAME.match(name)]
    if wrong or (text.strip() and not names):
        raise SettingsError(
            "EVENTBUS_HOSTS is a list of host names such as bus.example.com, comma-separated, without scheme and path,"
            f" not {(wrong or [text])[0][:100]!r}"
        )
    return ", ".join(names)


def hosts_of(names: str, own: str) -> HostNames:
    """The names in the setting, and this machine's ``own``."""
    return HostNames(frozenset(filter(None, [*map(str.strip, names.split(",")), own.lower()])))


def is_name(host: str) -> bool:
    """Whether a text is a host name, so that it can be repeated as one."""
    return bool(_NAME.match(host))


def split_host(host: str) -> tuple[str, str]:
    """Name and port of a ``Host``; an IPv6 address stands in brackets."""
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and not port.endswith("]") else (host, "")


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
