import pytest

from eventbus.core.errors import Forbidden, SettingsError, Unauthorized
from eventbus.core.tokens import MIN_TOKEN_CHARACTERS, Scope, Tokens, tokens_of
from eventbus.services.known_tokens import KnownTokens
from eventbus.web.access import check

PUBLISHER, SUBSCRIBER, ADMIN = "publisher-0123456", "subscriber-012345", "admin-0123456789="
ALL = {Scope.PUBLISH: PUBLISHER, Scope.SUBSCRIBE: SUBSCRIBER, Scope.VIEW: "viewer-0123456789", Scope.ADMIN: ADMIN}
NO_TOKENS = [
    "short",
    "x" * (MIN_TOKEN_CHARACTERS - 1),
    "a token with spaces",
    "0123456789abcde\u00e9",
    "0123456789=abcdef",
    '"0123456789abcdef"',
    "0123456789abcdef;",
    "0123456789\nabcdef",
    "================",
]


def refusal(tokens: Tokens, scope: Scope, authorization: str | None) -> str:
    """What a client is challenged with; empty where it is let through."""
    try:
        check(KnownTokens(tokens), (scope,), {} if authorization is None else {"HTTP_AUTHORIZATION": authorization})
    except (Unauthorized, Forbidden) as error:
        return error.challenge
    return ""


def scopes_of(tokens: Tokens, token: str) -> frozenset[Scope]:
    """What a token permits."""
    return KnownTokens(tokens).find(token).scopes


@pytest.mark.parametrize("scope", Scope)
def test_a_token_has_the_scope_that_it_was_given(scope: Scope) -> None:
    """A token may do what it is listed for; an administrator's may do all."""
    wanted = frozenset(Scope) if scope is Scope.ADMIN else {scope}
    assert scopes_of(tokens_of(ALL), ALL[scope]) == wanted


def test_a_token_may_be_in_several_lists() -> None:
    """One that is listed twice may do both."""
    tokens = tokens_of({Scope.PUBLISH: PUBLISHER, Scope.SUBSCRIBE: f"{SUBSCRIBER},{PUBLISHER}"})
    assert scopes_of(tokens, PUBLISHER) == {Scope.PUBLISH, Scope.SUBSCRIBE}
    assert scopes_of(tokens, SUBSCRIBER) == {Scope.SUBSCRIBE}


def test_a_list_may_hold_several_tokens() -> None:
    """Each of them is known, so that one can follow another without a gap; spaces around them are not theirs."""
    tokens = tokens_of({Scope.PUBLISH: f" {PUBLISHER} ,, {SUBSCRIBER},"})
    assert [scopes_of(tokens, token) for token in (PUBLISHER, SUBSCRIBER)] == [{Scope.PUBLISH}] * 2
    assert scopes_of(tokens, "") == frozenset()


@pytest.mark.parametrize(
    "token", ["", " ", PUBLISHER[:-1], PUBLISHER + "x", PUBLISHER.upper(), f"{PUBLISHER},{ADMIN}", "\xff\x00", "\udcff"]
)
def test_what_is_not_known_may_do_nothing(token: str) -> None:
    """Anything but the whole token, in its case, is nobody's."""
    assert scopes_of(tokens_of(ALL), token) == frozenset()


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("text", NO_TOKENS)
def test_what_is_no_token_stops_the_start_and_is_not_repeated(scope: Scope, text: str) -> None:
    """A short or malformed token is refused by its variable and its place in the list, without a word of it."""
    with pytest.raises(SettingsError) as error:
        tokens_of({scope: f"{PUBLISHER},{text}"})
    said = str(error.value)
    assert said.startswith(f"EVENTBUS_{scope.upper()}_TOKENS: number 2 is not a token")
    assert text not in said
    assert PUBLISHER not in said
    assert error.value.__cause__ is error.value.__context__ is None


@pytest.mark.parametrize("token", ["0" * MIN_TOKEN_CHARACTERS, "abc.DEF_~+/-0123", "MDEyMzQ1Njc4OTA="])
def test_a_token_is_made_of_what_a_bearer_token_may_be(token: str) -> None:
    """Letters, digits, ``._~+/-`` and ``=`` at the end are what RFC 6750 lets a token be."""
    assert scopes_of(tokens_of({Scope.ADMIN: token}), token) == frozenset(Scope)


@pytest.mark.parametrize(
    ("scopes", "closed"),
    [
        ([], []),
        ([Scope.PUBLISH], [Scope.SUBSCRIBE, Scope.ADMIN]),
        ([Scope.SUBSCRIBE], [Scope.PUBLISH, Scope.ADMIN]),
        ([Scope.PUBLISH, Scope.SUBSCRIBE], [Scope.ADMIN]),
        ([Scope.ADMIN], []),
        (list(Scope), []),
    ],
)
def test_what_has_no_tokens_is_closed_where_anything_has(scopes: list[Scope], closed: list[Scope]) -> None:
    """With no tokens everything is open; with some, a scope without any is an administrator's, or nobody's."""
    tokens = tokens_of({scope: ALL[scope] for scope in scopes})
    assert bool(tokens) is bool(scopes)
    assert list(tokens.closed) == closed


def test_tokens_are_not_kept_nor_shown() -> None:
    """Neither a token nor its digest is in what a debugger or a log would print."""
    tokens = tokens_of(ALL)
    kept = repr(tokens) + repr(tokens.digests)
    assert not [token for token in ALL.values() if token in kept]
    assert repr(tokens.digests[Scope.PUBLISH][0]) not in repr(tokens)


@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {ADMIN}",
        f"bearer {ADMIN}",
        f"BEARER   {ADMIN}",
        f" Bearer {ADMIN} ",
    ],
)
def test_the_scheme_has_no_case(header: str) -> None:
    """``Bearer`` may be written in any case, with any spaces (RFC 9110, 11.1)."""
    assert refusal(tokens_of(ALL), Scope.ADMIN, header) == ""


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        ADMIN,
        f"Basic {ADMIN}",
        f"Bearer:{ADMIN}",
        f"Bearer{ADMIN}",
        f"Bearer {ADMIN}, Bearer {ADMIN}",
        f"Bearer token={ADMIN}",
        f"Bearer {ADMIN} {ADMIN}",
    ],
)
def test_anything_else_is_an_invalid_token(header: str) -> None:
    """A header that is not ``Bearer`` and one known token is challenged as an invalid token (RFC 6750, 3.1)."""
    assert refusal(tokens_of(ALL), Scope.PUBLISH, header) == 'Bearer realm="eventbus", error="invalid_token"'


def test_no_header_is_challenged_without_an_error() -> None:
    """Who sends no token is told that one is needed, and no more (RFC 6750, 3.1)."""
    assert refusal(tokens_of(ALL), Scope.PUBLISH, None) == 'Bearer realm="eventbus"'


def test_a_token_of_another_scope_is_told_which_would_do() -> None:
    """A token that may do other things is challenged with the scope that is needed."""
    said = refusal(tokens_of(ALL), Scope.ADMIN, f"Bearer {PUBLISHER}")
    assert said == 'Bearer realm="eventbus", error="insufficient_scope", scope="admin"'


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("text", [",", " , ,", "\n,\t"])
def test_a_variable_that_is_set_and_holds_no_token_stops_the_start(scope: Scope, text: str) -> None:
    """Somebody meant to close the bus: it would be open. A blank one counts as not set."""
    with pytest.raises(SettingsError, match=f"^EVENTBUS_{scope.upper()}_TOKENS is set, but holds no token"):
        tokens_of({Scope.ADMIN: ADMIN, scope: text})
    assert not tokens_of({scope: " \n"})
