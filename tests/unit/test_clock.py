import time
from collections.abc import Iterator

import pytest

from eventbus.core.clock import Clock, rfc3339, seconds_of


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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-24T01:31:55.25+02:00", 1_795_476_715.25),
        ("2026-11-23t23:31:55-00:00", 1_795_476_715),
        ("2016-12-31T23:59:60Z", 1_483_228_800),
        ("2016-12-31T15:59:60.5-08:00", 1_483_228_800.5),
        ("0000-02-29T00:00:00Z", -62_162_121_600),
        ("9999-12-31T23:59:59-23:59", 253_402_387_139),
    ],
)
def test_a_time_is_read(text: str, seconds: float) -> None:
    """Every time that RFC 3339 has is read, leap seconds too."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-11-24", "2026-11-24T01:31:55", "2026-11-24T01:31Z", "2026-02-29T00:00:00Z",
     "2026-13-01T00:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T23:59:61Z", "2026-11-24T12:00:60Z",
     "2026-11-24T23:59:60+01:00",     "2026-11-24T01:60:00Z", "2026-11-24T01:31:55+24:00", "2026-11-24T01:31:55.Z",
     "2026-11-24T01:31:55Z\n",
     "\u0662026-11-24T01:31:55Z"],
)  # fmt: skip
def test_what_is_no_time_is_none(text: str) -> None:
    """What RFC 3339 does not have is no time; a minute has 61 seconds only where UTC's day ends."""
    assert seconds_of(text) is None
