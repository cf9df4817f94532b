"""What the response to an attempt means depends on when the attempt began, and on when it ended."""

from email.utils import formatdate

import pytest

from eventbus.core.credentials import Credentials
from eventbus.delivery.attempts import result_of
from eventbus.delivery.lane.outcome import DeliveryResponse, Verdict
from tests.support.lanes import EPOCH, lane_with


def test_a_date_in_retry_after_is_reckoned_from_the_end_of_the_attempt() -> None:
    """Of 30 seconds from the beginning of an attempt that took 10, 20 are left."""
    result = result_of(lane_with(), DeliveryResponse(503, formatdate(EPOCH + 30, usegmt=True)), EPOCH, 10.0)
    assert (result.verdict, result.wait) == (Verdict.PAUSE, 20.0)


@pytest.mark.parametrize(("changed_at", "verdict"), [(EPOCH + 5, Verdict.RETRY), (EPOCH - 5, Verdict.REJECTED)])
def test_401_counts_against_the_credentials_that_the_attempt_was_made_with(changed_at: float, verdict: Verdict) -> None:
    """Where they were replaced after the attempt began, the event is attempted again with the new ones."""
    lane = lane_with()
    lane.take_credentials(Credentials("Bearer abc", changed_at=changed_at))
    assert result_of(lane, DeliveryResponse(401), EPOCH, 10.0).verdict is verdict
