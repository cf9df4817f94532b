import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.backoff import MAX_DELAY_SECONDS, delay

LONGEST = [(1, 0.5), (2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 32), (8, 60), (9, 60), (1_000, 60), (10**9, 60)]


@pytest.mark.parametrize(("failures", "longest"), LONGEST)
def test_the_delay_doubles_from_half_a_second_to_a_minute(failures: int, longest: float) -> None:
    """The longest delay is half a second after the first failure, doubles with each, and is never over a minute."""
    assert delay(failures, lambda: 1.0) == longest


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_jitter_is_full(failures: int, rng: float) -> None:
    """Each delay lies anywhere between nothing and the longest, as the dice fall."""
    assert delay(failures, lambda: rng) == rng * delay(failures, lambda: 1.0) <= MAX_DELAY_SECONDS


def test_each_delay_asks_the_dice_once() -> None:
    """Each delay is thrown for anew, so that subscribers that failed together do not return together."""
    throws = iter([0.25, 0.75])
    assert [delay(2, lambda: next(throws)), delay(2, lambda: next(throws))] == [0.25, 0.75]
