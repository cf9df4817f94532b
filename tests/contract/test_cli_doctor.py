"""What the doctor makes of what it finds."""

import fcntl
import json
import resource
import shlex
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eventbus.cli.doctor import environment, journal_file, redis_journal, running_bus, subscriber_checks
from eventbus.cli.doctor.findings import Finding, Level, ok
from eventbus.client import Pause, Subscriber, SubscriberList, Terms, Unauthorized, Unreachable
from eventbus.core.settings import Settings
from eventbus.testing import FakeBus
from tests.support.ports import free_port

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="who holds a lock is asked in Linux's way")
FACTS = journal_file.JournalFacts(
    Path("j.db"), folder_exists=True, writable=True, size=4_096, free=2**40, content=journal_file.Content()
)
RUNNING = running_bus.BusFacts("http://bus", 200, "", running_bus.__version__, 0.2)


def levels(findings: list[Finding]) -> list[str]:
    """How bad each is."""
    return [finding.level.value for finding in findings]


def subscriber(**changes: object) -> Subscriber:
    """A subscriber that is well, but for changes."""
    bus = FakeBus()
    return replace(bus.register("h:1"), **changes)


def group_of(*members: dict[str, object], **changes: object) -> SubscriberList:
    """A group with these members, and itself changed."""
    bus = FakeBus()
    for number in range(len(members)):
        bus.register(f"h:{number}", terms=Terms(group="mailer", drain=bool(members[number].get("draining"))))
    found = bus.subscribers()
    (group,) = found.groups
    changed = (replace(one, **more) for one, more in zip(found, members, strict=True))
    return SubscriberList(changed, [replace(group, **changes)])


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A journal's file, as far as it is looked at."""
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA page_size = 4096")
        db.execute("CREATE TABLE events (body)")
        db.executemany("INSERT INTO events VALUES (?)", [("x" * 1_000,) for _ in range(100)])
        db.commit()
    return path


@pytest.fixture
def untouched(database: Path) -> Iterator[Path]:
    """The same, with the files beside it, none of which may change."""
    before = {path.name: path.read_bytes() for path in database.parent.iterdir()}
    yield database
    assert {path.name: path.read_bytes() for path in database.parent.iterdir()} == before


def test_good_settings_are_told_from_wrong_ones() -> None:
    """A wrong one stops a bus; an unknown name is only a warning; a secret is never printed."""
    known, findings = environment.check_settings(
        {"EVENTBUS_LEASE_SECONDS": "30", "EVENTBUS_ADMIN_TOKENS": "secret-0123456789abc"}
    )
    assert levels(findings) == ["ok"]
    assert known is not None
    listed = environment.list_settings(known, {"EVENTBUS_ADMIN_TOKENS": "secret-0123456789abc"})
    assert (listed["EVENTBUS_LEASE_SECONDS"], listed["EVENTBUS_ADMIN_TOKENS"], listed["PORT"]) == (
        "30.0",
        "set",
        "3000",
    )
    assert listed["EVENTBUS_JOURNAL"] == "sqlite:///eventbus.db"
    assert "secret" not in str(listed)
    assert levels(environment.check_settings({"EVENTBUS_LEASE_SECOND": "30"})[1]) == ["ok", "warning"]
    wrong, findings = environment.check_settings({"PORT": "x"})
    assert (wrong, levels(findings)) == (None, ["wrong"])
    assert "PORT must be" in findings[0].text
    wrong, findings = environment.check_settings({"EVENTBUS_CA_FILE": "/nowhere/ca.pem"})
    assert (wrong, levels(findings)) == (None, ["wrong"])


def test_a_whole_journal_is_left_as_it_is(untouched: Path) -> None:
    """It is checked without a lock, and nothing appears beside it."""
    facts = journal_file.inspect(untouched)
    assert (facts.held_by, facts.content) == (None, journal_file.Content())
    assert levels(journal_file.diagnose(facts, 1)) == ["ok", "ok"]


def test_damage_in_a_journal_is_found(database: Path) -> None:
    """A page that was overwritten, a file of another kind, and another program's database."""
    content = database.read_bytes()
    database.write_bytes(content[:4_096] + b"\xff" * 4_096 + content[8_192:])
    assert journal_file.read_content(database).error
    database.write_bytes(b"no database" * 4_096)
    assert "not a database" in journal_file.read_content(database).error
    assert levels(journal_file.diagnose(journal_file.inspect(database), 1))[0] == "wrong"
    database.unlink()
    with closing(sqlite3.connect(database)) as db:
        db.execute("CREATE TABLE others (x)")
    assert journal_file.read_content(database).error == "it is a database, but not a journal"


def test_what_a_crash_has_left_is_no_damage(tmp_path: Path) -> None:
    """A write-ahead log belongs to the journal, and a last page that was cut is repaired by the bus: both in a copy."""
    live, left = tmp_path / "live.db", tmp_path / "left"
    left.mkdir()
    with closing(sqlite3.connect(live)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE events (x)")
        db.commit()
        for name in ("live.db", "live.db-wal"):
            (left / name).write_bytes((tmp_path / name).read_bytes())
    assert (left / "live.db-wal").stat().st_size > 0
    assert journal_file.read_content(left / "live.db") == journal_file.Content()
    assert sorted(path.name for path in left.iterdir()) == ["live.db", "live.db-wal"]


@LINUX
def test_a_held_journal_is_not_looked_into(database: Path) -> None:
    """Another process's lock is seen; one's own is none."""
    script = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('BEGIN EXCLUSIVE'); print(flush=1); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        facts = journal_file.inspect(database)
        other.communicate(b"\n")
    assert (facts.held_by, facts.content) == (other.pid, None)
    assert f"held by process {other.pid}" in journal_file.diagnose(facts, 1)[0].text
    assert journal_file.inspect(database).held_by is None
    with database.open("rb+") as mine:
        fcntl.lockf(mine, fcntl.LOCK_EX)
        assert journal_file.inspect(database).held_by is None


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (FACTS, ["ok", "ok"]),
        (replace(FACTS, size=None), ["ok", "ok"]),
        (replace(FACTS, held_by=7, content=None), ["ok", "ok"]),
        (replace(FACTS, content=journal_file.Content(checked=False)), ["ok", "ok"]),
        (replace(FACTS, folder_exists=False), ["wrong"]),
        (replace(FACTS, writable=False), ["wrong"]),
        (replace(FACTS, content=journal_file.Content("malformed")), ["wrong", "ok"]),
        (replace(FACTS, free=2**29), ["ok", "warning"]),
        (replace(FACTS, free=2**20), ["ok", "wrong"]),
    ],
)
def test_a_journal_is_judged(facts: journal_file.JournalFacts, expected: list[str]) -> None:
    """Whether a bus could start on it, and go on."""
    findings = journal_file.diagnose(facts, 2**30)
    assert levels(findings) == expected
    assert all(bool(finding.fix) == (finding.level is not Level.OK) for finding in findings)


def test_a_journal_that_is_not_there_is_made_by_the_bus(tmp_path: Path) -> None:
    """Its folder is not."""
    assert "does not exist yet" in journal_file.diagnose(journal_file.inspect(tmp_path / "new.db"), 1)[0].text
    assert levels(journal_file.diagnose(journal_file.inspect(tmp_path / "no" / "new.db"), 1)) == ["wrong"]
    (tmp_path / "empty.db").touch()
    assert levels(journal_file.diagnose(journal_file.inspect(tmp_path / "empty.db"), 1))[0] == "ok"


def test_a_redis_server_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it can be reached from here is found also without the packages to call it."""
    monkeypatch.setattr(redis_journal, "_NEEDED_PACKAGES", ("not_installed",))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (found,) = redis_journal.diagnose(Settings(journal=f"redis://127.0.0.1:{port}/0"))
        assert (found.level, "can be reached from here" in found.text) == (Level.OK, True)
    (found,) = redis_journal.diagnose(Settings(journal=f"redis://127.0.0.1:{free_port()}/0"))
    assert (found.level, "cannot be reached from here" in found.text) == (Level.WRONG, True)


def test_of_several_that_know_the_redis_server_one_has_to_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of several sentinels may be unreachable; where all are, the reason is printed once."""
    monkeypatch.setattr(redis_journal, "_NEEDED_PACKAGES", ("not_installed",))
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked = f"127.0.0.1:{free_port()},127.0.0.1:{server.getsockname()[1]}"
        (found,) = redis_journal.diagnose(Settings(journal=f"redis+sentinel://{asked}/bus"))
        assert found.level is Level.OK
    (found,) = redis_journal.diagnose(Settings(journal=f"redis+sentinel://{asked}/bus"))
    assert found.level is Level.WRONG
    assert found.text.count("refused") == 1


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (RUNNING, ["ok", "ok"]),
        (replace(RUNNING, ahead=None), ["ok"]),
        (replace(RUNNING, ahead=-60.0), ["ok", "warning"]),
        (replace(RUNNING, ahead=400.0), ["ok", "wrong"]),
        (replace(RUNNING, status=503, reason="draining"), ["wrong", "ok"]),
        (replace(RUNNING, version="9.9"), ["warning", "ok"]),
        (replace(RUNNING, version=None), ["ok", "ok"]),
        (replace(RUNNING, open=True), ["ok", "warning", "ok"]),
    ],
)
def test_a_running_bus_is_judged(facts: running_bus.BusFacts, expected: list[str]) -> None:
    """By whether it is ready, by its version, by who may use it and by its clock."""
    assert levels(running_bus.diagnose(facts)) == expected


def test_a_bus_that_does_not_answer_is_wrong() -> None:
    """And the finding names the URL."""
    found = running_bus.unreachable(Unreachable("No answer from the bus: refused.", sent=False), "http://h")
    assert (found.level, found.text) == (Level.WRONG, "No answer from the bus at http://h: refused.")


def test_subscribers_are_judged_by_what_the_bus_says() -> None:
    """Who is stuck and who has dead letters is named, up to a number."""
    assert levels(subscriber_checks.diagnose(SubscriberList([subscriber()]))) == ["ok"]
    stuck = subscriber(state="down", pending=3, oldest_pending_seconds=300.0, last_error="refused")
    (found,) = subscriber_checks.diagnose(SubscriberList([stuck]))
    assert found.text == "h:1 is down; 3 events pending, the oldest for 5 min. Last error: refused."
    assert levels(subscriber_checks.diagnose(SubscriberList([subscriber(state="paused", dead=1)]))) == [
        "warning",
        "warning",
    ]
    many = subscriber_checks.diagnose(SubscriberList([subscriber(dead=1)] * 25))
    assert (len(many), many[-1].text) == (21, "5 subscribers more have dead letters too.")
    assert subscriber_checks.not_listed(Unauthorized(401, "no")).level is Level.WARNING


def test_a_pause_of_an_operator_is_named_with_who_may_end_it() -> None:
    """Since when, and until when; a member's too. One that the subscriber asked for is its own affair."""
    at = datetime(2026, 11, 24, 6, 3, 29, tzinfo=UTC)
    pause = Pause(by="operator", client="10.0.0.7", since=at, until=None)
    (found,) = subscriber_checks.diagnose(SubscriberList([subscriber(state="paused", pause=pause, pending=3)]))
    assert found.text == (
        "h:1 is paused by an operator since 2026-11-24T06:03:29Z, until it is resumed; 3 events pending."
    )
    assert (found.level, found.fix) == (Level.WARNING, "Where the reason is over, run: eventbus resume h:1")
    (member,) = subscriber_checks.diagnose(group_of({}, {"state": "paused", "pause": pause}))
    assert member.text.startswith("h:1, a member of group mailer, is paused by an operator since")
    own = subscriber(state="paused", pause=Pause(by="subscriber", client=None, since=None, until=at))
    assert "is paused; 0 events pending" in subscriber_checks.diagnose(SubscriberList([own]))[0].text


def test_an_expired_subscriber_is_named_with_what_it_left() -> None:
    """And with what ends the state."""
    at = datetime(2026, 11, 24, 6, 3, 29, tzinfo=UTC)
    gone, dead = subscriber_checks.diagnose(SubscriberList([subscriber(state="expired", expired_at=at, dead=6_766)]))
    assert gone.text == "h:1 is expired since 2026-11-24T06:03:29Z; 0 events pending, 6,766 dead letters."
    assert (gone.level, gone.fix) == (
        Level.WARNING,
        "Start it again; or, where it is gone for good, run: eventbus deregister h:1",
    )
    assert dead.text == "h:1 has 6,766 dead letters."


@pytest.mark.parametrize("changes", [{}, {"path": "/hooks/it's?a=1&b=2"}, {"address": "[::1]:80", "path": "/x y"}])
def test_a_command_that_is_suggested_can_be_copied_into_a_shell(changes: dict[str, str]) -> None:
    """It ends the line, without quotes around it, and a shell takes it apart into what names the subscriber."""
    one = subscriber(state="expired", dead=1, **changes)
    fixes = [found.fix for found in subscriber_checks.diagnose(SubscriberList([one]))]
    expired, dead = (shlex.split(fix.rpartition("run: ")[2]) for fix in fixes)
    path = [] if one.path is None else ["--path", one.path]
    assert expired == ["eventbus", "deregister", one.address, *path]
    assert dead == ["eventbus", "dead-letters", "list", "--address", one.address, *path]


def test_a_group_is_judged_as_one_and_its_members_by_how_they_answer() -> None:
    """What is pending and dead is the group's; a member that is down is named, and that others get its share."""
    assert subscriber_checks.diagnose(group_of({}, {})) == [
        ok("subscribers", "1 subscriber; none is stuck, none has dead letters."),
    ]
    down, dead = subscriber_checks.diagnose(group_of({}, {"state": "down", "last_error": "refused"}, dead=2))
    assert down.text == "h:1, a member of group mailer, is down. Last error: refused."
    assert "until then other members get its share" in down.fix
    assert (dead.text, "list --group mailer" in dead.fix) == ("Group mailer has 2 dead letters.", True)
    (draining,) = subscriber_checks.diagnose(group_of({"draining": True}, pending=4))
    assert draining.text == "Group mailer gets nothing, since all of its members are draining; 4 events pending."
    (expired,) = subscriber_checks.diagnose(group_of({}, state="expired"))
    assert expired.fix.endswith(", run: eventbus deregister --group mailer")


def test_subscribers_are_connected_to_from_here() -> None:
    """Which says nothing of where the bus is, and so is a warning at most."""
    assert subscriber_checks.check_connections([]) == []
    with socket.create_server(("127.0.0.1", 0)) as server:
        here, gone = f"127.0.0.1:{server.getsockname()[1]}/path", f"https://127.0.0.1:{free_port()}"
        found = subscriber_checks.check_connections([subscriber(address=here), subscriber(address=gone)])
    assert [(finding.level.value, finding.text) for finding in found] == [
        ("warning", f"{gone} cannot be reached from here: Connection refused."),
        ("ok", "1 subscriber can be reached from here."),
    ]


def test_too_few_files_are_a_warning() -> None:
    """What counts is how far the bus may raise its own limit."""
    assert levels(
        [
            environment.diagnose_open_files(1_024),
            environment.diagnose_open_files(65_536),
            environment.diagnose_open_files(resource.RLIM_INFINITY),
        ]
    ) == [
        *("warning", "ok", "ok"),
    ]
    assert environment.check_open_files().about == "files"


def test_findings_are_json() -> None:
    """What is OK has nothing to fix."""
    found = environment.diagnose_open_files(1_024).as_json()
    assert json.loads(json.dumps(found))["level"] == "warning"
    assert environment.diagnose_open_files(65_536).as_json()["mend"] is None
