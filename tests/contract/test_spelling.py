"""Journals of a version that took escapes of plain characters for other addresses."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from eventbus.core.addresses import address_with_key, legacy_key, parse_address
from eventbus.core.model import Options, Subscriber
from eventbus.core.records import Checkpoint, DeadLetter, Discard, LaneRecord, Retry
from eventbus.delivery.lane.lane_record import new_record
from eventbus.journal import lane_json
from eventbus.journal.base import Journal
from eventbus.journal.sqlite import SqliteJournal
from tests.support.events import message
from tests.support.failed import failed
from tests.support.lanes import EPOCH

WRITTEN = "api.example/%7eann"
OLD, NEW = "api.example/%7Eann", "api.example/~ann"


def of_before(shown: str = WRITTEN) -> LaneRecord:
    """A record as the version before has it: under its own spelling, which it does not write down."""
    return new_record(Subscriber(address_with_key(shown, legacy_key(shown)), Options(resume=True)), EPOCH, 0)


def written_before(record: LaneRecord) -> str:
    """The same as that version wrote it."""
    said = json.loads(lane_json.to_json(record))
    del said["key"]
    return json.dumps(said)


@pytest.mark.parametrize(
    ("shown", "key"),
    [(WRITTEN, OLD), ("HTTPS://A/%41/", "https://a/%41"), ("a/%2fb", "a/%2Fb"), ("a/x://%41", "a/x://%41"), ("a", "a")],
)
def test_the_spelling_of_before_is_known(shown: str, key: str) -> None:
    """What the version before took for the key is found from what the subscriber wrote."""
    assert legacy_key(shown) == key


def test_a_record_keeps_its_key() -> None:
    """A record is read under the key that it has in its journal, whichever version wrote it."""
    before = of_before()
    assert before.subscriber.key == OLD
    assert lane_json.from_json(written_before(before)) == before
    assert lane_json.from_json(lane_json.to_json(before)) == before
    today = replace(before, subscriber=replace(before.subscriber, address=parse_address(WRITTEN)))
    assert lane_json.from_json(lane_json.to_json(today)) == today
    assert today.subscriber.key == NEW


def fill(journal: Journal, *lanes: LaneRecord) -> None:
    """Three events, of which a lane of before has one waiting, one dead and one discarded."""
    journal.open()
    journal.append([message(f"e-{number}") for number in range(3)])
    journal.checkpoint(
        Checkpoint(
            EPOCH,
            3,
            lanes=lanes,
            retries=(Retry(OLD, 1, 0, 2, EPOCH, EPOCH + 9, 500, "busy"),),
            dead=(DeadLetter(OLD, 2, 0, "rejected", 1, EPOCH, EPOCH, 400, "no", b""),),
            discards=(Discard(OLD, 3, 3),),
        )
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of the version before."""
    path = tmp_path / "before.db"
    journal = SqliteJournal(str(path))
    fill(journal, of_before())
    journal.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE lanes SET record = ?", (written_before(of_before()),))
    return path


def test_a_lane_of_before_gets_todays_spelling(path: Path) -> None:
    """It is found under the one spelling, with what waits, what is dead and what was discarded, and once only."""
    for _ in range(2):
        journal = SqliteJournal(str(path))
        recovered = journal.open()
        assert [lane.subscriber.key for lane in recovered.lanes] == [NEW]
        assert recovered.lanes[0].subscriber.address.text == WRITTEN
        assert recovered.retries == {NEW: 1}
        assert [row.key for row in journal.retries(NEW, by_seq=True, limit=9)] == [NEW]
        assert [kept.letter.key for kept in journal.dead_letters(NEW, 0, 9)] == [NEW]
        assert (failed(journal, 2), failed(journal, 3)) == ([(NEW, "dead")], [(NEW, "discarded")])
        assert journal.lane(OLD) is None
        journal.close()


def test_two_lanes_of_one_address_stay_two(path: Path) -> None:
    """Where both spellings were registered, nothing of either is lost: each keeps its own, and one ends."""
    journal = SqliteJournal(str(path))
    journal.open()
    journal.close()
    with closing(sqlite3.connect(path)) as db, db:
        rows = db.execute("SELECT open, ended_at FROM lanes").fetchone()
        db.execute("INSERT INTO lanes VALUES (?, ?, ?, ?)", (OLD, written_before(of_before()), *rows))
    journal = SqliteJournal(str(path))
    assert sorted(lane.subscriber.key for lane in journal.open().lanes) == [OLD, NEW]
    journal.close()
