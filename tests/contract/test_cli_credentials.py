"""Commands take credentials from the environment, give them with a registration, and print none."""

import json
from collections.abc import Callable
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from eventbus.cli.context import CommandContext
from eventbus.cli.doctor import subscriber_checks
from eventbus.cli.listen import _secrets
from eventbus.cli.program import program
from eventbus.client import SubscriberList, Verifier
from eventbus.testing import FakeBus

BEARER, SECRET = "Bearer a-token-of-the-subscriber", "whsec_" + "QUJD" * 8
ENVIRONMENT = {"TOKEN": BEARER, "SECRET": SECRET, "EMPTY": " ", "WRONG": "whsec_a-token-of"}


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> FakeBus:
    """The bus that commands call."""
    fake = FakeBus()
    monkeypatch.setattr(CommandContext, "bus", lambda *_, **__: fake)
    return fake


def typed(*args: str) -> Result:
    """Type a command in an environment that has credentials."""
    return CliRunner().invoke(program, args, env=ENVIRONMENT)


@pytest.mark.usefixtures("bus")
def test_a_registration_takes_its_credentials_from_the_environment() -> None:
    """They are named, and stay with a renewal that leaves them out."""
    named = ("--authorization-env", "TOKEN", "--secret-env", "SECRET")
    for args in ((*named, "--json"), ("--json",)):
        result = typed("register", "h:1", *args)
        assert json.loads(result.stdout)["credentials"] == ["authorization", "secret"]
        assert "a-token-of" not in result.output
        assert "QUJD" not in result.output


@pytest.mark.usefixtures("bus")
@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("register", "h:1", "--secret-env", "MISSING"), "--secret-env names 'MISSING', which is not set, or empty"),
        (("register", "h:1", "--authorization-env", "EMPTY"), "names 'EMPTY', which is not set, or empty"),
        (("register", "h:1", "--secret-env", "WRONG"), "Eventbus-Secret must be whsec_ and the Base64 of 24 to 64"),
        (("listen", "--secret-env", "SECRET"), "are for deliveries, which come with --register"),
    ],
)
def test_what_names_no_credential_is_refused(args: tuple[str, ...], reason: str) -> None:
    """An empty one would remove the credential; and no value is repeated."""
    result = typed(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in " ".join(result.stderr.split())
    assert "a-token-of" not in result.stderr


@pytest.mark.parametrize("name", ["register", "listen"])
def test_no_option_takes_a_value(name: str) -> None:
    """A command line is public: options name variables."""
    options = [one.opts[0] for one in program.commands[name].params if isinstance(one, click.Option)]
    about = [one for one in options if "secret" in one or "authorization" in one or "token" in one]
    assert about
    assert [one for one in about if not one.endswith(("-env", "-file"))] == []


def test_a_listener_verifies_by_its_own_secret(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a file by those in it, too, while secrets are rotated; without one of its own by those of the bus."""
    other = "whsec_" + "REVG" * 8
    file = tmp_path / "secrets"
    file.write_text(f"{other}\n")
    monkeypatch.setenv("EVENTBUS_SIGNING_SECRETS", other)
    counts: list[tuple[Callable[[], str], int]] = [
        (lambda: _secrets(None, SECRET), 1),
        (lambda: _secrets(file, SECRET), 2),
        (lambda: _secrets(file, None), 1),
        (lambda: _secrets(None, None), 1),
    ]
    assert [len(Verifier(make()).secrets) for make, _ in counts] == [count for _, count in counts]


def test_the_doctor_says_what_a_subscriber_waits_for(bus: FakeBus) -> None:
    """It answers well, so the advice is another one than for one that is down."""
    waiting = bus.register("h:1", authorization=BEARER)
    object.__setattr__(waiting, "state", "waiting for credentials")
    (found,) = subscriber_checks.diagnose(SubscriberList([waiting]))
    assert found.text.startswith("h:1 is waiting for credentials; 0 events pending.")
    assert found.fix.startswith("It is delivered to when it renews with its credentials")
