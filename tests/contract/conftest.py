"""What the contract tests share."""

import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.authority import LOCAL, OPENSSL, Authority
from tests.support.raw_server import RawServer, Serve
from tests.support.redis_server import RedisServer


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server for one test alone, which needs no disk."""
    with RedisServer(tmp_path, durable=False) as found:
        yield found


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority for certificates."""
    if OPENSSL is None:
        pytest.skip("there is no openssl here to make a certificate")
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def local_certificate(authority: Authority) -> ssl.SSLContext:
    """A certificate of servers on this machine; no test may change it."""
    return authority.server(*LOCAL, "DNS:moves.example")


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest, local_certificate: ssl.SSLContext) -> ssl.SSLContext | None:
    """What subscribers speak: first plain HTTP, then TLS."""
    return local_certificate if request.param == "https" else None


@pytest.fixture
def serve(tls: ssl.SSLContext | None) -> Serve:
    """Makes subscribers that speak it."""
    return partial(RawServer, tls=tls)
