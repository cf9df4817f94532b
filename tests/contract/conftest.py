"""What the contract tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.authority import OPENSSL, Authority
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
