"""Whose connections count together: those of one IPv4 address, or of one IPv6 network of 64 bits. Pure."""

from ipaddress import AddressValueError, IPv6Address


def share_of(peer: str) -> str:
    """Return the name under which a peer's connections count; a Unix socket's peers, which have no address, share one.

    Who has one IPv6 address mostly has all 2**64 of its network.
    """
    if ":" not in peer or peer.startswith("::ffff:"):
        return peer
    try:
        network = IPv6Address(peer.partition("%")[0]).packed[:8]
    except AddressValueError:
        return peer
    return f"{IPv6Address(network + bytes(8))}/64"
