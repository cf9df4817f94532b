from dataclasses import replace
from urllib.parse import urlencode

import pytest

from eventbus.core.errors import BadRequest
from eventbus.core.model import Options, Terms
from eventbus.web.query import parse_query
from eventbus.web.terms import terms_of

NUMBERS = [
    # parameter, field, smallest, largest
    ("lease", "lease", 5, 86_400),
    ("max_in_flight", "max_in_flight", 1, 1_000),
    ("timeout", "timeout", 0.1, 120),
]
BEYOND = [
    ("lease", "4.999999999"), ("lease", "86400.000000001"), ("lease", "0"), ("max_in_flight", "0"),
    ("max_in_flight", "1001"), ("timeout", "0.099999999"), ("timeout", "120.000000001"),
]  # fmt: skip
NO_NUMBERS = ["", " ", " 10", "10 ", "-10", "+10", "1e1", "0x10", "nan", "inf", "1_0", "10.", ".5", "١٠", "10\n"]
SWITCHES = ["resume"]


def terms(**given: object) -> Terms:
    """The terms that a query with these parameters gives."""
    return terms_of(parse_query(urlencode(given, doseq=True)))


def test_what_is_not_said_stays_as_it_was() -> None:
    """A registration without options changes none; one with options changes those alone."""
    assert terms(address="h") == Terms()
    options = Options(topics=("a",), lease=7, max_in_flight=9, timeout=3, ordered=True, resume=True)
    assert terms().applied(options) == options
    assert terms(ordered="false", lease="8").applied(options) == replace(options, lease=8, ordered=False)


@pytest.mark.parametrize(("parameter", "field", "low", "high"), NUMBERS)
def test_a_number_may_be_its_smallest_and_its_largest(parameter: str, field: str, low: float, high: float) -> None:
    """Both ends of each range are accepted."""
    for bound in (low, high):
        value = getattr(terms(**{parameter: bound}), field)
        assert value == bound
        assert isinstance(value, int if field == "max_in_flight" else float)


@pytest.mark.parametrize(("parameter", "text"), BEYOND + [(n[0], text) for n in NUMBERS for text in NO_NUMBERS])
def test_what_is_no_number_of_the_range_is_refused(parameter: str, text: str) -> None:
    """Anything but a plain decimal number within its range is refused, with the parameter and the value."""
    with pytest.raises(BadRequest, match=f"^{parameter} must be a (whole )?number from") as refusal:
        terms(**{parameter: text})
    assert repr(text) in str(refusal.value)


def test_a_fraction_of_a_delivery_is_refused() -> None:
    """Deliveries in flight are counted in whole numbers; seconds may have a fraction."""
    with pytest.raises(BadRequest, match=r"max_in_flight must be a whole number from 1 to 1000, not '2\.5'"):
        terms(max_in_flight="2.5")
    assert terms(max_in_flight="2.0").max_in_flight == 2
    assert terms(timeout="2.5", lease="30.25") == Terms(timeout=2.5, lease=30.25)


@pytest.mark.parametrize("parameter", SWITCHES)
def test_a_switch_is_true_or_false(parameter: str) -> None:
    """A switch is true or false in exactly these letters."""
    assert getattr(terms(**{parameter: "true"}), parameter) is True
    assert getattr(terms(**{parameter: "false"}), parameter) is False
    for text in ("", "True", "1", "yes", "true "):
        with pytest.raises(BadRequest, match=f"^{parameter} must be true or false, not") as refusal:
            terms(**{parameter: text})
        assert repr(text) in str(refusal.value)


def test_the_order_is_a_switch_or_by_key() -> None:
    """The order is true or false, as it was before there were keys, or by key."""
    assert [terms(ordered=text).ordered for text in ("true", "false", "key")] == [True, False, "key"]
    for text in ("", "True", "KEY", "by key"):
        with pytest.raises(BadRequest, match=r"^ordered must be false, true or key, not"):
            terms(ordered=text)


def test_a_long_value_is_quoted_in_part() -> None:
    """A refused value is quoted with forty characters at most, so that no answer is as long as its request."""
    with pytest.raises(BadRequest) as refusal:
        terms(lease="9" * 5_000)
    assert len(str(refusal.value)) < 120


def test_the_first_of_two_values_counts() -> None:
    """A parameter that is given twice counts once, the first."""
    assert terms_of(parse_query("lease=10&lease=20")).lease == 10


def test_topics_may_be_several_or_everything() -> None:
    """Topics may repeat; an empty one alone means everything again, which is not the same as saying nothing."""
    assert terms(topic=["a.*", "b", "a.*"]).topics == ("a.*", "b")
    assert terms(topic="").topics == ()
    assert terms(topic=">").topics == ()
    assert terms().topics is None


def test_a_malformed_topic_pattern_is_refused() -> None:
    """A topic pattern that is none is refused with its text."""
    with pytest.raises(BadRequest, match=r"'a\.\.b'"):
        terms(topic=["fine", "a..b"])
