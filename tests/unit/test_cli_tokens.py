"""``eventbus token new`` prints a token once, and a table that permits what was asked for, or refuses."""

import json
import re

import pytest
from click.testing import CliRunner, Result

from eventbus.cli.program import program
from eventbus.core.token_file import parse_token_file
from eventbus.core.tokens import MIN_TOKEN_CHARACTERS, Scope, digest_of, tokens_of


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(program, ["token", "new", *arguments])


def test_the_table_is_of_the_token_that_is_printed() -> None:
    """The token is random, one that the bus takes, and only its digest is in the table."""
    result = run("shop", "--scope", "publish", "--scope", "view", "--publish", "orders.>", "--expires", "2100-01-31")
    token, _, table = result.stdout.partition("\n")
    assert re.fullmatch(r"evb_[A-Za-z0-9_-]{43}", token)
    assert len(token) > MIN_TOKEN_CHARACTERS
    assert tokens_of({Scope.VIEW: token})
    assert token not in table
    (found,) = parse_token_file(table.encode()).tokens
    assert (found.digest, found.access.name, found.access.scopes) == (digest_of(token), "shop", {"publish", "view"})
    assert (found.access.publish, found.expires) == (("orders.>",), 4_105_036_800.0)
    assert run("shop", "--scope", "view").stdout.partition("\n")[0] != token


def test_it_is_json_where_that_is_asked_for() -> None:
    """The token and the table."""
    found = json.loads(run("ada", "--scope", "admin", "--json").stdout)
    (token,) = parse_token_file(found["table"].encode()).tokens
    assert token.digest == digest_of(found["token"])
    assert token.access.is_admin


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shop"], "Missing option '--scope'"),
        (["shop", "--scope", "root"], "'root' is not one of"),
        (["a b", "--scope", "view"], "a name has 1 to 64 letters"),
        (["anonymous", "--scope", "view"], "no token may have the name anonymous"),
        (["shop", "--scope", "publish", "--publish", "a..b"], "words separated by dots"),
        (["shop", "--scope", "subscribe", "--address", "a/b"], "An address pattern must be"),
        (["shop", "--scope", "publish", "--subscribe", "a"], "narrows the scope subscribe"),
        (["shop", "--scope", "admin", "--publish", "a"], "narrows nothing"),
        (["shop", "--scope", "view", "--expires", "soon"], "is neither a duration"),
        (["shop", "--scope", "view", "--expires", "0d"], "is neither a duration"),
        (["shop", "--scope", "view", "--expires", "2020-01-01"], "has passed"),
    ],
)
def test_what_a_file_would_refuse_is_no_token(arguments: list[str], said: str) -> None:
    """Nothing is printed but why."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def expiry(text: str) -> float:
    """When a token that is made now expires."""
    found = json.loads(run("shop", "--scope", "view", "--expires", text, "--json").stdout)
    return parse_token_file(found["table"].encode()).tokens[0].expires or 0.0


@pytest.mark.parametrize(("text", "minutes"), [("90d", 129_600), ("12h", 720), ("30m", 30)])
def test_a_duration_begins_now(text: str, minutes: int) -> None:
    """Days, hours and minutes are what they say."""
    assert expiry(f"{minutes - 1}m") < expiry(text) < expiry(f"{minutes + 1}m")
