"""A dead letter that has to be published again is published once, by every kind of journal."""

from dataclasses import replace
from pathlib import Path

import pytest

from eventbus.core.model import Message
from eventbus.core.records import Checkpoint, DeadLetter
from eventbus.journal.base import Appended, Journal
from eventbus.journal.sqlite import SqliteJournal
from tests.contract.test_journal import (
    Bench,
    bench,
    held,
    journal,
    keep,
    kind,
    lasting,
    letter,
    record,
    redis_server,
    save,
)
from tests.support.events import message

__all__ = ["bench", "journal", "kind", "lasting", "redis_server"]
TOPIC = 'orders.dead."x"\\'  # any character that a topic may have


def dead(seq: int, dead_to: str = TOPIC, key: str = "a") -> DeadLetter:
    """A dead letter that has to be published."""
    return replace(letter(seq, key), dead_to=dead_to, error='", "dead_to": "no"}')


def unpublished(journal: Journal) -> list[tuple[int, str]]:
    """The events of those that have to be published yet, and their topics."""
    return [(kept.letter.seq, kept.letter.dead_to) for kept in journal.unpublished_letters(100)]


def publish(journal: Journal, *letters: int) -> Appended:
    """Publish an event for each of these dead letters."""
    messages = [message(f"again-{number}", topic=TOPIC) for number in letters]
    return journal.append(messages, letters=letters)


@pytest.fixture
def three(journal: Journal) -> Journal:
    """A journal with three dead letters, the second of which is not to be published."""
    keep(journal, "x", "y", "z")
    save(journal, 3, lanes=(record(),), dead=(dead(1), letter(2), dead(3)))
    return journal


def test_a_dead_letter_is_published_in_the_commit_that_notes_it(three: Journal) -> None:
    """It is found until then, and no more after it; it stays a dead letter."""
    assert unpublished(three) == [(1, TOPIC), (3, TOPIC)]
    assert publish(three, 1) == Appended(("again-1",))
    assert unpublished(three) == [(3, TOPIC)]
    assert held(three) == [1, 2, 3, 4]
    letters = three.dead_letters("a", 0, 10)
    assert [(kept.letter.seq, kept.letter.dead_to) for kept in letters] == [(1, ""), (2, ""), (3, TOPIC)]
    assert letters[0].letter == replace(dead(1), dead_to="")


def test_nothing_is_published_twice(three: Journal) -> None:
    """A second publish for the same one keeps nothing, nor does one together with others that are due."""
    publish(three, 1)
    assert publish(three, 1) == Appended((), duplicate=True)
    assert publish(three, 1, 3) == Appended((), duplicate=True)
    assert held(three) == [1, 2, 3, 4]
    assert unpublished(three) == [(3, TOPIC)]


def test_a_checkpoint_that_is_saved_again_publishes_nothing_again(three: Journal) -> None:
    """What was saved twice was saved once."""
    publish(three, 1)
    save(three, 3, lanes=(record(),), dead=(dead(1), dead(3)))
    assert unpublished(three) == [(3, TOPIC)]


def test_it_can_be_noted_without_publishing(three: Journal) -> None:
    """Events that came from dead letters themselves are not published again."""
    assert three.append([], letters=[1, 3]) == Appended(())
    assert unpublished(three) == []
    assert held(three) == [1, 2, 3]


def test_what_is_no_dead_letter_any_more_is_not_published(three: Journal) -> None:
    """Redelivered, discarded, or without its body: then there is nothing to publish."""
    save(three, 3, lanes=(record(),), replayed=(1,), replay="r")
    assert unpublished(three) == [(3, TOPIC)]
    assert publish(three, 1) == Appended((), duplicate=True)
    three.give_up_bodies(three.dead_letters("a", 2, 10))
    assert unpublished(three) == []
    save(three, 3, lanes=(record(),), dead=(dead(1),), settled_retries=(("a", 1, 0),))
    assert unpublished(three) == [(1, TOPIC)]  # it has died again
    save(three, 3, lanes=(record(),), dropped=(4,))
    assert unpublished(three) == []


def test_each_topics_letters_come_in_order(journal: Journal) -> None:
    """Of several topics one after another, and no more at once than were asked for."""
    keep(journal, *"abcdef")
    letters = tuple(dead(seq, topic) for seq, topic in enumerate(("t.b", "t.a") * 3, 1))
    save(journal, 6, lanes=(record(),), dead=letters)
    found: list[tuple[int, str]] = []
    while page := journal.unpublished_letters(2):
        assert len(page) <= 2
        found += [(kept.letter.seq, kept.letter.dead_to) for kept in page]
        publish(journal, *(kept.id for kept in page))
    for topic in ("t.a", "t.b"):
        assert [seq for seq, of in found if of == topic] == sorted(seq for seq, of in found if of == topic)
    assert len(found) == 6


def test_what_has_to_be_published_outlives_the_process(lasting: Bench) -> None:
    """A journal that is opened again still knows it."""
    keep(lasting.journal, "x", "y")
    save(lasting.journal, 2, lanes=(record(),), dead=(dead(1), dead(2)))
    publish(lasting.journal, 1)
    assert unpublished(lasting.reopen()) == [(2, TOPIC)]


def test_a_full_disk_keeps_the_dead_letter(tmp_path: Path) -> None:
    """Where a publish fails in the journal, the dead letter waits for the next one."""
    journal = SqliteJournal(str(tmp_path / "bus.db"))
    journal.open()
    keep(journal, "x")
    journal.checkpoint(replace(Checkpoint(0.0, 1), lanes=(record(),), dead=(dead(1),)))
    broken = Message("y", None, b"", object(), 0.0)  # type: ignore[arg-type] # what SQLite refuses
    with pytest.raises(Exception, match="journal could not be written"):
        journal.append([broken], letters=[1])
    assert unpublished(journal) == [(1, TOPIC)]
    assert publish(journal, 1) == Appended(("again-1",))
    journal.close()
