"""Commands over a bus that only records: what they refuse, print, ask and end with."""

import json
import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from eventbus.cli.context import CommandContext
from eventbus.cli.formatting import event_to_json, to_json
from eventbus.cli.program import program
from eventbus.cli.screen import Screen
from eventbus.cli.serve import settings_of
from eventbus.cli.subscribers import subscriber_table
from eventbus.client import (
    ApiError,
    Attempt,
    Conflict,
    DeadLetter,
    Inbox,
    ProtocolError,
    Reject,
    Replayed,
    ReplayOutcome,
    Terms,
    Unauthorized,
    Unavailable,
    Unreachable,
    UsageError,
)
from eventbus.client.errors import BusError
from eventbus.client.http import Response
from eventbus.client.subscribers import HeldKey, SubscriberList
from eventbus.testing import FakeBus

AT = datetime(2026, 11, 24, 6, 3, 29, tzinfo=UTC)
Type = Callable[..., Result]


class Lettered(FakeBus):
    """A fake bus with dead letters."""

    letters: list[DeadLetter]
    count = 0  #: put back so far
    again = 0  #: of these are dead again

    def dead_letters(self, *, address: str | None = None, path: str | None = None, group: str | None = None) -> Any:
        named = [letter for letter in self.letters if (address or group) in (None, letter.subscriber)]
        return iter([letter for letter in named if path in (None, letter.path)])

    def replay_dead_letters(self, replay: str | None = None, **chosen: Any) -> Replayed:
        done = self._drop(**chosen)
        self.count += done
        return Replayed.of({"replayed": done, "replay": "r"})

    def replay_outcome(self, replay: str) -> ReplayOutcome:
        assert replay == "r"
        dead, left = min(self.count, self.again), max(0, self.count - self.again)
        return ReplayOutcome(
            replay=replay, at=AT, replayed=self.count, delivered=left, dead_again=dead, discarded=0, pending=0
        )

    def discard(self, **chosen: Any) -> int:
        return self._drop(**chosen)

    def _drop(self, letter: int | None = None, *, everything: bool = False, **named: str | None) -> int:
        whose = named.get("address") or named.get("group")
        meant = [one for one in self.letters if everything or one.subscriber == whose or one.id == letter]
        self.letters = [one for one in self.letters if one not in meant]
        return len(meant)


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Lettered:
    """The bus that commands speak to."""
    fake = Lettered(source=None)
    fake.letters = [dead_letter(1, "h:1"), dead_letter(2, "h:1"), dead_letter(3, "h:2")]
    monkeypatch.setattr(CommandContext, "bus", lambda *_, **__: fake)
    monkeypatch.setattr(CommandContext, "get", lambda *_: Response(200, {}, b"{}"))
    for name in ("EVENTBUS_URL", "EVENTBUS_TOKEN", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return fake


@pytest.fixture
def typed(bus: Lettered) -> Type:
    """Types a command."""

    def run(*args: str, **options: Any) -> Result:
        return CliRunner().invoke(program, args, **options)

    return run


def dead_letter(number: int, subscriber: str) -> DeadLetter:
    """A dead letter of a subscriber."""
    return DeadLetter(
        id=number, event=f"e-{number}", topic="a\x1b[2J", subscriber=subscriber, reason="refused", attempts=1,
        first_attempt_at=None, last_attempt_at=AT, last_status=422, last_error=None, last_answer=b"no\x07\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("args", "stdin", "body", "kind"),
    [
        (['{"n": 1}'], b"", b'{"n": 1}', "application/json"),
        (["plain text"], b"", b"plain text", "text/plain; charset=utf-8"),
        ([""], b"", b"", ""),
        (["-"], b"\xff\x00", b"\xff\x00", "application/octet-stream"),
        (["-", "--content-type", "image/png"], b"1", b"1", "image/png"),
        (["--file", "-"], b"[]", b"[]", "application/json"),
    ],
)
def test_what_is_sent_is_what_was_given(
    typed: Type, bus: Lettered, args: list[str], stdin: bytes, body: bytes, kind: str
) -> None:
    """Byte for byte, with the type that it looks like, or is given; its id is printed."""
    result = typed("send", "a.b", *args, input=stdin)
    (event,) = bus.published
    assert (event.topic, event.body, event.headers.get("content-type", "")) == ("a.b", body, kind)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{event.id}\n", "")


def test_a_sender_that_waits_sees_what_became_of_the_event(typed: Type, bus: Lettered) -> None:
    """A row for each subscription; the status says whether all who want it have it."""
    result = typed("send", "a.b", "1", "--settle", "5")
    assert (result.exit_code, result.stderr) == (0, "No subscription wants it.\n")
    inbox = Inbox()
    inbox.on("a.b")(lambda event: Reject("no") if event.data == 2 else None)
    bus.deliver_to(inbox)
    result = typed("send", "a.b", "1", "--settle", "5")
    assert result.exit_code == 0
    first, head, row = result.stdout.splitlines()
    assert (first, head.split()) == (bus.published[-1].id, ["subscriber", "state", "status", "attempts"])
    assert row.split()[:2] == ["inbox-1", "delivered"]
    result = typed("send", "a.b", "2", "--settle", "5")
    assert result.exit_code == 4
    assert result.stderr == "eventbus: The event is published, and not delivered to all: 1 dead.\n"
    result = typed("send", "a.b", "2", "--settle", "5", "--json")
    payload = json.loads(result.stdout)
    assert (result.exit_code, payload["dead"], payload["subscriptions"][0]["state"]) == (4, 1, "dead")


@pytest.mark.parametrize(
    "args", [["1", "--settle", "0"], ["1", "--settle", "61"], ["--lines", "-", "--settle", "5"]], ids=str
)
def test_a_sender_cannot_wait_for_anything_else(typed: Type, bus: Lettered, args: list[str]) -> None:
    """Nothing is sent."""
    assert typed("send", "a.b", *args).exit_code == 2
    assert bus.published == []


def test_a_topic_can_be_left_out(typed: Type, bus: Lettered, tmp_path: Path) -> None:
    """By an empty one, or with a file."""
    file = tmp_path / "data"
    file.write_bytes(b"\xff\n")
    assert typed("send", "", "x").exit_code == typed("send", "--file", str(file)).exit_code == 0
    assert [(event.topic, event.body) for event in bus.published] == [(None, b"x"), (None, b"\xff\n")]


def test_an_event_may_be_a_cloud_event(typed: Type, bus: Lettered) -> None:
    """Attributes become its headers; a value may hold what separates it from its name."""
    result = typed("send", "a", "1", "--attribute", "source=/shop", "--attribute", "subject=a=b", "--key", "k-1")
    assert result.exit_code == 0
    assert bus.published[0].attributes.items() >= {("source", "/shop"), ("subject", "a=b"), ("id", "k-1")}


def test_an_event_may_have_an_order_key(typed: Type, bus: Lettered) -> None:
    """``--order-by`` is an event's order key, which lists and the event itself show; a line has none."""
    assert typed("send", "a", "1", "--order-by", "customer 7").exit_code == 0
    event = bus.published[0]
    assert event.key == "customer 7"
    assert "customer 7" in typed("events").stdout
    assert "key: customer 7" in typed("event", event.id).stdout
    assert json.loads(typed("event", event.id, "--json").stdout)["key"] == "customer 7"
    refused = typed("send", "a", "-", "--lines", "--order-by", "k", input="1")
    assert (refused.exit_code, "leave out --content-type, --order-by" in refused.stderr) == (2, True)


def test_a_key_that_was_used_adds_nothing(typed: Type, bus: Lettered) -> None:
    """The first event's id is printed again, with a note."""
    first, again = (typed("send", "a", "x", "--key", "k") for _ in range(2))
    assert first.stdout == again.stdout
    assert "nothing was added" in again.stderr
    assert json.loads(typed("send", "a", "x", "--key", "k", "--json").stdout)["duplicate"]
    assert len(bus.published) == 1


def test_lines_are_events(typed: Type, bus: Lettered, tmp_path: Path) -> None:
    """Each line that is not blank is one, and each has its id printed."""
    file = tmp_path / "lines"
    file.write_text('{"n": 1}\n\n  {"n": 2}\r\n3')
    result = typed("send", "a", "--lines", "--file", str(file))
    assert [event.data for event in bus.published] == [{"n": 1}, {"n": 2}, 3]
    assert result.stdout.split() == [event.id for event in bus.published]
    assert result.stderr == "Published 3 events.\n"
    payload = json.loads(typed("send", "--lines", "--json", "a", "-", input="4\n").stdout)
    assert payload == {"ids": [bus.published[3].id]}


def test_a_line_that_is_wrong_says_how_to_go_on(typed: Type, bus: Lettered) -> None:
    """What was published before it stays; with the same key only the rest is added."""
    lines = [f"{number}" for number in range(1_500)]
    wrong = typed("send", "a", "-", "--lines", "--key", "k", input="\n".join([*lines, "nope"]))
    assert (wrong.exit_code, wrong.stdout, len(bus.published)) == (1, "", 1_000)
    assert "Line 1,501 is not JSON: 'nope'; 1,000 events before it are published" in wrong.stderr
    assert "--key k" in wrong.stderr
    assert typed("send", "a", "-", "--lines", "--key", "k", input="\n".join(lines)).exit_code == 0
    assert [event.data for event in bus.published] == list(range(1_500))


@pytest.mark.parametrize(
    ("args", "payload"),
    [
        (["send"], "Say what to send"),
        (["send", "a"], "Say what to send"),
        (["send", "a", "b", "--file", "-"], "Say what to send"),
        (["send", "a", "b", "--lines"], "--lines reads --file FILE, or -"),
        (["send", "a", "-", "--lines", "--source", "/x"], "leave out --content-type"),
        (["send", "a", "b", "--attribute", "c"], "an attribute is NAME=VALUE, not 'c'"),
        (["send", "a", "b", "--in", "soon"], "'soon' is no duration, such as 90s, 15m, 1h30m, 2d or 1w"),
        (["send", "a", "b", "--in", "5m", "--at", "2026-12-01T08:00Z"], "Give only one of --in, --at and --settle"),
        (["send", "a", "b", "--at", "tomorrow"], "'tomorrow' is no time, such as 2026-12-01T08:00Z or"),
        (
            ["send", "a", "b", "--at", "2026-12-01T08:00"],
            "has no offset; add it: 2026-12-01T08:00Z for UTC, 2026-12-01T08:00",
        ),
        (["send", "a", "b", "--at", "2026-02-30T08:00Z"], "there is no such time as '2026-02-30T08:00Z'"),
        (["scheduled", "cancel"], "Missing argument 'ID...'"),
        (["send", "--file", "not-there"], "'not-there' does not exist"),
        (["events", "--after", "2026-11-24T06:00:00"], "has no offset; add it, for UTC: 2026-11-24T06:00:00Z"),
        (["events", "--after", "2026-11-24T99:00:00Z"], "is not a time in RFC 3339"),
        (["listen", "a..b"], "A topic pattern must be words separated by dots"),
        (["listen", "--register", "a.*"], "not HOST:PORT with an IPv4 host; topics stand before this option"),
        (["listen", "--register", "[::1]:80"], "not HOST:PORT with an IPv4 host"),
        (["listen", "--raw", "--json"], "--raw and --json"),
        (["listen", "--secret-file", "pyproject.toml"], "come with --register"),
        (["listen", "--max-in-flight", "8"], "--max-in-flight is an option of a subscriber"),
        (["dead-letters", "replay"], "Say which dead letters"),
        (["dead-letters", "replay", "--all", "--id", "3"], "Say which dead letters"),
        (["dead-letters", "discard", "--all"], "Discard 3 dead letters? Say --yes to go on: there is no terminal"),
        (["events", "--timeout", "0"], "0.0 is not in the range"),
        (["events", "--url", "http://a..b"], "'http://a..b' is not a URL of a bus"),
        (["events", "--token-file", "not-there"], "'not-there' does not exist"),
        (["serve", "--journal", "redis://:secret@h/0"], "is for EVENTBUS_JOURNAL"),
        (["serve", "--journal", "redis:/:secret@h/0"], "is for EVENTBUS_JOURNAL"),
        (["serve", "--journal", "Rediss+sentinel::secret@h/0"], "is for EVENTBUS_JOURNAL"),
        (["nonsense"], "No such command 'nonsense'"),
        (["replay", "h:1"], "Missing option '--from'"),
        (["replay", "--from", "now"], "Say which subscriber: ADDRESS, or --group GROUP"),
        (["deregister", "h:1", "--group", "mailer"], "Say which subscriber: ADDRESS, or --group GROUP"),
        (["dead-letters", "list", "--address", "h:1", "--group", "mailer"], "Give --address or --group, not both"),
        (["listen", "--group", "mailer"], "--group is an option of a subscriber"),
    ],
)
def test_what_was_typed_wrongly_is_said(typed: Type, args: list[str], payload: str) -> None:
    """Status 2, nothing on standard output, and one sentence that names the help to read."""
    result = typed(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert payload in result.stderr
    assert result.stderr.startswith("eventbus: ")
    assert result.stderr.count("\n") == 1


def test_nothing_typed_shows_the_help(typed: Type) -> None:
    """As a usage error: on standard error."""
    result = typed()
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Examples:\n")


@pytest.mark.parametrize(
    ("error", "status", "payload"),
    [
        (
            Unreachable("No answer from the bus: refused", sent=False),
            3,
            "from the bus at http://localhost:3000: refused",
        ),
        (ProtocolError("Not a bus's answer: <html>."), 3, "<html>; what answers at http://localhost:3000 is not a bus"),
        (UsageError("The header 'a' cannot hold that."), 2, "The header 'a' cannot hold that.\n"),
        (Unauthorized(401, "A token is needed."), 1, "A token is needed (status 401); give a token in EVENTBUS_TOKEN"),
        (Conflict(409, "No\x1b[2J"), 1, "No\\x1b[2J (status 409).\n"),
        (Unavailable(503, "The bus is full.", retry_after=7.0), 1, "try again in 7 seconds.\n"),
        (Unavailable(502, "Bad gateway"), 3, "does not reach the bus behind it"),
        (ApiError(400, ""), 1, "The bus gave no reason (status 400).\n"),
    ],
)
def test_each_error_has_its_status(typed: Type, bus: Lettered, error: BusError, status: int, payload: str) -> None:
    """Refused is 1, asked for wrongly 2, no bus reached 3; and it says what would be right."""
    bus.fail_next(error)
    result = typed("subscribers")
    assert (result.exit_code, result.stdout) == (status, "")
    assert payload in result.stderr


def test_a_token_is_never_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It comes from the environment, or from a file, which is preferred."""
    tokens: list[str | None] = []
    bus = FakeBus()
    monkeypatch.setattr(CommandContext, "bus", lambda context, **_: tokens.append(context.token) or bus)
    file = tmp_path / "token"
    for content, environment in (("", ""), (" from-file \n", "from-environment"), ("two words", "")):
        file.write_text(content)
        given = {"EVENTBUS_TOKEN": environment}
        CliRunner().invoke(program, ["events"], env=given)
        result = CliRunner().invoke(program, ["events", "--token-file", str(file)], env=given)
    assert tokens == [None, None, "from-environment", "from-file", None]
    assert result.exit_code == 2
    assert "two words" not in result.stderr


def test_events_are_listed(typed: Type, bus: Lettered) -> None:
    """As a table, or an object a line; a note on standard error says that there are more."""
    assert typed("events").stderr == "There are no such events.\n"
    for number in range(3):
        bus.publish("a.\x1b[1m", {"n": number})
    first, second, _ = bus.published
    table = typed("events", "--limit", "2")
    assert [line.split()[1] for line in table.stdout.splitlines()[1:]] == [first.id, second.id]
    assert f"--after {second.id} continues" in table.stderr
    assert "a.\\x1b[1m" in table.stdout
    rows = [json.loads(line) for line in typed("events", "--json", "--after", first.id).stdout.splitlines()]
    assert rows == [event_to_json(event) for event in bus.published[1:]]
    assert typed("events", "--topic", "b").stdout == ""


def test_one_event_is_shown(typed: Type, bus: Lettered) -> None:
    """With its headers and deliveries, or its body alone, as it came."""
    event = bus.published[0] if bus.publish("a", b"\x1b\xff", content_type="x/y") else None
    assert event is not None
    output = typed("event", event.id)
    assert "content-type: x/y" in output.stdout
    assert "1b ff" in output.stdout
    assert json.loads(typed("event", event.id, "--json").stdout)["deliveries"] == []
    assert typed("event", event.id, "--raw").stdout_bytes == b"\x1b\xff"


def test_subscribers_come_and_go(typed: Type, bus: Lettered) -> None:
    """Registered, renewed, listed and deregistered."""
    assert typed("subscribers").stderr == "There are no subscribers.\n"
    first = typed("register", "h:1", "--topic", "a.*", "--lease", "60", "--ordered")
    assert first.stderr.startswith("Registered h:1 until 20")
    assert typed("register", "h:1", "--no-resume").stderr.startswith("Renewed h:1 until 20")
    (one,) = json.loads(typed("subscribers", "--json").stdout)
    assert (one["address"], one["topics"], one["lease"], one["ordered"], one["resume"]) == (
        *("h:1", ["a.*"], 60, True, False),
    )
    assert typed("subscribers").stdout.splitlines()[1].split()[:2] == ["h:1", "ok"]
    assert json.loads(typed("deregister", "h:1", "--json").stdout) == {"address": "h:1", "discarded": 0}
    assert bus.subscribers() == []


def test_a_filter_is_typed_or_read_from_a_file(typed: Type, bus: Lettered, tmp_path: Path) -> None:
    """``--filter`` takes JSON, or the name of a file after an ``@``; a wrong one is refused, and says where it is."""
    file = tmp_path / "filter.json"
    file.write_text('[\n  {"exact": {"key": "a"}}\n]')
    assert typed("register", "h:1", "--filter", '{"prefix": {"topic": "a"}}').exit_code == 0
    assert [one.filter for one in bus.subscribers()] == ['{"prefix":{"topic":"a"}}']
    assert json.loads(typed("register", "h:1", "--filter", f"@{file}", "--json").stdout)["filter"] == [
        {"exact": {"key": "a"}}
    ]
    for wrong, error in (("{", "filter is not JSON"), (f"@{tmp_path}/no", "cannot be read"), ("5", "an object, not 5")):
        output = typed("register", "h:1", "--filter", wrong)
        assert (output.exit_code, error in output.stderr.replace("\n", " ")) == (2, True), output.stderr


def test_an_order_by_key_is_a_flag_and_held_keys_are_shown(typed: Type, bus: Lettered) -> None:
    """``--ordered-by-key`` is what a registration asks for; a held key stands where the last error stands else."""
    assert typed("register", "h:1", "--ordered-by-key").exit_code == 0
    (one,) = bus.subscribers()
    assert one.ordered == "key"
    held = HeldKey(key="customer-7", event="id-1", error="answered 500", attempts=3)
    table = subscriber_table(SubscriberList([replace(one, held_keys=2, oldest_held_key=held)]), datetime.now(UTC))
    assert table.rows[0][-1] == "2 held keys; customer-7 behind id-1 after 3 attempts: answered 500"
    assert to_json(replace(one, oldest_held_key=held))["oldest_held_key"]["attempts"] == 3


def test_a_pause_is_shown_with_who_and_until_when(typed: Type, bus: Lettered) -> None:
    """It stands where the last error stands else; with an end, that is a time or so many seconds from now."""
    bus.register("h:1")
    assert typed("pause", "h:1", "--until", "2030-01-01T00:00:00Z").stderr == "Paused h:1 until 2030-01-01T00:00:00Z.\n"
    row = typed("subscribers").stdout.splitlines()[1]
    assert row.split()[:2] == ["h:1", "paused"]
    assert re.search(r"paused by an operator since 20\S+, until 2030-01-01T00:00:00Z", row)
    assert json.loads(typed("resume", "h:1", "--json").stdout) == {"address": "h:1", "resumed": True}
    assert typed("resume", "h:1").stderr == "h:1 was not paused.\n"
    assert json.loads(typed("pause", "h:1", "--json").stdout) == {"address": "h:1", "until": None}
    assert json.loads(typed("pause", "h:1", "--for", "60", "--json").stdout)["until"] is not None
    retried = typed("retry", "h:1")
    assert (retried.stdout, retried.stderr) == ("0\n", "0 retries of h:1 due when its pause ends.\n")
    typed("resume", "h:1")
    assert typed("retry", "h:1").stderr == "0 retries of h:1 due now.\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["pause", "h:1", "--until", "earliest"], "'earliest' is not a time in RFC 3339"),
        (["pause", "h:1", "--until", "2030-01-01T00:00:00Z", "--for", "5"], "Give either --until or --for"),
        (["pause", "h:1", "--for", "0"], "0.0 is not in the range"),
        (["resume"], "Say which subscriber"),
        (["retry", "h:1", "--group", "mailer"], "Say which subscriber"),
        (["skip", "h:1"], "Missing option '--id'"),
    ],
)
def test_an_operators_command_says_what_is_wrong(typed: Type, args: list[str], message: str) -> None:
    """And does nothing."""
    result = typed(*args)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_group_is_a_row_with_its_members_below(typed: Type, bus: Lettered) -> None:
    """Its members are indented, a draining one is marked; as JSON the group follows them with all of its members."""
    bus.register("h:9")
    first = typed("register", "h:2", "--group", "mailer", "--topic", "a.*")
    assert first.stderr.startswith("Registered h:2 in the group mailer until 20")
    assert typed("register", "h:1", "--group", "mailer", "--drain").exit_code == 0
    lines = typed("subscribers").stdout.splitlines()
    assert [line[:20].rstrip() for line in lines[1:]] == ["h:9", "mailer (2 members)", "  h:1", "  h:2"]
    assert [line.partition("  ok")[2][:10] for line in lines[3:]] == [", draining", " " * 10]
    assert len(typed("subscribers", "--group", "mailer").stdout.splitlines()) == 4
    *members, group = json.loads(typed("subscribers", "--json", "--group", "mailer").stdout)
    assert [one["address"] for one in members] == [one["address"] for one in group["members"]] == ["h:2", "h:1"]
    assert "address" not in group
    assert typed("register", "h:1").exit_code == 1
    assert json.loads(typed("deregister", "--group", "mailer", "--json").stdout) == {"group": "mailer", "discarded": 0}
    assert [one.address for one in bus.subscribers()] == ["h:9"]


def test_a_group_or_one_of_its_members_names_it(typed: Type, bus: Lettered) -> None:
    """Replays and dead letters are the group's, whichever of its members is named."""
    bus.register("h:1", topics=["a"], terms=Terms(group="mailer"))
    bus.register("h:2", topics=["b"], terms=Terms(group="mailer"))
    for topic in "abc":
        bus.publish(topic)
    for named in (("h:1",), ("--group", "mailer")):
        assert typed("replay", *named, "--from", "earliest", "--dry-run").stdout == "2\n"
    missing = typed("replay", "--group", "printer", "--from", "earliest", "--dry-run")
    assert "group printer is not registered" in missing.stderr
    bus.letters = [dead_letter(1, "mailer"), dead_letter(2, "mailer"), dead_letter(3, "h:2")]
    assert len(typed("dead-letters", "list", "--group", "mailer").stdout.splitlines()) == 3
    assert typed("dead-letters", "discard", "--group", "mailer", "--yes").stdout == "2\n"


def test_an_event_is_sent_for_later(typed: Type, bus: Lettered) -> None:
    """When it is due is a note, or in JSON; what is past is not scheduled."""
    result = typed("send", "a", "1", "--in", "15m")
    assert re.fullmatch(r"Due at \S+T\S+Z, in 15 min\.\n", result.stderr)
    payload = json.loads(typed("send", "a", "2", "--at", "2099-12-01T08:00+01:00", "--json").stdout)
    assert payload["scheduled_for"] == "2099-12-01T07:00:00Z"
    lines = typed("send", "a", "-", "--lines", "--in", "2d", input="3\n4\n")
    assert "Published 2 events.\nDue at " in lines.stderr
    assert [event.data for event in bus.scheduled()] == [1, 3, 4, 2]
    past = typed("send", "a", "5", "--at", "2020-12-01 08:00Z")
    assert past.stderr == "It is not scheduled: it is in the journal.\n"
    assert json.loads(typed("send", "a", "6", "--in", "0", "--json").stdout)["scheduled_for"] is None
    assert [event.data for event in bus.published] == [5, 6]


def test_scheduled_events_are_listed_and_shown(typed: Type, bus: Lettered) -> None:
    """The one that is due next first; an event says when it is due."""
    assert typed("scheduled", "list").stderr == "There are no scheduled events.\n"
    late, soon = bus.publish("b\x1b[1m", "x", delay=200_000), bus.publish("a", "y", delay=900, order_by="k")
    rows = [re.split(" {2,}", line) for line in typed("scheduled", "list").stdout.splitlines()]
    assert rows[0] == ["due", "left", "id", "topic", "key", "body"]
    assert [row[1:] for row in rows[1:]] == [
        ["in 15 min", soon.id, "a", "k", "y"], ["in 2 d", late.id, "b\\x1b[1m", "x"],
    ]  # fmt: skip
    shorter = typed("scheduled", "list", "--limit", "1", "--json")
    assert [json.loads(line)["id"] for line in shorter.stdout.splitlines()] == [soon.id]
    assert shorter.stderr == "There are more: --limit shows more.\n"
    shown = typed("event", soon.id)
    assert re.search(r"scheduled for: \S+Z, in 15 min\n", shown.stdout)
    assert shown.stderr == "It is not due yet.\n"
    assert json.loads(typed("event", soon.id, "--json").stdout)["scheduled_for"] is not None


def test_scheduled_events_are_cancelled(typed: Type, bus: Lettered) -> None:
    """What cannot be is told of, the rest is cancelled, and the status is 1 then."""
    first, second, third = bus.publish_many("a", [1, 2, 3], delay=60)
    result = typed("scheduled", "cancel", first)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{first}\n", "Cancelled 1 event.\n")
    gone = bus.publish("a").id
    result = typed("scheduled", "cancel", gone, second, "nope")
    assert (result.exit_code, result.stdout) == (1, f"{second}\n")
    assert result.stderr.splitlines()[0] == f"Event '{gone}' is in the journal and cannot be cancelled."
    assert result.stderr.splitlines()[2] == "eventbus: 2 events of 3 could not be cancelled."
    rows = typed("scheduled", "cancel", third, gone, "--json").stdout.splitlines()
    assert [sorted(json.loads(row)) for row in rows] == [["cancelled_at", "id"], ["error", "id"]]
    assert not list(bus.scheduled())


def test_attempts_are_listed(typed: Type, bus: Lettered, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what they were asked for; as JSON a line each, with the answer."""
    asked: list[dict[str, Any]] = []
    one = Attempt(
        event="e-1", address="h:1", path=None, group=None, attempt=2, at=AT, seconds=0.012, status=503,
        outcome="retry", error=None, answer=b"busy",
    )  # fmt: skip
    monkeypatch.setattr(bus, "attempts", lambda **chosen: asked.append(chosen) or iter([one] * 3), raising=False)
    lines = typed("attempts", "--address", "h:1", "--status", "5xx", "--limit", "2").stdout.splitlines()
    assert lines[1].split() == ["2026-11-24T06:03:29.000Z", "h:1", "e-1", "2", "12", "503", "retry"]
    assert len(lines) == 3
    assert asked == [{"address": "h:1", "path": None, "group": None, "event": None, "status": "5xx"}]
    (row, *_) = typed("attempts", "--json").stdout.splitlines()
    assert json.loads(row)["answer"] == {"text": "busy"}


def test_dead_letters_are_listed_and_shown(typed: Type) -> None:
    """All or one subscriber's; what a subscriber answered is made safe."""
    assert [line.split()[0] for line in typed("dead-letters", "list", "--address", "h:1").stdout.splitlines()] == [
        *("id", "1", "2"),
    ]
    rows = [json.loads(line) for line in typed("dead-letters", "list", "--json").stdout.splitlines()]
    assert (rows[2]["subscriber"], rows[2]["last_answer"]) == ("h:2", {"text": "no\x07\n"})
    output = typed("dead-letters", "show", "2").stdout
    assert "last answer:\n  no\\x07\n" in output
    assert "\x1b" not in output
    assert typed("dead-letters", "show", "4").exit_code == 1
    assert "--limit shows more" in typed("dead-letters", "list", "--limit", "2").stderr


def test_dead_letters_are_replayed_and_discarded(typed: Type, bus: Lettered) -> None:
    """One without being asked, more with --yes; how many is printed."""
    replayed = typed("dead-letters", "replay", "--id", "1")
    assert (replayed.stdout, replayed.exit_code) == ("1\n", 0)
    assert "Of 1 dead letter: 1 delivered." in replayed.stderr
    assert json.loads(typed("dead-letters", "discard", "--all", "--yes", "--json").stdout) == {"discarded": 2}
    assert typed("dead-letters", "discard", "--all").stdout == "0\n"
    assert bus.letters == []


def test_a_replay_whose_dead_letters_are_dead_again_fails(typed: Type, bus: Lettered) -> None:
    """How many, and where to find why; as JSON, too."""
    bus.again = 2
    result = typed("dead-letters", "replay", "--all", "--yes", "--json")
    assert result.exit_code == 1
    payload = json.loads(result.stdout)
    counts = {name: value for name, value in payload.items() if isinstance(value, int) and value}
    assert (counts, payload["replay"]) == ({"replayed": 3, "delivered": 1, "dead_again": 2}, "r")
    assert "2 of 3 are dead again" in result.stderr
    assert "Of 3 dead letters: 1 delivered, 2 dead again." in typed("dead-letters", "outcome", "r").stderr


@pytest.mark.parametrize(("answer", "status", "left"), [("y\n", 0, 0), ("n\n", 1, 3), ("", 130, 3)])
def test_more_than_one_dead_letter_is_asked_for(
    typed: Type, bus: Lettered, monkeypatch: pytest.MonkeyPatch, answer: str, status: int, left: int
) -> None:
    """On a terminal; the question is no data."""
    monkeypatch.setattr("eventbus.cli.screen._is_terminal", lambda stream: stream is not sys.stdout)
    monkeypatch.setattr(Screen, "progress", lambda *_: nullcontext(lambda *_: None))
    result = typed("dead-letters", "discard", "--all", input=answer)
    assert (result.exit_code, len(bus.letters)) == (status, left)
    assert "Discard 3 dead letters? [y/N]" in result.stderr
    assert "[y/N]" not in result.stdout


def test_a_replay_can_be_counted_first(typed: Type, bus: Lettered) -> None:
    """From one position to another, both included, of the subscriber's topics only."""
    assert "h:1 is not registered" in typed("replay", "h:1", "--from", "earliest", "--dry-run").stderr
    bus.register("H:1", topics=["a"])
    for number in range(6):
        bus.publish("b" if number == 2 else "a", number)
    ids = [event.id for event in bus.published]

    def counted(*places: str) -> int:
        return int(typed("replay", "h:1", "--dry-run", *places).stdout)

    assert counted("--from", "earliest") == 5
    assert counted("--from", ids[1]) == 4
    assert counted("--from", ids[1], "--to", ids[3]) == 2
    assert counted("--from", ids[3], "--to", ids[3]) == 1
    assert counted("--from", ids[3], "--to", ids[1]) == 0
    assert counted("--from", "now") == 0
    assert counted("--from", "earliest", "--to", "2026-01-01T00:00:00Z") == 0


def test_what_is_no_utf_8_is_no_name(typed: Type) -> None:
    """A topic that was typed in another encoding is refused; data is taken as it is."""
    result = typed("send", "\udcff", "x")
    assert (result.exit_code, "not UTF-8" in result.stderr) == (2, True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(typed: Type, shell: str) -> None:
    """The script asks this command, which knows its parts and their options."""
    script = typed("completion", shell).stdout
    assert f"_EVENTBUS_COMPLETE={shell}_complete" in script
    assert json.loads(typed("completion", shell, "--json").stdout) == {"shell": shell, "script": script[:-1]}
    asked = {"_EVENTBUS_COMPLETE": "bash_complete", "COMP_WORDS": "eventbus send --", "COMP_CWORD": "2"}
    assert "plain,--lines" in typed(env=asked).stdout.splitlines()


def test_serve_says_what_to_install(typed: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server's own packages are not installed."""
    monkeypatch.setitem(sys.modules, "gevent", None)
    result = typed("serve")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "eventbus: The server is not installed (no gevent): pip install 'eventbus[server]'.\n"


def test_serve_is_gunicorn_with_the_settings_that_were_typed(typed: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process becomes it: signals and exit status are its own."""
    became: list[tuple[Any, ...]] = []
    given: dict[str, str] = {}
    monkeypatch.setattr("os.environ", given)
    monkeypatch.setattr("os.execv", lambda *args: became.append(args))
    assert typed("serve", "--port", "8080", "--journal", "a.db", "--json").exit_code == 0
    assert became[0][1][1:3] == ("-m", "gunicorn")
    wanted = {"PORT": "8080", "EVENTBUS_JOURNAL": "sqlite:///a.db", "EVENTBUS_LOG_FORMAT": "json"}
    assert given.items() >= wanted.items()
    assert settings_of(None, "sqlite:///b.db", as_json=False) == {"EVENTBUS_JOURNAL": "sqlite:///b.db"}
    assert settings_of(None, None, as_json=False) == {}
