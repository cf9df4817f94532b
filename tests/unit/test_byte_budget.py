"""What clients make the bus hold is bounded, in all and for each of them."""

import pytest

from eventbus.core.errors import TooManyStreams
from eventbus.web.server.byte_budget import ByteBudget
from eventbus.web.server.peer_share import share_of


def test_a_peer_takes_its_share_and_no_more() -> None:
    """Past its share a peer is refused, and what was refused does not count; others still take theirs."""
    budget = ByteBudget(100, 75)
    budget.take("a", 75)
    with pytest.raises(TooManyStreams):
        budget.take("a", 1)
    budget.take("b", 25)
    assert budget.held == 100


def test_all_together_take_the_limit_and_no_more() -> None:
    """Past the limit everybody is refused, until something is given back."""
    budget = ByteBudget(100, 75)
    budget.take("a", 75)
    with pytest.raises(TooManyStreams):
        budget.take("b", 26)
    budget.release("a", 1)
    budget.take("b", 26)


@pytest.mark.parametrize(
    ("peer", "share"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
    ],
)
def test_an_ipv6_network_is_one_peer(peer: str, share: str) -> None:
    """Who has one address of an IPv6 network has all of them; an IPv4 address stands for itself."""
    assert share_of(peer) == share
