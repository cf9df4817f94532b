"""A subscriber's own secrets sign its deliveries: those that are valid at the moment, and none of the bus's."""

import base64

import pytest

from eventbus.client import BadSignature, Verifier
from eventbus.core.credentials import NO_CREDENTIALS, ROTATION_SECONDS, Credentials, GivenCredentials
from eventbus.core.model import Event
from eventbus.delivery.transport.batch_request import element_of
from eventbus.delivery.transport.own_secrets import OwnBatchRequestBuilder, OwnRequestBuilder
from eventbus.delivery.transport.request import MAX_CACHED_BODY_BYTES, LargeRequest, Request
from tests.support.events import event
from tests.support.lanes import EPOCH

OLD, NEW = (f"whsec_{base64.b64encode(bytes([number]) * 24).decode()}" for number in (1, 2))
HEAD = b"POST /event HTTP/1.1\r\n"


def rotated() -> Credentials:
    """The old secret, and a minute later the new one."""
    return NO_CREDENTIALS.renewed(GivenCredentials(secret=OLD), EPOCH).renewed(GivenCredentials(secret=NEW), EPOCH + 60)


def verifies(secret: str, request: Request, wall: float) -> bool:
    """Whether a subscriber that knows this secret takes a request."""
    head, _, body = (request if isinstance(request, bytes) else b"".join(request.parts)).partition(b"\r\n\r\n")
    assert head.startswith(HEAD)
    headers = dict(line.split(": ", 1) for line in head[len(HEAD) :].decode("latin-1").split("\r\n"))
    try:
        Verifier(secret, headers_signed=True).check({n.lower(): v for n, v in headers.items()}, body, wall)
    except BadSignature:
        return False
    return True


@pytest.mark.parametrize(
    "sent", [event(1, b"{}", topic="orders"), event(2, b"x" * 100_000), event(3)._replace(id="a.b")]
)
def test_both_secrets_sign_for_an_hour_and_then_the_new_one(sent: Event) -> None:
    """That holds for one event and for several, whatever is in them."""
    builder, batches = OwnRequestBuilder(rotated()), OwnBatchRequestBuilder(rotated())
    for wall, old in (
        (EPOCH + 60.5, True),
        (EPOCH + 59 + ROTATION_SECONDS, True),
        (EPOCH + 60 + ROTATION_SECONDS, False),
    ):
        for request in (builder.build(HEAD, sent, 2, wall), batches.build(HEAD, [element_of(sent)], 2, wall)):
            assert verifies(NEW, request, wall)
            assert verifies(OLD, request, wall) is old


def test_a_large_body_is_not_copied() -> None:
    """Deliveries in flight share the event's own."""
    sent = event(1, b"x" * (MAX_CACHED_BODY_BYTES + 1))
    request = OwnRequestBuilder(rotated()).build(HEAD, sent, 1, EPOCH)
    assert isinstance(request, LargeRequest)
    assert request.parts[1] is sent.body
