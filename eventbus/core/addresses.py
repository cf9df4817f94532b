"""Subscribers' addresses: parsing, and the canonical spelling of each."""

import ipaddress
import re
from dataclasses import dataclass, replace

from eventbus.core.errors import BadAddress
from eventbus.core.target_path import with_path

#: Characters in an address, at most.
MAX_ADDRESS_LENGTH = 512
DEFAULT_PORTS = {"http": 80, "https": 443}

_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>.*))?\Z")
#: A host name: RFC 1123 labels, with underscores, which container platforms use.
_HOST_NAME = re.compile(
    r"(?!.{254})[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?\Z"
)
#: RFC 3986 path characters; escapes are checked separately.
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*\Z")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
#: RFC 3986, 2.3: characters whose escapes mean the same.
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")


@dataclass(frozen=True, slots=True)
class Address:
    """A subscriber's address: ``text`` as it was given, ``key`` in its canonical spelling.

    With a ``target``, a path and perhaps a query, deliveries go there, and it is a part of the key.
    """

    text: str
    scheme: str  # http or https
    host: str  # lower case, no brackets
    port: int
    path: str  # prefix, without a last slash; may be empty
    legacy_key: str = ""  # the key in the journal without the target, if an earlier version spelled it otherwise
    target: str = ""  # where deliveries are POSTed to; empty for the prefix and /event

    @property
    def authority(self) -> str:
        """Host and port as in a URL and a ``Host`` header, without the default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def key(self) -> str:
        """The canonical spelling, equal for all ways to write this address, with its target."""
        key = self.legacy_key or f"{'' if self.scheme == 'http' else 'https://'}{self.authority}{self.path}"
        return with_path(key, self.target) if self.target else key

    @property
    def name(self) -> str:
        """The address as it was given, with its target: for people."""
        return with_path(self.text, self.target)

    @property
    def request_target(self) -> str:
        """The path and query that events are POSTed to."""
        return self.target or f"{self.path}/event"

    @property
    def url(self) -> str:
        """The URL that events are POSTed to."""
        return f"{self.scheme}://{self.authority}{self.request_target}"

    def with_target(self, target: str) -> "Address":
        """Return this address with a target, which has been checked. Raises BadAddress for one that has a prefix."""
        if target and self.path:
            raise BadAddress(f"With path=P an address has no path of its own: give all of it in P, not {self.path!r}.")
        return replace(self, target=target)


def parse_address(text: str) -> Address:
    """Parse ``host``, ``host:port`` or ``[v6]:port``, with an optional scheme and path prefix.

    Raises BadAddress with the reason (RFC 3986, RFC 1123).
    """
    if not text:
        raise BadAddress("")
    if len(text) > MAX_ADDRESS_LENGTH:
        raise BadAddress(f"An address has at most {MAX_ADDRESS_LENGTH} characters, not {len(text)}.")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise BadAddress("An address must be visible ASCII without spaces; write other host names as punycode.")
    scheme, rest = _split_scheme(text)
    authority, slash, path = rest.partition("/")
    _check_no_extras(text, authority)
    host, port = _split_authority(authority, scheme)
    address = Address(text, scheme, host, port, _check_path(slash + path))
    if len(address.key) > MAX_ADDRESS_LENGTH:
        raise BadAddress(f"An address has at most {MAX_ADDRESS_LENGTH} characters in its canonical spelling.")
    return address


def _split_scheme(text: str) -> tuple[str, str]:
    before, separator, after = text.partition("://")
    if not separator or "/" in before:
        return "http", text
    if before.lower() not in DEFAULT_PORTS:
        raise BadAddress(f"The scheme must be http or https, not {before!r}.")
    return before.lower(), after


def _check_no_extras(text: str, authority: str) -> None:
    if "@" in authority:
        raise BadAddress("An address must not contain a user name or password.")
    if "?" in text:
        raise BadAddress("An address must not contain a query; path=P gives a path with a query.")
    if "#" in text:
        raise BadAddress("An address must not contain a fragment.")


def _split_authority(authority: str, scheme: str) -> tuple[str, int]:
    if authority.count(":") > 1 and not authority.startswith("["):
        raise BadAddress("An IPv6 address needs brackets: [::1]:8000.")
    match = _AUTHORITY.match(authority)
    if match is None:
        raise BadAddress("An address must be host, host:port or [v6]:port.")
    port = match["port"]
    return _host(match["host"]), DEFAULT_PORTS[scheme] if port is None else _port(port)


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65_535:
        raise BadAddress(f"The port must be a number from 1 to 65535, not {text!r}.")
    return int(text)


def _host(text: str) -> str:
    if not text:
        raise BadAddress("The host is missing.")
    if text.startswith("["):
        return _ipv6(text[1:-1])
    if _is_number(text.rstrip(".").rpartition(".")[2]):
        return _ipv4(text)
    if not _HOST_NAME.match(text.lower()):
        raise BadAddress(f"{text!r} is not a host name.")
    return text.lower().removesuffix(".")


def _is_number(label: str) -> bool:
    """Return whether the last label makes a resolver read the host as an IPv4 address."""
    return bool(re.fullmatch(r"[0-9]+|0[xX][0-9A-Fa-f]*", label))


def _ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise BadAddress(f"{text!r} is not an IPv4 address; write four decimal numbers.") from None


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise BadAddress(f"{text!r} is not an IPv6 address.") from None
    if address.scope_id is not None:
        raise BadAddress("An IPv6 address must not have a zone.")
    return address.compressed if address.ipv4_mapped is None else f"::ffff:{address.ipv4_mapped}"


def _check_path(path: str) -> str:
    path = path.rstrip("/")
    if not _PATH.match(path):
        raise BadAddress(f"{path!r} is not a path.")
    path = _ESCAPE.sub(_canonical_escape, path)
    if any(part in (".", "..") for part in path.split("/")):
        raise BadAddress("A path must not contain . or .. segments.")
    return path


def _canonical_escape(escape: re.Match[str]) -> str:
    """Return an escape in the canonical spelling (RFC 3986, 6.2.2): its unreserved character, else in upper case."""
    character = chr(int(escape[0][1:], 16))
    return character if _UNRESERVED.match(character) else escape[0].upper()


def address_with_key(text: str, key: str) -> Address:
    """Return an address under the key that a journal has for it, which may be the spelling of an earlier version."""
    address = parse_address(text)
    return address if address.key == key else replace(address, legacy_key=key)


def legacy_key(text: str) -> str:
    """Return the key of a version that did not decode unreserved escapes."""
    address = parse_address(text)
    _, slash, path = _split_scheme(text)[1].partition("/")
    return replace(address, path=_ESCAPE.sub(lambda match: match[0].upper(), (slash + path).rstrip("/"))).key
