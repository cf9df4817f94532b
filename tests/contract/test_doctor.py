"""What the doctor says of a journal of either kind that is no journal yet, and of a Redis server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventbus.cli.doctor.diagnosis import journal_findings
from eventbus.cli.doctor.findings import Finding, Level
from eventbus.core.settings import from_environment
from eventbus.journal.copy.copying import Copying
from eventbus.journal.sqlite import SqliteJournal
from tests.support.events import message
from tests.support.journal_copies import BrokenOffError, FailingTarget, JournalFolder, copy_all, open_both
from tests.support.redis_server import COMMAND, RedisServer

EVENTS = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server for all tests of this module."""
    if COMMAND is None:
        pytest.skip("there is no redis-server here")
    with RedisServer(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture
def source(tmp_path: Path) -> JournalFolder:
    """A journal on SQLite with a few events."""
    folder = tmp_path / "source"
    folder.mkdir()
    journal = SqliteJournal(str(folder / "events.db"))
    journal.open()
    journal.append([message(str(number), b"") for number in range(EVENTS)])
    journal.close()
    return JournalFolder("sqlite", folder)


@pytest.fixture(params=["sqlite", "redis"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> JournalFolder:
    """A journal in which nothing was kept."""
    if request.param == "redis":
        found: RedisServer = request.getfixturevalue("server")
        found.ask("FLUSHALL")
        (tmp_path / "url").write_text(found.url)
    return JournalFolder(request.param, tmp_path)


def findings(journal: str) -> list[Finding]:
    """What is said of the journal with this URL, and not of its disk."""
    found = journal_findings(from_environment({"EVENTBUS_JOURNAL": journal}))
    return [finding for finding in found if finding.about == "journal"]


def test_an_unfinished_copy_is_told_of(source: JournalFolder, target: JournalFolder) -> None:
    """Where a copy was broken off, that is said, with what to do; where it was finished then, all is well."""
    with open_both(source, target) as ends:
        copying = Copying(ends[0], FailingTarget(ends[1], 2, kept=False), rows=1)
        copying.begin()
        with pytest.raises(BrokenOffError):
            copying.run(lambda _: None)
        origin, name = (end.name for end in ends)
    (found,) = findings(name)
    assert found.level is Level.WRONG
    assert f"is an unfinished copy of {origin} (1 of {EVENTS} rows)" in found.text
    assert "'eventbus journal copy'" in found.fix
    copy_all(source, target)
    assert [finding.level for finding in findings(name)] == [Level.OK]


def test_a_redis_server_that_is_set_wrongly_is_told_of(server: RedisServer) -> None:
    """Why a bus would refuse to start on it is wrong; what it would only warn of is a warning."""
    assert server.ask("CONFIG", "SET", "appendfsync", "everysec") == b"+OK\r\n"
    warned, well = findings(server.url)
    assert (warned.level, well.level) == (Level.WARNING, Level.OK)
    assert "appendfsync is everysec" in warned.text
    assert server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru") == b"+OK\r\n"
    (found,) = findings(server.url)
    assert found.level is Level.WRONG
    assert "maxmemory-policy is allkeys-lru" in found.text
    for name, value in (("appendfsync", "always"), ("maxmemory-policy", "noeviction")):
        server.ask("CONFIG", "SET", name, value)


def test_a_redis_server_that_refuses_is_told_of_without_the_password(server: RedisServer) -> None:
    """Where the server does not let the bus in, its own words are told, and the password is not."""
    (found,) = findings(server.url.replace("://", "://nobody:hush-hush@"))
    assert found.level is Level.WRONG
    assert "invalid username-password pair" in found.text
    assert "hush" not in f"{found.text} {found.fix}"
