"""Every reader of requests comes to the same verdict: what is none is refused with a sentence, and what is odd served.

Without TLS ordinary requests are read by the bus, and the others by gunicorn's parser; with TLS all are read by that.
"""

from collections.abc import Iterator

import pytest

from tests.support.answers import assert_blames, assert_says
from tests.support.authority import LOCAL, OPENSSL, Authority
from tests.support.caller import JSON
from tests.support.raw_client import RawConnection, render_request
from tests.support.request_corpus import BAD, ODD, SMUGGLED, line
from tests.support.server import BusServer

#: Bytes of a request that is also sent byte by byte, at most.
SHORT = 200
READY, WRONG = line(b"GET /readyz HTTP/1.1"), render_request("PUT", "/sendMessage")


@pytest.fixture(scope="module", params=["plain", "TLS"])
def bus(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus that waits a second for a request."""
    folder, environment = tmp_path_factory.mktemp("bus"), {"EVENTBUS_REQUEST_SECONDS": "1"}
    if request.param == "plain":
        with BusServer(folder, environment) as server:
            yield server
        return
    if OPENSSL is None:
        pytest.skip("the openssl command makes the certificates")
    authority = Authority(tmp_path_factory.mktemp("authority"))
    certificate, key = authority.files(*LOCAL)
    arguments = ["--certfile", str(certificate), "--keyfile", str(key)]
    with BusServer(folder, environment, arguments=arguments, context=authority.client()) as server:
        yield server


def wire_to(bus: BusServer) -> RawConnection:
    """A connection that waits 10 seconds at most."""
    return RawConnection(bus.port, timeout=10, context=bus.context)


def smuggled(bus: BusServer) -> int:
    """How many smuggled events were published so far."""
    with wire_to(bus) as raw:
        return len(raw.request("GET", "/events?topic=smuggled", [JSON]).json()["events"])


@pytest.fixture(autouse=True)
def works(bus: BusServer) -> Iterator[None]:
    """After each of these tests the bus serves others as ever, and has published nothing that was smuggled."""
    before = smuggled(bus)
    yield
    assert smuggled(bus) == before


@pytest.mark.parametrize("request_bytes", BAD.values(), ids=BAD)
def test_what_is_no_request_is_refused(bus: BusServer, request_bytes: bytes) -> None:
    """It is answered once, with 4xx and a sentence, and the connection ends: what follows is no request."""
    with wire_to(bus) as raw:
        raw.send(request_bytes + SMUGGLED)
        assert_blames(raw.read())
        assert raw.at_end()


@pytest.mark.parametrize(("request_bytes", "status"), ODD.values(), ids=ODD)
def test_an_odd_request_is_answered_and_the_connection_goes_on(
    bus: BusServer, request_bytes: bytes, status: int
) -> None:
    """What is HTTP has its own answer, and exactly the next request on the connection has the next one."""
    with wire_to(bus) as raw:
        raw.send(request_bytes + READY + WRONG)
        response = raw.read()
        assert response.status == status
        if status != 200:
            assert_blames(response)
        assert raw.read().status == 200
        assert_says(raw.read(), 400, "Error: Only POST accepted")


def test_how_a_request_is_cut_decides_nothing(bus: BusServer) -> None:
    """Bad and odd requests get the same answers byte by byte, an odd one together with ordinary ones after it."""
    last = b"CONNECT "  # the connection ends with it as with any last request, whatever its client still sends
    for request_bytes in (data for data in BAD.values() if len(data) < SHORT and not data.startswith(last)):
        with wire_to(bus) as raw:
            send_bytes(raw, request_bytes)
            raw.send(SMUGGLED)
            assert_blames(raw.read())
            assert raw.at_end()
    with wire_to(bus) as raw:
        for request_bytes, status in (row for row in ODD.values() if len(row[0]) < SHORT):
            send_bytes(raw, request_bytes + READY)
            assert [raw.read().status, raw.read().status] == [status, 200]


def send_bytes(raw: RawConnection, data: bytes) -> None:
    """Send one byte at a time, for as long as the bus takes them."""
    try:
        for place in range(len(data)):
            raw.send(data[place : place + 1])
    except OSError:
        return


def test_many_requests_may_come_at_once(bus: BusServer) -> None:
    """All odd requests, each followed by an ordinary one, in one piece: each has its answer, in order."""
    with wire_to(bus) as raw:
        raw.send(b"".join(request_bytes + READY for request_bytes, _ in ODD.values()))
        for _, status in ODD.values():
            assert [raw.read().status, raw.read().status] == [status, 200]


@pytest.mark.parametrize("cut", [1, 10, 25, 30, len(SMUGGLED) - 4, len(SMUGGLED) - 1])
def test_a_request_that_does_not_go_on_is_refused(bus: BusServer, cut: int) -> None:
    """A head or a body that breaks off is answered 408 in time, behind an ordinary request as well."""
    with wire_to(bus) as raw:
        raw.send(READY + SMUGGLED[:cut])
        assert raw.read().status == 200
        response = raw.read()
        assert_blames(response)
        assert response.status == 408
        assert raw.at_end()
