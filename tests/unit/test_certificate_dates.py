"""From when to when a certificate is valid, which the bus says of its own."""

import base64
from datetime import UTC, datetime

import pytest

from eventbus.core.certificate_dates import Validity, validity_of

#: From 2026-11-29 16:34:03, for 30 days, and for 36,500, which X.509 writes differently.
MONTH = """
-----BEGIN CERTIFICATE-----
MIIBbTCCAROgAwIBAgIUR6TcZNRyeaSX8K00iz7QGey0g34wCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBYTAeFw0yNjExMjkxNjM0MDNaFw0yNjEyMjkxNjM0MDNaMAwx
CjAIBgNVBAMMAWEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQhJbue76CpuZjl
iVxra3k+N1rl8b6P3xeMOR2cg+DL9mz1DiL6uCyy0Yyeybtk879gwrD2M760jikk
TOEHEVvzo1MwUTAdBgNVHQ4EFgQU938yE0WAuRmOCtpKDyLRRcvuTEAwHwYDVR0j
BBgwFoAU938yE0WAuRmOCtpKDyLRRcvuTEAwDwYDVR0TAQH/BAUwAwEB/zAKBggq
hkjOPQQDAgNIADBFAiByN+wCH2vHWwJDkymfpHMYuPGyyYcvwrGXRe7TI2jH8wIh
AMRHhYU/TcorFQiazC4IHm2AkIFDPKjQVeQDM9t4JxtA
-----END CERTIFICATE-----
"""
CENTURY = """
-----BEGIN CERTIFICATE-----
MIIBbzCCARWgAwIBAgIUQoYmbZHEW+iKyKHEj/QA2+IW3ZMwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBYjAgFw0yNjExMjkxNjM0MDNaGA8yMTI2MTEwNTE2MzQwM1ow
DDEKMAgGA1UEAwwBYjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJH5EkvZbcnG
vpAcZnyaPZCzAe/eYhsS5WiNRMIW7rBwZlzYMexLtBBV5COuxGqtt1C4uB/p0NeK
uuLCYmIhbiSjUzBRMB0GA1UdDgQWBBQ8VgigB/m9MoKiWkp/fk+VbxYS+zAfBgNV
HSMEGDAWgBQ8VgigB/m9MoKiWkp/fk+VbxYS+zAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0gAMEUCIFwkmsyafxzSu0k8Y70ovo82irAu/w10htzKUyrGs14Y
AiEAuHczj6ZRmP+fj6H9pIegt8YZtKT4vZd/gY/ztO7/yh4=
-----END CERTIFICATE-----
"""
BEGINS = datetime(2026, 11, 29, 16, 34, 3, tzinfo=UTC).timestamp()
DAY = 86_400.0


@pytest.mark.parametrize(("pem", "days"), [(MONTH, 30), (CENTURY, 36_500)])
def test_both_ways_to_write_a_date_are_read(pem: str, days: int) -> None:
    """Dates before and after 2050 have different types in X.509."""
    assert validity_of(pem) == Validity(BEGINS, BEGINS + days * DAY)


def test_the_first_of_several_certificates_counts() -> None:
    """Of a chain the first certificate is the client's own; what is before it, such as a key, is skipped."""
    key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    assert validity_of(key + MONTH + CENTURY) == validity_of(MONTH)
    assert validity_of(MONTH).end == "2026-12-29 16:34 UTC"


def test_a_certificate_that_is_cut_is_refused_at_every_byte() -> None:
    """However much of it is missing, the error is one that says so."""
    der = base64.b64decode("".join(MONTH.split("-----")[2].split()))
    for length in range(len(der)):
        text = base64.b64encode(der[:length]).decode()
        with pytest.raises(ValueError, match="its first certificate is not whole"):
            validity_of(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it holds no certificate"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "it holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----", "its first certificate is not whole"),
        (MONTH.replace("Fw0yNjEx", "Fw0y/jEx"), "its first certificate is not whole"),
    ],
)
def test_what_is_no_certificate_is_refused(text: str, why: str) -> None:
    """The error says whether there is none, or a broken one."""
    with pytest.raises(ValueError, match=why):
        validity_of(text)


@pytest.mark.parametrize(
    ("days", "left", "soon"),
    [(365, 15, False), (365, 13, True), (365, -1, True), (1, 0.5, False), (1, 0.2, True)],
)
def test_a_certificate_is_to_be_renewed_in_time(days: float, left: float, soon: bool) -> None:
    """Two weeks before its end, or when three quarters of a short validity are over."""
    assert Validity(0.0, days * DAY).expires_soon((days - left) * DAY) is soon
