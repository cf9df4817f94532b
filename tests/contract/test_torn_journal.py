"""A journal whose end was torn off opens, keeps what was committed, and says what was dropped or mended."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from eventbus.core.errors import JournalError
from eventbus.core.model import Message
from eventbus.core.records import Recovered
from eventbus.journal.group_commit import Publish
from eventbus.journal.sqlite.store import Store
from tests.support.server import ROOT

COMMITS = 8
#: Events in each commit.
EVENTS = 5
#: Bytes at the end of each file that are cut off, one more each time.
TORN = range(1, 201)
ALL = 1_000_000

FILL = """
import os, signal, sys
from tests.contract.test_torn_journal import fill
store = fill(sys.argv[1])  # kept open
os.kill(os.getpid(), signal.SIGKILL)
"""


def fill(path: str) -> Store:
    """A journal with a few commits of numbered events."""
    store = Store(path)
    store.open()
    for commit in range(COMMITS):
        numbers = range(commit * EVENTS, (commit + 1) * EVENTS)
        messages = [Message(f"id-{number}", "a.b", b"", b"%d" % number * 50, 1.0) for number in numbers]
        store.commit([Publish(messages, None)], [])
    return store


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal that was closed as it should be."""
    path = tmp_path_factory.mktemp("closed") / "bus.db"
    fill(str(path)).close()
    return path


@pytest.fixture(scope="module")
def abandoned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal whose process was killed."""
    path = tmp_path_factory.mktemp("abandoned") / "bus.db"
    child = subprocess.run([sys.executable, "-c", FILL, str(path)], cwd=ROOT, check=False)
    assert child.returncode == -signal.SIGKILL
    assert wal_of(path).stat().st_size > 0
    return path


def wal_of(path: Path) -> Path:
    """The write-ahead log beside a journal."""
    return path.with_name(f"{path.name}-wal")


def opened(path: Path) -> tuple[Recovered, list[int]]:
    """Open a journal and close it: what it tells, and the numbers of its events."""
    store = Store(str(path))
    recovered = store.open()
    seqs = [seq for seq, _, _ in store.read(store.queries.topics, 0, ALL, ALL)]
    for event in store.read(store.queries.find, seqs):
        assert event.body == event.id.removeprefix("id-").encode() * 50
    store.close()
    return recovered, seqs


def copied(journal: Path, folder: Path) -> Path:
    """A copy of a journal's files."""
    path = folder / "copy.db"
    for source, target in ((journal, path), (wal_of(journal), wal_of(path))):
        target.unlink(missing_ok=True)
        if source.exists():
            shutil.copy(source, target)
    return path


def torn(journal: Path, folder: Path, which: Callable[[Path], Path], cut: int) -> Path:
    """A copy with so many bytes cut off one of its files."""
    path = copied(journal, folder)
    file = which(path)
    with file.open("r+b") as torn_file:
        torn_file.truncate(file.stat().st_size - cut)
    return path


def itself(path: Path) -> Path:
    """The journal's own file."""
    return path


@pytest.mark.parametrize("journal", ["closed", "abandoned"])
def test_a_whole_journal_has_nothing_to_tell(journal: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Closed or abandoned by a kill, a journal that is whole holds every event, and nothing is remarked."""
    recovered, seqs = opened(copied(request.getfixturevalue(journal), tmp_path))
    assert (recovered.remarks, seqs) == ((), list(range(1, COMMITS * EVENTS + 1)))


@pytest.mark.parametrize("journal", ["closed", "abandoned"])
def test_a_file_that_lost_its_end_is_mended(journal: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """However many of its last 200 bytes are gone, the file opens with every event, and that is remarked."""
    original = request.getfixturevalue(journal)
    for cut in TORN:
        recovered, seqs = opened(torn(original, tmp_path, itself, cut))
        assert seqs == list(range(1, COMMITS * EVENTS + 1)), cut
        assert len(recovered.remarks) == 1, cut
        assert f"{cut} bytes" in recovered.remarks[0]


def test_a_log_that_lost_its_end_loses_the_last_commit_alone(abandoned: Path, tmp_path: Path) -> None:
    """However many of the log's last 200 bytes are gone, all commits but the last are there, and that is remarked."""
    for cut in TORN:
        recovered, seqs = opened(torn(abandoned, tmp_path, wal_of, cut))
        assert seqs == list(range(1, (COMMITS - 1) * EVENTS + 1)), cut
        assert len(recovered.remarks) == 1, cut
        assert "dropped" in recovered.remarks[0]


def test_a_log_torn_anywhere_keeps_whole_commits(abandoned: Path, tmp_path: Path) -> None:
    """Cut anywhere, the log gives back whole commits from the first on, and no part of one."""
    size = wal_of(abandoned).stat().st_size
    counts = []
    for cut in range(1, size + 1, 997):
        _, seqs = opened(torn(abandoned, tmp_path, wal_of, cut))
        assert seqs == list(range(1, len(seqs) + 1)), cut
        assert len(seqs) % EVENTS == 0
        counts.append(len(seqs))
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0


def test_a_mended_journal_takes_events_again(abandoned: Path, tmp_path: Path) -> None:
    """After a tear the numbers go on where the kept events end, and what is committed then stays."""
    path = torn(abandoned, tmp_path, wal_of, 100)
    store = Store(str(path))
    last = store.open().last_seq
    events, *_ = store.commit([Publish([Message("id-1", None, b"", b"1" * 50, 1.0)], None)], [])
    assert [event.seq for event in events] == [last + 1]
    store.close()
    assert opened(path)[1] == list(range(1, last + 2))


def other_database(path: Path) -> None:
    """A SQLite database of something else."""
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE notes (text TEXT)")
    db.close()


def newer_journal(path: Path) -> None:
    """A journal that a later version has written."""
    fill(str(path)).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 999")
    db.close()


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"x"),
        lambda path: path.write_bytes(b"my notes\n" * 1_000),
        lambda path: path.write_bytes(bytes(range(256)) * 64),
        lambda path: path.write_bytes(b"SQLite format 3\x00" + b"\x7f" * 5_000),
        other_database,
        newer_journal,
    ],
    ids=["a byte", "text", "bytes", "a head", "another database", "a newer journal"],
)
def test_what_is_no_journal_is_left_as_it_is(tmp_path: Path, write: Callable[[Path], object]) -> None:
    """A file that is no journal, or a newer one, is refused by its path, and not a byte of it changes."""
    path = tmp_path / "other.db"
    write(path)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"other\.db"):
        Store(str(path)).open()
    assert path.read_bytes() == before
