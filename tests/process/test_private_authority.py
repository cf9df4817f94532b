"""A bus delivers by https to services whose certificates are signed by their company's own authority."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.authority import LOCAL, OPENSSL, Authority
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.raw_server import RawServer, always
from tests.support.server import BusServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="there is no openssl here to make a certificate")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority of the company's own."""
    return Authority(tmp_path)


@pytest.fixture
def service(authority: Authority) -> Iterator[RawServer]:
    """A service with a certificate of that authority."""
    with RawServer(always(OK), tls=authority.server(*LOCAL)) as server:
        yield server


@pytest.mark.parametrize("setting", ["EVENTBUS_CA_FILE", "SSL_CERT_FILE"])
def test_a_service_of_a_private_authority_is_delivered_to(
    tmp_path: Path, authority: Authority, service: RawServer, setting: str
) -> None:
    """Where the authority is named, events arrive at the first attempt."""
    with BusServer(tmp_path, {setting: str(authority.ca_file)}) as bus:
        caller = Caller(bus.port)
        caller.register(service.address)
        event = caller.publish()
        eventually(lambda: [received.id for received in service.received] == [event], 10)
        eventually(lambda: caller.subscriber(service.address)["delivered"] == 1, 10)
        assert caller.subscriber(service.address)["failed_attempts"] == 0


def test_a_service_of_an_authority_that_nobody_named_gets_nothing(tmp_path: Path, service: RawServer) -> None:
    """Without the setting no event is sent there, and the subscriber's error says why."""
    with BusServer(tmp_path) as bus:
        caller = Caller(bus.port)
        caller.register(service.address)
        caller.publish()
        eventually(lambda: "certificate verify failed" in (caller.subscriber(service.address)["last_error"] or ""), 10)
        assert service.received == []
