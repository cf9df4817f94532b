"""Patterns of addresses: which subscribers a token may register. Pure.

A pattern is ``[SCHEME://]HOST[:PORT]``. HOST is a name, an IP address, ``*`` for any, ``*.DOMAIN`` for every name below
a domain, or a network such as ``10.0.0.0/8``. A network matches addresses that are written as IP addresses: a name may
lead anywhere. Without a scheme or a port, any matches; a path is not compared.
"""

import ipaddress
import re
from dataclasses import dataclass

from eventbus.core.addresses import Address, parse_address
from eventbus.core.errors import BadRequest
from eventbus.core.networks import Network

#: What a pattern may be, for error messages.
ALLOWED = "HOST or HOST:PORT, where HOST is a name, an IP address, *, *.DOMAIN or a network such as 10.0.0.0/8"
_PATTERN = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>\[[0-9a-f:.]+(?:/[0-9]{1,3})?\]|[^:\[\]@]+)(?::(?P<port>[0-9]{1,5}))?\Z"
)
#: The name that stands for what the wildcard of a pattern matches, while the rest of it is checked.
_SOME = "some"


@dataclass(frozen=True, slots=True)
class AddressPattern:
    """One pattern; None matches any scheme, any network or any port."""

    text: str
    scheme: str | None
    host: str  # "" for any, ".DOMAIN" for all below a domain; not compared where there is a network
    network: Network | None
    port: int | None

    def matches(self, address: Address) -> bool:
        """Return whether an address matches."""
        if self.scheme not in (None, address.scheme) or self.port not in (None, address.port):
            return False
        if self.network is not None:
            return _is_in(address.host, self.network)
        if self.host.startswith("."):
            return address.host.endswith(self.host)
        return self.host in ("", address.host)


def parse_pattern(text: str) -> AddressPattern:
    """Parse a pattern. Raises BadRequest."""
    match = _PATTERN.match(text.lower())
    if match is None:
        raise _wrong(text)
    scheme, host, port = match["scheme"], match["host"], match["port"]
    if port is not None and not 1 <= int(port) <= 65_535:
        raise _wrong(text)
    name, network = "", None
    try:
        if "/" in host:
            network = ipaddress.ip_network(host.strip("[]"))
        elif host != "*":
            rest = host.removeprefix("*")
            wild = rest != host
            if wild and (not rest.startswith(".") or rest == "."):
                raise _wrong(text)
            checked = parse_address(f"{_SOME if wild else ''}{rest}").host
            name = checked.removeprefix(_SOME) if wild else checked
    except ValueError:
        raise _wrong(text) from None
    except BadRequest as error:
        raise _wrong(text) from error
    return AddressPattern(text, scheme, name, network, None if port is None else int(port))


def _wrong(text: str) -> BadRequest:
    return BadRequest(f"An address pattern must be {ALLOWED}, not {text[:100]!r}")


def _is_in(host: str, network: Network) -> bool:
    try:
        return ipaddress.ip_address(host) in network
    except ValueError:
        return False  # a name
