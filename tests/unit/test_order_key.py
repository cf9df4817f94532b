"""Order keys: which texts are, and how a header holds them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.errors import BadRequest
from eventbus.core.order_key import MAX_KEY_BYTES, check_key, decode_key, encode_key

VALID = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=64)


@given(VALID)
def test_a_header_carries_any_key(key: str) -> None:
    """A key is the same after it was encoded for a header, which is visible ASCII."""
    value = encode_key(check_key(key, "key"))
    assert decode_key(value) == key
    assert all("!" <= character <= "~" for character in value)


@pytest.mark.parametrize("key", ["7", "customer-7", "a/b?c=d&e:f", "~" * MAX_KEY_BYTES])
def test_a_plain_key_is_sent_as_it_is(key: str) -> None:
    """Visible ASCII but for quotes and percent signs is not escaped."""
    assert encode_key(check_key(key, "key")) == key


@pytest.mark.parametrize(
    "text", ["", "x" * (MAX_KEY_BYTES + 1), "ä" * (MAX_KEY_BYTES // 2 + 1), "a\nb", "\0", "\x7f", "\uffff", "\ufffd"]
)
def test_anything_else_is_refused_with_the_range(text: str) -> None:
    """What is empty, too long in UTF-8, or holds a control or noncharacter, or was not UTF-8, is no key."""
    with pytest.raises(BadRequest, match="partitionkey must be 1 to 256 bytes of UTF-8 without control characters"):
        check_key(text, "partitionkey")
