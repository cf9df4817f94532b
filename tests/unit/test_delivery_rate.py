"""Rates as an option has them."""

import re

import pytest

from eventbus.core.delivery_rate import Rate, RateLimit, parse_rate
from eventbus.core.errors import BadRequest

KIND = RateLimit()


@pytest.mark.parametrize(
    ("text", "value", "rate", "shown"),
    [
        ("100/60", "100/60", Rate(100, 60.0), "100 in 60 s"),
        ("1/3600", "1/3600", Rate(1, 3_600.0), "1 in 3600 s"),
        ("100000/0.1", "100000/0.1", Rate(100_000, 0.1), "100,000 in 0.1 s"),
        ("7/1.50", "7/1.5", Rate(7, 1.5), "7 in 1.5 s"),
        ("0", "", None, "none"),
    ],
)
def test_a_rate_is_so_many_deliveries_in_so_many_seconds(text: str, value: str, rate: Rate | None, shown: str) -> None:
    """It is read, written, described and displayed; 0 is none."""
    assert KIND.parse("rate", [text]) == value
    assert (parse_rate(value), KIND.display(value)) == (rate, shown)
    assert KIND.query_values(value) == [value or "0"]
    assert KIND.from_json(KIND.to_json(value)) == value
    assert re.fullmatch(KIND.json_schema["pattern"], value)
    assert re.fullmatch(KIND.query_schema["pattern"], text)


@pytest.mark.parametrize(
    "text", ["", "10", "0/1", "10/0", "10/0.05", "100001/1", "10/3601", "-1/1", "1.5/1", "10/1/1", "1e3/1", "10 /1"]
)
def test_what_is_out_of_range_is_refused_with_the_range(text: str) -> None:
    """The error names the parameter, what is allowed, and the value."""
    with pytest.raises(BadRequest) as error:
        KIND.parse("rate", [text])
    assert str(error.value) == (
        f"rate must be a whole number from 1 to 100000, a slash, and a number from 0.1 to 3600, or 0, not {text!r}."
    )
    assert not re.fullmatch(KIND.query_schema["pattern"], text)
