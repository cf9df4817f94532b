"""What a registration says of credentials, which ones sign, and when they are probably out of date."""

import base64
from dataclasses import replace

import pytest

from eventbus.core.credentials import (
    MAX_SECRETS,
    MAX_VALUE_BYTES,
    NO_CREDENTIALS,
    NOTHING_GIVEN,
    ROTATION_SECONDS,
    CredentialKind,
    Credentials,
    GivenCredentials,
    Kinds,
)
from eventbus.core.errors import BadRequest
from tests.support.lanes import EPOCH

BOTH = (CredentialKind.AUTHORIZATION, CredentialKind.SECRET)
BEARER = "Bearer 0123456789abcdef"


def secret(number: int, length: int = 32) -> str:
    """A secret of so many bytes."""
    return f"whsec_{base64.b64encode(bytes([number]) * length).decode()}"


def after(*given: GivenCredentials, every: float = 60.0) -> Credentials:
    """What there is after these registrations, one each minute."""
    found = NO_CREDENTIALS
    for number, one in enumerate(given):
        found = found.renewed(one, EPOCH + number * every)
    return found


# What one registration says


@pytest.mark.parametrize("value", ["x", "Bearer a b", "!~", "x" * MAX_VALUE_BYTES, "", None])
def test_a_value_is_printable_ascii(value: str | None) -> None:
    """It has 1 to 4,096 characters; none at all removes it."""
    assert GivenCredentials(value).authorization == value


@pytest.mark.parametrize("value", ["x" * (MAX_VALUE_BYTES + 1), "a\nb", "a\tb", "café", " a", "a ", " ", "a\0", "\x7f"])
def test_another_value_is_refused_and_not_repeated(value: str) -> None:
    """The error names the header alone."""
    with pytest.raises(BadRequest, match=r"^Eventbus-Forward-Authorization must be 1 to 4096 printable ASCII") as error:
        GivenCredentials(value)
    assert value.strip() == "" or value not in str(error.value)


@pytest.mark.parametrize(
    "value", [secret(1)[6:], "whsec_", "whsec_!", secret(1, 23), secret(1, 65), f"{secret(1)},{secret(2)}", "whsec_é"]
)
def test_a_secret_is_base64_of_24_to_64_bytes(value: str) -> None:
    """Anything else is refused, and not repeated."""
    with pytest.raises(BadRequest, match=r"^Eventbus-Secret must be ") as error:
        GivenCredentials(secret=value)
    assert len(value) < 8 or value not in str(error.value)


@pytest.mark.parametrize(
    ("given", "known", "found"),
    [
        (NOTHING_GIVEN, (), ()),
        (NOTHING_GIVEN, BOTH, BOTH),
        (GivenCredentials(BEARER), (), BOTH[:1]),
        (GivenCredentials(BEARER), BOTH[1:], BOTH),
        (GivenCredentials(secret=secret(1)), BOTH[:1], BOTH),
        (GivenCredentials("", None), BOTH, BOTH[1:]),
        (GivenCredentials("", ""), BOTH, ()),
    ],
)
def test_what_is_left_out_stays_and_what_is_empty_goes(
    given: GivenCredentials, known: tuple[CredentialKind, ...], found: tuple[CredentialKind, ...]
) -> None:
    """A renewal says of each credential that it is there, is not, or stays as it was."""
    assert given.kinds_after(known) == found


def test_no_text_of_a_credential_shows_it() -> None:
    """Neither of what was given, nor of what is kept, nor of a part of that."""
    given = GivenCredentials(BEARER, secret(1))
    kept = after(given, GivenCredentials(BEARER, secret(2)))
    for text in map(repr, (given, kept, kept.secrets, kept.secrets[0], [kept], replace(kept))):
        assert "0123456789" not in text
        assert "AQEB" not in text
        assert "x01" not in text


# What is kept


def test_a_renewal_without_credentials_keeps_them() -> None:
    """Those in memory go on."""
    kept = after(GivenCredentials(BEARER, secret(1)), NOTHING_GIVEN, NOTHING_GIVEN)
    assert (kept.authorization, kept.secrets_at(EPOCH)) == (BEARER, [b"\1" * 32])


def test_an_empty_one_removes_it_at_once() -> None:
    """Also a secret, and those that it had replaced."""
    kept = after(GivenCredentials(BEARER, secret(1)), GivenCredentials("", secret(2)), GivenCredentials(secret=""))
    assert not kept
    assert kept.secrets_at(EPOCH) == []


def test_a_replaced_secret_signs_for_an_hour_yet() -> None:
    """Both sign meanwhile, the new one first."""
    kept = after(GivenCredentials(secret=secret(1)), GivenCredentials(secret=secret(2)))
    replaced_at = EPOCH + 60
    assert kept.secrets_at(replaced_at) == [b"\2" * 32, b"\1" * 32]
    assert kept.secrets_at(replaced_at + ROTATION_SECONDS - 0.001) == [b"\2" * 32, b"\1" * 32]
    assert kept.secrets_at(replaced_at + ROTATION_SECONDS) == [b"\2" * 32]


def test_a_secret_that_comes_again_replaces_nothing() -> None:
    """The former one does not sign for longer by that."""
    old, new = GivenCredentials(secret=secret(1)), GivenCredentials(secret=secret(2))
    kept = after(old, new, new, new, NOTHING_GIVEN, every=1_000.0)
    assert kept.secrets_at(EPOCH + 1_000 + ROTATION_SECONDS - 1) == [b"\2" * 32, b"\1" * 32]
    assert kept.secrets_at(EPOCH + 1_000 + ROTATION_SECONDS) == [b"\2" * 32]


def test_a_former_secret_may_come_back() -> None:
    """It signs first then, and the one that had replaced it for an hour."""
    kept = after(*(GivenCredentials(secret=secret(number)) for number in (1, 2, 1)))
    assert kept.secrets_at(EPOCH + 120) == [b"\1" * 32, b"\2" * 32]


def test_the_number_of_secrets_is_bounded() -> None:
    """Of those that are replaced faster than they end the newest sign."""
    kept = after(*(GivenCredentials(secret=secret(number)) for number in range(1, 8)))
    assert kept.secrets_at(EPOCH + 420) == [bytes([number]) * 32 for number in (7, 6, 5)]
    assert len(kept.secrets) == MAX_SECRETS


@pytest.mark.parametrize(
    ("kinds", "kept", "lacking"),
    [
        ((), NO_CREDENTIALS, ()),
        (BOTH, after(GivenCredentials(BEARER, secret(1))), ()),
        (BOTH, after(GivenCredentials(BEARER)), BOTH[1:]),
        (BOTH, NO_CREDENTIALS, BOTH),
        (BOTH[:1], NO_CREDENTIALS, BOTH[:1]),
        (BOTH[1:], after(GivenCredentials(BEARER)), BOTH[1:]),
    ],
)
def test_a_subscriber_lacks_what_the_journal_says_it_has(kinds: Kinds, kept: Credentials, lacking: Kinds) -> None:
    """That is so after a restart, until all of them have come."""
    assert kept.lacking(kinds) == lacking


# What is probably out of date


@pytest.mark.parametrize(
    ("given", "stale"),
    [
        ([], False),
        ([NOTHING_GIVEN] * 3, False),
        ([GivenCredentials(BEARER)], False),
        ([GivenCredentials(BEARER), NOTHING_GIVEN], False),
        ([GivenCredentials(BEARER), NOTHING_GIVEN, NOTHING_GIVEN], True),
        ([GivenCredentials(BEARER), NOTHING_GIVEN, NOTHING_GIVEN, GivenCredentials(BEARER)], False),
        ([GivenCredentials(BEARER)] * 5, False),
        ([GivenCredentials(secret=secret(1)), NOTHING_GIVEN, NOTHING_GIVEN], True),
        ([GivenCredentials(BEARER, secret(1)), *[GivenCredentials(BEARER)] * 2], True),
        ([GivenCredentials(BEARER), NOTHING_GIVEN, GivenCredentials("")], False),
    ],
)
def test_credentials_from_before_the_last_renewal_but_one_are_stale(
    given: list[GivenCredentials], *, stale: bool
) -> None:
    """One that comes with each renewal never is, and a subscriber without any has none that could be."""
    assert after(*given).are_stale(EPOCH + 1_000) is stale


def test_an_attempt_with_a_credential_that_was_replaced_meanwhile_had_a_stale_one() -> None:
    """What began after the replacement had the new one."""
    kept = after(GivenCredentials(BEARER), GivenCredentials("Bearer another-one"))
    assert kept.are_stale(EPOCH + 59.9)
    assert not kept.are_stale(EPOCH + 60.0)
    assert not after(GivenCredentials(BEARER), GivenCredentials(BEARER)).are_stale(EPOCH + 59.9)


# What is told of a change


@pytest.mark.parametrize(
    ("former", "known", "now", "kinds", "changed"),
    [
        (NO_CREDENTIALS, (), after(GivenCredentials(BEARER)), BOTH[:1], BOTH[:1]),
        (after(GivenCredentials(BEARER)), BOTH[:1], after(GivenCredentials(BEARER)), BOTH[:1], ()),
        (after(GivenCredentials(BEARER)), BOTH[:1], after(GivenCredentials("Basic eDp5")), BOTH[:1], BOTH[:1]),
        (after(GivenCredentials(BEARER)), BOTH[:1], NO_CREDENTIALS, (), BOTH[:1]),
        (NO_CREDENTIALS, BOTH, after(GivenCredentials(BEARER, secret(1))), BOTH, ()),
        (NO_CREDENTIALS, BOTH, NO_CREDENTIALS, BOTH[:1], BOTH[1:]),
        (
            after(GivenCredentials(secret=secret(1))),
            BOTH[1:],
            after(GivenCredentials(secret=secret(2))),
            *[BOTH[1:]] * 2,
        ),
    ],
)
def test_a_change_names_the_credentials_that_are_others(
    former: Credentials,
    known: tuple[CredentialKind, ...],
    now: Credentials,
    kinds: tuple[CredentialKind, ...],
    changed: tuple[CredentialKind, ...],
) -> None:
    """One that comes again after a restart is not another one."""
    assert now.changed_from(former, known, kinds) == changed
