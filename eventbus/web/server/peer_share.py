"""The key by which a peer's connections are counted: its IPv4 address, or its IPv6 /64 network. Pure."""

from ipaddress import AddressValueError, IPv6Address


def share_of(peer: str) -> str:
    """Return the key under which a peer's connections are counted; all peers of a Unix socket share one.

    A client with one IPv6 address usually controls all 2**64 addresses of its network.
    """
    if ":" not in peer or peer.startswith("::ffff:"):
        return peer
    try:
        network = IPv6Address(peer.partition("%")[0]).packed[:8]
    except AddressValueError:
        return peer
    return f"{IPv6Address(network + bytes(8))}/64"
