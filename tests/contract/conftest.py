"""What the contract tests share."""

import pytest

from tests.support.authority import OPENSSL, Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority for certificates."""
    if OPENSSL is None:
        pytest.skip("there is no openssl here to make a certificate")
    return Authority(tmp_path_factory.mktemp("authority"))
