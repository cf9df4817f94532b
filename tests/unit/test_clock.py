import time
from collections.abc import Iterator

import pytest

from eventbus.clock import Clock, rfc3339


@pytest.fixture(params=["UTC", "America/St_Johns"])
def _machine_zone(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_machine_zone")
@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_795_476_715, "2026-11-23T23:31:55Z"),
        (1_795_476_715.999, "2026-11-23T23:31:55Z"),
        (4_102_444_799.5, "2099-12-31T23:59:59Z"),
    ],
)
def test_a_time_is_shown_in_utc_with_whole_seconds(seconds: float, text: str) -> None:
    """A time is shown as RFC 3339 in UTC, cut to whole seconds, wherever the machine stands."""
    assert rfc3339(seconds) == text


def test_durations_and_moments_come_from_different_clocks() -> None:
    """Durations come from the clock that nobody can set, moments from the time of day."""
    clock = Clock()
    assert time.monotonic() <= clock.monotonic() <= time.monotonic()
    assert abs(clock.wall() - time.time()) < 60
