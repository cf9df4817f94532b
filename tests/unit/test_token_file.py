"""Files of named tokens: what they permit, and what is wrong in them, with its line and without a digest."""

import hashlib
from pathlib import Path

import pytest

from eventbus.core.access import Access
from eventbus.core.clock import Clock
from eventbus.core.errors import SettingsError, Unauthorized
from eventbus.core.token_file import MAX_TOKENS, NamedToken, parse_token_file, table_of
from eventbus.core.tokens import Scope, Tokens, digest_of, tokens_of
from eventbus.services.known_tokens import KnownTokens

A, B = "evb_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "evb_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
NOW = 1_800_000_000.0


def digest(token: str) -> str:
    """What a file has of a token."""
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def table(token: str = A, name: str = "shop", scopes: str = '["subscribe"]', more: str = "") -> str:
    """One token in a file."""
    return f'[[token]]\nname = "{name}"\ndigest = "{digest(token)}"\nscopes = {scopes}\n{more}\n'


def parsed(text: str) -> tuple[NamedToken, ...]:
    """The tokens of a file without faults."""
    found = parse_token_file(text.encode())
    assert found.faults == ()
    return found.tokens


def faults(text: str) -> list[str]:
    """What is wrong in a file, as it is printed."""
    found = parse_token_file(text.encode())
    assert found.tokens == ()
    return [fault.at("t.toml") for fault in found.faults]


def test_a_file_says_what_each_token_permits() -> None:
    """The name, several scopes, patterns of topics and addresses, and when it expires."""
    (found,) = parsed(
        table(
            scopes='["publish", "subscribe"]',
            more='publish = ["orders.>"]\nsubscribe = ["stock.*", "a.b"]\naddresses = ["*.svc:80"]\n'
            "expires = 2027-01-31T01:00:00+01:00",
        )
    )
    access = found.access
    assert (access.name, access.scopes) == ("shop", {Scope.PUBLISH, Scope.SUBSCRIBE})
    assert (access.publish, access.subscribe) == (("orders.>",), ("stock.*", "a.b"))
    assert [pattern.text for pattern in access.addresses] == ["*.svc:80"]
    assert (found.expires, found.line, found.digest) == (1_801_353_600.0, 2, digest_of(A))


def test_a_date_is_its_first_moment_in_utc() -> None:
    """So a token expires at the same time everywhere."""
    assert parsed(table(more="expires = 2027-01-31"))[0].expires == 1_801_353_600.0


def test_an_administrator_has_all_scopes() -> None:
    """As one of the settings has."""
    assert parsed(table(scopes='["admin"]'))[0].access.scopes == frozenset(Scope)


def test_two_tokens_may_have_one_name() -> None:
    """So that one can replace the other without a gap."""
    assert [each.access.name for each in parsed(table(A) + table(B))] == ["shop", "shop"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("=", "t.toml:1: Invalid statement, at column 1."),
        ("a = 1", "t.toml: It has 'a'; a file has only [[token]] tables."),
        ("[token]", "t.toml: Each token is a table [[token]]."),
        (table(name="a b"), "t.toml:2: token 1: a name has 1 to 64 letters"),
        (table(name="anonymous"), "t.toml:2: anonymous: no token may have the name anonymous"),
        (table(scopes='["sub"]'), "t.toml:4: shop: 'sub' is no scope; there are publish, subscribe, view, admin"),
        (table(scopes="[]"), "t.toml:4: shop: its scopes are missing"),
        (table(scopes='"view"'), "t.toml:4: shop: scopes must be a list of texts"),
        (table(scopes="[1]"), "t.toml:4: shop: scopes must be a list of texts"),
        (table(more='subscribe = ["a..b"]'), "t.toml:5: shop: A topic pattern must be words"),
        (table(more='addresses = ["a/b"]'), "t.toml:5: shop: An address pattern must be"),
        (table(more='publish = ["a"]'), "t.toml:5: shop: publish narrows the scope publish, which this token does not"),
        (table(more="subscribe = []"), "t.toml:5: shop: subscribe is empty: leave it out"),
        (table(scopes='["admin"]', more='subscribe = ["a"]'), "t.toml:5: shop: subscribe narrows nothing"),
        (table(more='expires = "soon"'), "t.toml:5: shop: expires must be a date"),
        (table(more="expires = 2027-01-31T00:00:00"), "t.toml:5: shop: expires must be a date"),
        (table(more="expires = 00:00:00"), "t.toml:5: shop: expires must be a date"),
        (table(more="adresses = 1"), "t.toml:5: shop: 'adresses' is no field of a token; did you mean addresses?"),
        (table(more="colour = 1"), "t.toml:5: shop: 'colour' is no field of a token; there are name, digest"),
        (table() + table(name="mail"), "t.toml:8: mail: the same digest is in line 3, too"),
        ('[[token]]\nscopes = ["view"]', "t.toml:1: token 1: its name is missing"),
    ],
)
def test_what_is_wrong_is_found_with_its_line(text: str, fault: str) -> None:
    """Nothing of the file counts then."""
    assert [each[: len(fault)] for each in faults(text)].count(fault) == 1


@pytest.mark.parametrize("wrong", [A, digest(A).upper(), digest(A)[:-1], f"md5:{'0' * 32}"])
def test_what_is_no_digest_is_refused_and_not_repeated(wrong: str) -> None:
    """It may be the token itself."""
    (fault,) = faults(table().replace(digest(A), wrong))
    assert fault.startswith("t.toml:3: shop: its digest must be sha256: and 64")
    assert wrong not in fault


def test_so_many_tokens_and_no_more() -> None:
    """The limit is said."""
    assert faults("[[token]]\n" * (MAX_TOKENS + 1)) == ["t.toml: It has 20,001 tokens; 20,000 are allowed."]


@pytest.mark.parametrize(
    "text",
    [
        table(),
        table(scopes='["admin"]'),
        table(
            scopes='["publish", "subscribe", "view"]',
            more='publish = ["a\\"b.>"]\nsubscribe = ["a\\\\b.*"]\naddresses = ["*"]\nexpires = 2027-01-31',
        ),
    ],
)
def test_what_is_written_is_read_again(text: str) -> None:
    """As ``eventbus token new`` writes it."""
    (token,) = parsed(text)
    assert parsed(table_of(token)) == (token,)


# The tokens that a bus knows


class Scene:
    """Tokens of a file that a test writes, and of the settings."""

    def __init__(self, folder: Path, settings: Tokens | None = None) -> None:
        self.path, self.now = folder / "tokens.toml", NOW
        self.path.write_text(table())
        clock = Clock(lambda: self.now, lambda: self.now)
        self.known = KnownTokens(settings or Tokens(), str(self.path), clock, check_seconds=3_600.0)
        self.known.check()

    def write(self, text: str) -> None:
        """Write the file, and let it be read."""
        self.path.write_text(text)
        self.known.check()
        self.known.check()

    def refusal(self, token: str) -> str:
        """Why a token is refused; empty where it is not."""
        try:
            self.known.access_of(token)
        except Unauthorized as error:
            return str(error)
        return ""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A file with one token."""
    return Scene(tmp_path)


def test_a_token_rotates_without_a_restart(scene: Scene) -> None:
    """Both are valid as long as the file has both, and each is of the same name."""
    scene.write(table(A) + table(B))
    assert scene.known.access_of(A) == scene.known.access_of(B)
    scene.write(table(B))
    assert scene.refusal(A) == "The token is unknown."
    assert scene.refusal(B) == ""


def test_a_broken_file_keeps_the_former_one(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """The log says so once, without a digest, and counts what is wrong."""
    for text in ("[[token]", table().replace(digest(A), A)):
        scene.write(text)
        scene.write(text)
        assert (scene.refusal(A), scene.known.faults, scene.known.count) == ("", 1, 1)
    scene.path.unlink()
    scene.known.check()
    assert (scene.refusal(A), scene.known.faults) == ("", 1)
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 3
    assert all("; what it said before stays" in text and A not in text for text in said)
    scene.write(table(B))
    assert (scene.known.faults, scene.refusal(B)) == (0, "")


def test_a_token_expires(scene: Scene) -> None:
    """At its time, to the second, and says so."""
    scene.write(table(more="expires = 2027-01-31"))
    scene.now = 1_801_353_599.0
    assert scene.refusal(A) == ""
    scene.now += 1
    assert scene.refusal(A) == "The token has expired."
    assert scene.known.find(A).scopes == frozenset()


def test_tokens_of_the_settings_stay_and_a_file_names_one_of_them(tmp_path: Path) -> None:
    """A token that is in both is the file's: so one that is in use gets its name."""
    scene = Scene(tmp_path, tokens_of({Scope.PUBLISH: f"{A},{B}"}))
    assert scene.known.access_of(A) == Access(frozenset({Scope.SUBSCRIBE}), "shop")
    assert scene.known.access_of(B) == Access(frozenset({Scope.PUBLISH}))


def test_a_file_without_tokens_closes_the_bus(scene: Scene) -> None:
    """Somebody meant to close it: it is not open."""
    scene.write("")
    assert bool(scene.known)
    assert scene.refusal(A) == "The token is unknown."
    assert not KnownTokens(Tokens())


def test_a_file_that_is_wrong_at_the_start_ends_it(tmp_path: Path) -> None:
    """No bus runs that nobody could use, or everybody."""
    path = tmp_path / "tokens.toml"
    for text in (None, "=", table(scopes="[]")):
        if text is not None:
            path.write_text(text)
        with pytest.raises(SettingsError, match=r"^EVENTBUS_TOKENS_FILE is wrong: .*tokens\.toml"):
            KnownTokens(Tokens(), str(path)).start()


def test_nodes_with_the_same_file_share_a_key_and_no_token_is_one(tmp_path: Path, scene: Scene) -> None:
    """The order of the tables does not count; the former file's key stays beside the new one."""
    scene.write(table(A) + table(B))
    other = KnownTokens(Tokens(), str(tmp_path / "other.toml"))
    (tmp_path / "other.toml").write_text(table(B) + table(A))
    other.check()
    assert other.call_keys[0][0] == scene.known.call_keys[0][0]
    assert len(scene.known.call_keys) == 2
    assert other.call_keys[0][0] not in {A.encode(), digest_of(A), digest_of(B)}
    scene.write("")
    assert len(scene.known.call_keys) == 2
