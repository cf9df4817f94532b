"""What a client may do follows from its scopes and patterns, and from whom a subscription belongs to."""

import json

import pytest

from eventbus.core.access import NOBODY, OPEN, Access, OneOf, access_fields, access_of_fields
from eventbus.core.address_patterns import parse_pattern
from eventbus.core.addresses import parse_address
from eventbus.core.errors import Forbidden
from eventbus.core.model import Options
from eventbus.core.tokens import Scope, expanded
from eventbus.core.topics import check_patterns, covers, matches

BOTH = frozenset({Scope.PUBLISH, Scope.SUBSCRIBE})
SHOP = Access(BOTH, "shop", ("orders.>",), ("orders.*", "stock.>"), (parse_pattern("*.shop.svc:8080"),))
ADMIN = Access(expanded([Scope.ADMIN]), "ada")

COVERED = [
    ("orders.created", "orders.created"), ("orders.*", "orders.created"), ("orders.*", "orders.*"),
    ("orders.>", "orders.*"), ("orders.>", "orders.>"), ("orders.>", "orders.a.b"), ("orders.>", "orders.*.b"),
    ("*.created", "orders.created"), ("*.>", "orders.>"), ("*", "orders"), ("orders.*x", "orders.*x"),
]  # fmt: skip
NOT_COVERED = [
    ("orders.created", "orders.*"), ("orders.*", "orders.>"), ("orders.*", "orders.a.b"), ("orders.*", "*.created"),
    ("orders.>", "orders"), ("orders.>", "*.a"), ("orders.>", ">"), ("*", ">"), ("*.*", ">"), ("*.>", ">"),
    ("orders.>", "ordersx.a"), ("orders.a", "orders.b"),
]  # fmt: skip


@pytest.mark.parametrize(("allowed", "asked"), COVERED)
def test_a_pattern_covers_what_it_matches_wholly(allowed: str, asked: str) -> None:
    """Each topic that the one that is asked for matches, the allowed one matches, too."""
    assert covers((allowed,), check_patterns([asked]))


@pytest.mark.parametrize(("allowed", "asked"), NOT_COVERED)
def test_a_pattern_that_reaches_further_is_not_covered(allowed: str, asked: str) -> None:
    """One topic beyond is enough."""
    assert not covers((allowed,), check_patterns([asked]))


@pytest.mark.parametrize("pattern", [asked for _, asked in COVERED + NOT_COVERED])
@pytest.mark.parametrize("allowed", [allowed for allowed, _ in COVERED + NOT_COVERED])
def test_what_is_covered_matches_no_topic_beyond(allowed: str, pattern: str) -> None:
    """Tried with every topic of up to three of some words."""
    words = ["orders", "created", "a", "b", "*x"]
    topics = (
        words
        + [f"{x}.{y}" for x in words for y in words]
        + [f"{x}.{y}.{z}" for x in words for y in words for z in words]
    )
    asked = check_patterns([pattern])
    if covers((allowed,), asked):
        assert [topic for topic in topics if matches(asked, topic) and not matches((allowed,), topic)] == []


def test_no_patterns_allow_everything_and_everything_needs_no_patterns() -> None:
    """A subscription without topics gets events without one, too, which no pattern matches."""
    assert covers((), ())
    assert covers((), ("orders.*",))
    assert not covers(("orders.>",), ())


@pytest.mark.parametrize("topic", ["orders.created", "orders.a.b"])
def test_a_topic_within_the_patterns_may_be_published(topic: str) -> None:
    """Whatever it is."""
    SHOP.check_publish(topic)


@pytest.mark.parametrize("topic", ["orders", "stock.low", None])
def test_a_topic_beyond_the_patterns_may_not_be_published(topic: str | None) -> None:
    """Nor may an event without one."""
    with pytest.raises(Forbidden, match=r"^This token may publish orders\.>, but not"):
        SHOP.check_publish(topic)


def test_reading_is_subscribing_unless_a_token_may_view() -> None:
    """The patterns narrow what a subscriber reads; ``view`` reads everything."""
    SHOP.check_read(("orders.created",))
    assert SHOP.may_read("stock.a.b")
    assert not SHOP.may_read("payments.made")
    assert not SHOP.may_read(None)
    with pytest.raises(Forbidden, match=r"may subscribe to orders\.\* stock\.>, but not to everything"):
        SHOP.check_read(())
    viewer = Access(BOTH | {Scope.VIEW}, "shop", subscribe=("orders.*",))
    viewer.check_read(())
    assert viewer.may_read(None)


def test_an_address_is_compared_with_the_patterns() -> None:
    """Without patterns any may be registered."""
    SHOP.check_address(parse_address("a.shop.svc:8080"))
    OPEN.check_address(parse_address("anywhere.example"))
    with pytest.raises(Forbidden, match=r"may register addresses of \*\.shop\.svc:8080, but not evil\.example"):
        SHOP.check_address(parse_address("evil.example"))


def test_dead_letters_are_published_on_behalf_of_the_subscriber() -> None:
    """So with a name its token has to be one that may publish their topic; without a name nothing is asked."""
    SHOP.check_options(Options(topics=("orders.*",), dead_to="orders.dead"))
    with pytest.raises(Forbidden, match="but not under 'payments'"):
        SHOP.check_options(Options(topics=("orders.*",), dead_to="payments"))
    with pytest.raises(Forbidden, match="this token may not publish"):
        Access(frozenset({Scope.SUBSCRIBE}), "mail").check_options(Options(dead_to="payments"))
    Access(frozenset({Scope.SUBSCRIBE})).check_options(Options(dead_to="payments"))


@pytest.mark.parametrize(
    ("access", "owner", "allowed"),
    [
        (SHOP, "shop", True),
        (SHOP, "", True),
        (SHOP, "mail", False),
        (Access(BOTH), "", True),
        (Access(BOTH), "mail", False),
        (ADMIN, "mail", True),
        (OPEN, "mail", True),
    ],
)
def test_what_belongs_to_a_name_is_its_own_and_the_administrators(access: Access, owner: str, *, allowed: bool) -> None:
    """What belongs to nobody is everybody's; two tokens of one name are one owner."""
    if allowed:
        access.check_owner(owner, "h:1")
    else:
        with pytest.raises(Forbidden, match=r"^h:1 belongs to the token name 'mail'"):
            access.check_owner(owner, "h:1")


@pytest.mark.parametrize("access", [SHOP, ADMIN, OPEN, NOBODY, Access(BOTH), Access(frozenset({Scope.VIEW}), "p")])
def test_an_access_is_passed_on_as_json(access: Access) -> None:
    """And is the same one then."""
    assert access_of_fields(json.loads(json.dumps(access_fields(access)))) == access


def test_what_an_older_node_reads_names_no_scope_that_it_does_not_know() -> None:
    """An administrator's call is understood by nodes that know three scopes."""
    assert access_fields(OPEN) == {"scopes": ["admin", "publish", "subscribe"]}


def test_who_may_speak_for_whom() -> None:
    """Administrators for all, a token of the settings for those without a name, a file for whom it names."""
    subscriber = Access(frozenset({Scope.SUBSCRIBE}))
    assert all(ADMIN.covers(each) for each in (SHOP, ADMIN, subscriber, NOBODY))
    assert Access(BOTH).covers(subscriber)
    assert not subscriber.covers(Access(BOTH))
    assert not Access(BOTH).covers(SHOP)
    assert not Access(BOTH).covers(Access(frozenset({Scope.SUBSCRIBE}), "shop"))
    assert not SHOP.covers(SHOP)
    assert OneOf(frozenset({SHOP})).covers(SHOP)
    assert not OneOf(frozenset({SHOP})).covers(ADMIN)
