import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.event_ids import MAX_ID_LENGTH, is_header_safe, new_event_id, new_event_ids, unix_ms_of

TIMES = st.integers(0, 2**48 - 1)
NOISE = st.binary(min_size=10, max_size=10)


@pytest.mark.parametrize(
    ("unix_ms", "noise", "text"),
    [
        # RFC 9562, appendix A.6: its rand_a, a digit for the first two bits of its rand_b, the other 60
        (0x017F22E279B0, "cc3 1 8c4dc0c0c07398f 0", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"),
        (0, "0" * 20, "00000000-0000-7000-8000-000000000000"),
        (2**48 - 1, "f" * 20, "ffffffff-ffff-7fff-bfff-ffffffffffff"),
    ],
)
def test_an_id_is_laid_out_as_the_standard_says(unix_ms: int, noise: str, text: str) -> None:
    """An id's time and random bits stand where RFC 9562 puts them for version 7."""
    assert new_event_id(unix_ms, bytes.fromhex(noise.replace(" ", ""))) == text


@given(TIMES, NOISE)
def test_an_id_is_a_uuid_of_version_7_that_holds_its_time(unix_ms: int, noise: bytes) -> None:
    """Every id is a version 7 UUID in its usual spelling, and its first 48 bits are its milliseconds."""
    text = new_event_id(unix_ms, noise)
    parsed = uuid.UUID(text)
    assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, text)
    assert parsed.int >> 80 == unix_ms


@given(st.tuples(TIMES, NOISE), st.tuples(TIMES, NOISE))
def test_ids_sort_by_the_time_they_were_made(one: tuple[int, bytes], other: tuple[int, bytes]) -> None:
    """Of two ids from different milliseconds, the earlier sorts first as text, whatever the random bits."""
    if one[0] != other[0]:
        assert (new_event_id(*one) < new_event_id(*other)) is (one[0] < other[0])


def test_an_id_is_made_now_and_is_no_other() -> None:
    """Ids made in the same moment hold that moment and are all different."""
    before = time.time_ns() // 1_000_000
    ids = {new_event_id() for _ in range(1_000)}
    after = time.time_ns() // 1_000_000
    assert len(ids) == 1_000
    assert all(before <= uuid.UUID(text).int >> 80 <= after for text in ids)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("order-4711", True),
        ("!~", True),
        ("x" * MAX_ID_LENGTH, True),
        ("x" * (MAX_ID_LENGTH + 1), False),
        ("", False),
        ("two words", False),
        ("line\r\nEvil: header", False),
        ("line\n", False),
        ("nul\0", False),
        ("del\x7f", False),
        ("café", False),
    ],
)
def test_a_given_id_must_fit_in_a_header(text: str, safe: bool) -> None:
    """A publisher's id is taken when it is visible ASCII of at most 256 characters."""
    assert is_header_safe(text) is safe


def test_many_ids_are_made_at_once() -> None:
    """Ids that are made together are as many as were asked for, all different, of one moment, and rise."""
    ids = new_event_ids(500)
    assert len(set(ids)) == 500
    assert {uuid.UUID(text).version for text in ids} == {7}
    assert len({unix_ms_of(text) for text in ids}) == 1
    assert ids == sorted(ids)
    assert new_event_ids(0) == []
