"""Work in the background that fails again and again is logged once when that begins, and once when it is over."""

import logging

import pytest

from eventbus.telemetry.failure_log import FailureLog

log = logging.getLogger(__name__)


@pytest.fixture
def failures(caplog: pytest.LogCaptureFixture) -> FailureLog:
    """Of work that sweeps a floor."""
    caplog.set_level(logging.INFO)
    return FailureLog(log, "the floor is not swept", "the floor is swept again")


def sweep(failures: FailureLog, error: Exception | None = None) -> None:
    """Try once, and fail with an error if there is one."""
    with failures.logged(OSError, ValueError):
        if error is not None:
            raise error


def test_only_the_first_failure_in_a_row_is_logged(failures: FailureLog, caplog: pytest.LogCaptureFixture) -> None:
    """Its line is a warning with the error; the first success afterwards is one of information, and so again."""
    sweep(failures)
    assert caplog.record_tuples == []
    for _ in range(2):
        caplog.clear()
        for error in (OSError("no broom"), ValueError("no floor"), OSError("no broom")):
            sweep(failures, error)
        sweep(failures)
        sweep(failures)
        assert caplog.record_tuples == [
            (__name__, logging.WARNING, "the floor is not swept: no broom"),
            (__name__, logging.INFO, "the floor is swept again"),
        ]


def test_an_error_that_is_not_named_is_raised(failures: FailureLog, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged by whoever handles it, and a failure that went before it is not over."""
    sweep(failures, OSError("no broom"))
    caplog.clear()
    with pytest.raises(KeyError):
        sweep(failures, KeyError("unexpected"))
    sweep(failures, OSError("no broom"))
    assert caplog.record_tuples == []
    sweep(failures)
    assert caplog.messages == ["the floor is swept again"]
