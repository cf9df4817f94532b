"""What every journal does."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import gevent
import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.errors import JournalUnavailable, KeyReused
from eventbus.core.model import Account, Event, Message, Options, Subscriber
from eventbus.core.records import (
    BLOCKED_UNTIL,
    Checkpoint,
    DeadLetter,
    Discard,
    FailedDelivery,
    LaneRecord,
    Past,
    Retry,
)
from eventbus.core.schedule import FIRST_DUE, ScheduleState
from eventbus.delivery.lane.lane_record import new_record
from eventbus.journal.base import FIRST_ROW, MAX_REDELIVERIES, Appended, EventName, Journal, Redelivery
from eventbus.journal.redis import RedisJournal
from eventbus.journal.sqlite import SqliteJournal
from tests.support.events import message
from tests.support.failed import failed
from tests.support.lanes import EPOCH
from tests.support.redis_server import COMMAND, RedisServer

ROOT = Path(__file__).parents[2]
DAY = 86_400
A, B = "a", "b"  # two subscribers, by the one spelling of their addresses
#: More than any of these tests keeps.
ALL = 1_000


@dataclass(frozen=True, slots=True)
class Kind:
    """One implementation: how it is made in a folder, and whether what it holds outlives the process.

    Where it needs a server, its URL stands in the folder, in a file called ``url``.
    """

    name: str
    make: Callable[[Path, Clock], Journal]
    lasts: bool


KINDS = (
    Kind("sqlite-file", lambda folder, clock: SqliteJournal(str(folder / "events.db"), clock), lasts=True),
    Kind("sqlite-memory", lambda _, clock: SqliteJournal(":memory:", clock), lasts=False),
    Kind("redis", lambda folder, clock: RedisJournal((folder / "url").read_text(), clock), lasts=True),
)


class Bench:
    """Opens and reopens journals of one kind, with a wall clock of its own."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self._kind = kind
        self._folder = folder
        self.wall = EPOCH
        self.lasts = kind.lasts
        self.batches: list[list[Event]] = []  # as the listener was told
        self.journal = self._open()

    def _open(self) -> Journal:
        journal = self._kind.make(self._folder, Clock(wall=lambda: self.wall))
        self.recovered = journal.open()
        journal.listen(lambda events: self.batches.append(list(events)))
        return journal

    def reopen(self) -> Journal:
        """Close the journal and open it again."""
        self.journal.close()
        self.journal = self._open()
        return self.journal


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server for all tests of this module."""
    if COMMAND is None:
        pytest.skip("there is no redis-server here")
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    """Each implementation in turn, with nothing kept."""
    found: Kind = request.param
    if found.name == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        assert server.ask("FLUSHALL") == b"+OK\r\n"
        (tmp_path / "url").write_text(server.url)
    return found


@pytest.fixture
def bench(kind: Kind, tmp_path: Path) -> Iterator[Bench]:
    """An open journal."""
    found = Bench(kind, tmp_path)
    yield found
    found.journal.close()


@pytest.fixture
def journal(bench: Bench) -> Journal:
    """An open journal that holds nothing."""
    return bench.journal


@pytest.fixture
def lasting(kind: Kind, bench: Bench) -> Bench:
    """An open journal of a kind that outlives the process."""
    if not kind.lasts:
        pytest.skip("this kind ends with the process")
    return bench


def keep(journal: Journal, *ids: str, at: float = EPOCH, topic: str | None = None) -> None:
    """Append one event for each id."""
    for event_id in ids:
        journal.append([message(event_id, at=at, topic=topic)])


def ids(events: Sequence[Event]) -> list[str]:
    """Their ids."""
    return [event.id for event in events]


def held(journal: Journal) -> list[int]:
    """The numbers of all events that are there."""
    return [seq for seq, _, _ in journal.topics(0, ALL, ALL)]


def record(host: str = "a", **changes: object) -> LaneRecord:
    """A lane's record."""
    return replace(new_record(Subscriber(parse_address(host), Options()), EPOCH, 0), **changes)


def deferral(seq: int, key: str = A, *, replay_id: int = 0, due: float = 10, error: str = "answered 500") -> Retry:
    """A delivery that waits; ``due`` in seconds from now."""
    return Retry(key, seq, replay_id, 2, EPOCH - 5, EPOCH + due, 500, error)


def letter(seq: int, key: str = A, *, replay_id: int = 0, at: float = EPOCH) -> DeadLetter:
    """A delivery that is dead."""
    return DeadLetter(key, seq, replay_id, "rejected", 1, at - 1, at, 400, "answered 400", b"\x00\xffno")


def save(journal: Journal, scanned: int = 0, **changes: object) -> None:
    """Checkpoint these changes."""
    journal.checkpoint(replace(Checkpoint(EPOCH, scanned), **changes))


def waiting(journal: Journal, key: str = A) -> list[tuple[int, int]]:
    """The numbers and runs of a lane's deferred deliveries."""
    return [(row.seq, row.replay_id) for row in journal.retries(key, by_seq=True, limit=ALL)]


# Events


def test_a_journal_begins_empty(bench: Bench) -> None:
    """A new journal holds nothing and counts from nothing."""
    journal, recovered = bench.journal, bench.recovered
    assert (recovered.last_seq, recovered.scanned, recovered.lanes, dict(recovered.retries)) == (0, 0, (), {})
    assert held(journal) == []
    assert journal.event("x") is None
    assert journal.usage().events == 0
    assert journal.last_dead_letter() == 0


def test_an_event_is_kept_byte_for_byte(journal: Journal) -> None:
    """Id, topic, headers, body, time and order key of an event are read back as they were published."""
    head, body = "ce-type: ünïcode\r\n".encode("latin-1"), bytes(range(256)) * 10
    names = ((None, ""), ("a.b", ""), (None, "ünïcode key"), ("a.b", "k" * 256))
    for number, (topic, key) in enumerate(names, 1):
        event_id = f"id-{number}"
        answer = journal.append([message(event_id, body, topic=topic, head=head, at=EPOCH + 0.123456, key=key)])
        assert (answer.ids, answer.duplicate) == ((event_id,), False)
        assert journal.event(event_id) == Event(number, event_id, topic, head, body, EPOCH + 0.123456, key)


def test_empty_and_large_bodies_are_kept(journal: Journal) -> None:
    """An event may be empty, or a megabyte."""
    journal.append([message("empty", b""), message("large", b"x" * 1_048_576)])
    assert [len(event.body) for event in journal.find([1, 2])] == [0, 1_048_576]


def test_numbers_rise_in_the_order_of_appends(journal: Journal) -> None:
    """Events get rising numbers, within a batch in its order."""
    journal.append([message("a"), message("b")])
    journal.append([message("c")])
    events = journal.page(0, ALL, ALL, 10**9).events
    assert [(event.seq, event.id) for event in events] == [(1, "a"), (2, "b"), (3, "c")]


def test_the_listener_hears_of_events_before_their_publishers(bench: Bench) -> None:
    """Each committed batch is told to the listener, in order and whole, before any publisher is answered."""
    order: list[str] = []
    bench.journal.listen(lambda events: order.extend(f"heard {event.id}" for event in events))

    def publish(number: int) -> None:
        bench.journal.append([message(f"{number}-a"), message(f"{number}-b")])
        order.append(f"answered {number}-a")

    gevent.joinall([gevent.spawn(publish, number) for number in range(50)], raise_error=True)
    heard = [step.removeprefix("heard ") for step in order if step.startswith("heard ")]
    assert heard == ids(bench.journal.page(0, ALL, ALL, 10**9).events)
    assert len(heard) == 100
    for number in range(50):
        place = order.index(f"heard {number}-a")
        assert heard[heard.index(f"{number}-a") + 1] == f"{number}-b"
        assert place < order.index(f"answered {number}-a")


def test_publishers_that_come_at_once_share_commits(bench: Bench) -> None:
    """A hundred publishers at once take far fewer commits than a hundred."""
    appends = [gevent.spawn(bench.journal.append, [message(f"id-{number}")]) for number in range(100)]
    gevent.joinall(appends, raise_error=True)
    batches = [batch for batch in bench.batches if batch]
    assert sum(map(len, batches)) == 100
    assert len(batches) <= 10


def test_reads_and_writes_at_once_do_not_disturb_each_other(journal: Journal) -> None:
    """Greenlets may append, checkpoint and read at once, and each gets what it asked for."""

    def work(number: int) -> None:
        journal.append([message(f"id-{number}")])
        save(journal, lanes=(record(f"host{number}"),), retries=(deferral(number, f"host{number}"),))
        assert (found := journal.event(f"id-{number}")) is not None
        assert found.id == f"id-{number}"
        assert journal.lane(f"host{number}") == record(f"host{number}")
        assert waiting(journal, f"host{number}") == [(number, 0)]

    gevent.joinall([gevent.spawn(work, number) for number in range(30)], raise_error=True)


# The journal quota


def test_a_sample_tells_who_needs_an_event(journal: Journal) -> None:
    """Of numbers those are told that are there, with their bytes, and for whom each is deferred or dead."""
    journal.append([message("a", b"x" * 1_000, topic="t"), message("b"), message("c")])
    save(journal, 3, retries=(deferral(1), deferral(2)), dead=(letter(2),))
    first, second = journal.sample([1, 2, 99])
    assert (first.seq, first.topic, first.waiting, first.dead) == (1, "t", (A,), ())
    assert 1_000 < first.size < 1_500
    assert (second.topic, second.waiting, [key for key, _ in second.dead]) == (None, (A,), [letter(2).key])


def test_sizes_tell_what_events_take(journal: Journal) -> None:
    """Each event between two numbers is told with about the bytes that it takes, and no more than are asked for."""
    journal.append([message("a", b"x" * 1_000, topic="t"), message("b"), message("c"), message("d", b"x" * 5_000)])
    (first, large), (second, small) = journal.sizes(0, 3, 2)
    assert (first, second) == (1, 2)
    assert 0 < small < 1_000 < large < 1_500
    assert [seq for seq, _ in journal.sizes(2, 3, ALL)] == [3]
    assert [size // 1_000 for _, size in journal.sizes(3, 9, ALL)] == [5]
    assert journal.sizes(4, 9, ALL) == []


def test_a_dead_letter_outlives_its_events_body(bench: Bench) -> None:
    """One that has given up its body lets the event go, keeps id, topic and key, and is still known as dead."""
    journal = bench.journal
    journal.append([message("a", b"body", topic="t", key="k"), message("b")])
    save(journal, 2, dead=(replace(letter(1), answer=b"no"), letter(2)))
    letters = journal.dead_letters(None, 0, ALL)
    journal.give_up_bodies(letters[:1])
    assert sorted(failed(journal, 1)) == [(letters[0].letter.key, "dead")]
    assert journal.trim([1, 2], 0) == 1
    if bench.lasts:
        journal = bench.reopen()
    kept, whole = journal.dead_letters(None, 0, ALL)
    assert (kept.event_id, kept.topic, kept.order_key, kept.letter.event_id) == ("a", "t", "k", "a")
    assert (whole.event_id, whole.order_key, whole.letter.event_id) == ("b", "", "")
    assert kept.letter == replace(letters[0].letter, event_id="a", topic="t", order_key="k", answer=b"")
    save(journal, 2, dropped=(kept.id,))
    assert [one.id for one in journal.dead_letters(None, 0, ALL)] == [whole.id]


# Idempotency


def test_a_key_that_was_given_before_keeps_nothing(journal: Journal) -> None:
    """The same key again is answered with the first publish's ids, and nothing is kept."""
    first = journal.append([message("a"), message("b")], "key")
    again = journal.append([message("c"), message("d")], "key")
    assert (first.ids, first.duplicate) == (("a", "b"), False)
    assert (again.ids, again.duplicate) == (("a", "b"), True)
    assert held(journal) == [1, 2]
    assert not journal.append([message("d")], "another key").duplicate


def test_one_key_at_once_is_one_event(bench: Bench) -> None:
    """Publishers that give one key at the same time make one event, which all are answered with."""
    appends = [gevent.spawn(bench.journal.append, [message(f"id-{number}")], "key") for number in range(30)]
    answers = [append.get() for append in appends]
    assert len(held(bench.journal)) == sum(map(len, bench.batches)) == 1
    (kept,) = {answer.ids for answer in answers}
    assert bench.journal.event(kept[0]) is not None
    assert sorted(answer.duplicate for answer in answers) == [False] + [True] * 29


@pytest.mark.parametrize(
    "other",
    [
        [message("c", body=b"other"), message("d")],
        [message("c", topic="other"), message("d")],
        [message("c")],
        [message("c"), message("d"), message("e")],
    ],
    ids=["body", "topic", "fewer", "more"],
)
def test_a_key_that_was_used_for_something_else_is_refused(journal: Journal, other: list[Message]) -> None:
    """The same key with another topic, order key, expiry or body raises KeyReused, and leaves the key as it was."""
    journal.append([message("a"), message("b")], "key")
    with pytest.raises(KeyReused):
        journal.append(other, "key")
    assert held(journal) == [1, 2]
    assert journal.append([message("f"), message("g")], "key").ids == ("a", "b")


def test_a_key_in_one_commit_with_itself_is_compared(journal: Journal) -> None:
    """Of publishers that give one key for different bodies at the same time, one is accepted and all others refused."""

    def refused(number: int) -> bool:
        try:
            return journal.append([message(f"id-{number}", body=b"%d" % number)], "key").duplicate
        except KeyReused:
            return True

    appends = [gevent.spawn(refused, number) for number in range(30)]
    assert sorted(append.get() for append in appends) == [False] + [True] * 29
    assert len(held(journal)) == 1


def test_a_key_lasts_a_day(bench: Bench) -> None:
    """A key counts for 24 hours, and after that it may be used for another event."""
    bench.journal.append([message("a")], "key")
    bench.wall = EPOCH + DAY - 1
    bench.journal.trim([], 0)
    assert bench.journal.append([message("b", at=bench.wall)], "key").duplicate
    bench.wall = EPOCH + DAY + 1
    bench.journal.trim([], 0)
    assert not bench.journal.append([message("c", at=bench.wall)], "key").duplicate


@pytest.mark.parametrize("reopened", [False, True])
def test_the_oldest_keys_go_before_they_take_too_much(bench: Bench, reopened: bool) -> None:
    """Keys that take more than they may, with the ids of their batches, are forgotten before their day is over."""
    for number in range(20):
        batch = [message(f"{number:05}-{each:05}", at=EPOCH + number) for each in range(100)]
        bench.journal.append(batch, f"key-{number}")
    if reopened and bench.lasts:
        bench.reopen()
    bench.journal.trim([], 0, 20 * 1_500)
    assert bench.journal.append([message("same")] * 100, "key-0").duplicate
    bench.journal.trim([], 0, 10 * 1_500)
    assert not bench.journal.append([message("again")] * 100, "key-0").duplicate
    assert bench.journal.append([message("again")] * 100, "key-19").duplicate
    bench.journal.trim([], 0, 0)
    assert not bench.journal.append([message("again")] * 100, "key-19").duplicate


# Reading


def test_a_page_is_so_many_events_after_a_place(journal: Journal) -> None:
    """A page holds events after a place in order, up to a number of them, and says how far it looked."""
    keep(journal, "a", "b", "c", "d")
    first = journal.page(1, 4, 2, 10**9)
    assert (ids(first.events), first.cursor) == (["b", "c"], 3)
    last = journal.page(first.cursor, 4, 2, 10**9)
    assert (ids(last.events), last.cursor) == (["d"], 4)
    assert journal.page(4, 4, 2, 10**9).events == ()


def test_a_page_ends_where_it_was_asked_to(journal: Journal) -> None:
    """No event after the last number that was asked for is read, and the place is never beyond it."""
    keep(journal, "a", "b", "c")
    page = journal.page(0, 2, ALL, 10**9)
    assert (ids(page.events), page.cursor) == (["a", "b"], 2)


def test_a_page_is_bounded_in_bytes_but_never_stuck(journal: Journal) -> None:
    """A page holds as many events as fit its bytes, and one that is too large alone."""
    journal.append([message(name, body=b"x" * size) for name, size in (("a", 10), ("b", 10), ("c", 100), ("d", 10))])
    pages, cursor = [], 0
    while cursor < 4:
        page = journal.page(cursor, 4, ALL, 25)
        pages.append(ids(page.events))
        assert page.cursor > cursor
        cursor = page.cursor
    assert pages == [["a", "b"], ["c"], ["d"]]


@pytest.mark.parametrize("last", [bytes(range(256)) * 20, bytes(range(256)) * 300], ids=["small", "large"])
@pytest.mark.parametrize("large_first", [False, True])
def test_a_page_holds_events_as_they_were_kept(journal: Journal, last: bytes, large_first: bool) -> None:
    """Whatever bytes they are made of, with and without a topic and a key, and to the bit of their times."""
    bodies = [b"", b"\0", b"a\0b", b"\n", b",", b"\xff\xfe\x80", "\u00e4\u4e16".encode(), last]
    if large_first:
        bodies.reverse()
    heads = (b"", b"Content-Type: text/plain\r\n", b"ce-subject: \xe4,\r\n")
    kept = [
        Message(f'id-"{number}",', topic, head, body, EPOCH + number / 7, key)
        for number, (body, head, topic, key) in enumerate(
            product(bodies, heads, (None, "orders.new"), ("", "7", "ä ,"))
        )
    ]
    journal.append(kept)
    events = journal.page(0, ALL, ALL, 10**9).events
    assert [Message(*event[1:]) for event in events] == kept
    assert list(events) == journal.find([*range(1, len(kept) + 1)])
    for number, event in enumerate(events, 1):
        assert journal.page(number - 1, ALL, 1, 1).events == (event,)


def test_gaps_end_no_page(journal: Journal) -> None:
    """Numbers that are gone are passed over, and a page over nothing but gaps says that all was looked at."""
    keep(journal, "a", "b", "c", "d")
    journal.trim([2, 3], 0)
    assert ids(journal.page(0, 4, 2, 10**9).events) == ["a", "d"]
    page = journal.page(1, 3, 2, 10**9)
    assert (page.events, page.cursor) == ((), 3)


def test_topics_are_read_without_bodies(journal: Journal) -> None:
    """Numbers, topics and times are read in order, within bounds."""
    keep(journal, "a", topic="x.y", at=EPOCH + 1)
    keep(journal, "b", "c", at=EPOCH + 2.5)
    assert journal.topics(0, 3, 2) == [(1, "x.y", EPOCH + 1), (2, None, EPOCH + 2.5)]
    assert [seq for seq, _, _ in journal.topics(1, 2, ALL)] == [2]


def test_events_are_found_by_their_numbers(journal: Journal) -> None:
    """Of the numbers that are asked for, those that are there are found."""
    keep(journal, "a", "b", "c")
    assert sorted(ids(journal.find([3, 99, 1]))) == ["a", "c"]
    assert journal.find([]) == []


def test_of_two_events_with_one_id_the_newest_is_found(journal: Journal) -> None:
    """An id that a publisher used twice stands for the newest event."""
    journal.append([message("same", b"old"), message("same", b"new")])
    found = journal.event("same")
    assert found is not None
    assert (found.seq, found.body) == (2, b"new")


@pytest.mark.parametrize("gone", [(), (1,), (3,), (1, 2, 3), (5,), (2, 4)])
def test_the_place_of_a_moment_is_before_the_first_event_from_then_on(journal: Journal, gone: tuple[int, ...]) -> None:
    """All events after the place of a moment, and no others, were accepted at or after it."""
    times = {seq: EPOCH + 10 * seq for seq in range(1, 6)}
    for seq, at in times.items():
        keep(journal, str(seq), at=at)
    journal.trim(gone, 0)
    for moment in (0, *(at + step for at in times.values() for step in (-1, 0, 1)), EPOCH * 2):
        place = journal.position_at(moment)
        left = [seq for seq in times if seq not in gone]
        assert [seq for seq in left if seq > place] == [seq for seq in left if times[seq] >= moment]


def test_an_empty_journal_has_one_place(journal: Journal) -> None:
    """In a journal that holds nothing, every moment's place is the beginning."""
    assert journal.position_at(0) == journal.position_at(EPOCH) == 0


# Checkpoints


def test_a_lane_is_kept_whole_and_replaced(journal: Journal) -> None:
    """A lane's record is read back as it was saved last."""
    assert journal.lane(A) is None
    first = record(failed_attempts=3, last_error='"quoted"\x00 – ünïcode\n', account=Account(5, 2, 1, 1))
    save(journal, lanes=(first, record("b")))
    assert journal.lane(A) == first
    second = replace(first, failed_attempts=4)
    save(journal, lanes=(second,))
    assert (journal.lane(A), journal.lane(B)) == (second, record("b"))


def test_a_forgotten_lane_is_gone(journal: Journal) -> None:
    """A lane that is forgotten is not there any more; the others are."""
    save(journal, lanes=(record(), record("b")))
    save(journal, forgotten=(A,))
    assert journal.lane(A) is None
    assert journal.lane(B) is not None


def test_what_closed_lanes_take_is_known(journal: Journal) -> None:
    """The number of lanes that ended is told, and the bytes of their records, and falls as they are forgotten."""
    assert journal.closed_size() == (0, 0)
    ended = [replace(record(f"over-{number}"), ended_at=EPOCH + number) for number in range(200)]
    save(journal, 0, lanes=(record(), *ended))
    count, size = journal.closed_size()
    assert (count, size > 200 * 300) == (200, True)
    save(journal, 0, forgotten=tuple(f"over-{number}" for number in range(100)))
    assert journal.closed_size()[0] == 100


def test_closed_lanes_are_those_that_ended_and_have_nothing_pending(journal: Journal) -> None:
    """Lanes that ended before a moment and are settled are found, the first to end first."""
    over = replace(record(), ended_at=EPOCH + 20.0)
    save(
        journal,
        lanes=(
            over,
            replace(record("b"), ended_at=EPOCH + 10.0),
            record("live"),
            replace(record("pending"), ended_at=EPOCH, account=Account(accepted=1)),
            replace(
                record("resumes"), ended_at=EPOCH, subscriber=Subscriber(parse_address("resumes"), Options(resume=True))
            ),
        ),
    )
    found = [lane.subscriber.key for lane in journal.closed_lanes(EPOCH + 100, ALL)]
    assert found == [B, A]
    assert [lane.subscriber.key for lane in journal.closed_lanes(EPOCH + 15, ALL)] == [B]
    assert journal.closed_lanes(EPOCH + 100, 1)[0].subscriber.key == B
    newest = [journal.newest_closed(skip, 1) for skip in range(3)]
    assert [[lane.subscriber.key for lane in page] for page in newest] == [[A], [B], []]


def test_deferred_deliveries_are_read_by_due_time_or_number(journal: Journal) -> None:
    """Deferred deliveries come back as they were, by due time or by number, so many and only the lane's own."""
    rows = [deferral(1, due=30), deferral(2, due=10, replay_id=3), deferral(3, due=20, error='"ü\n')]
    save(journal, retries=(*rows, deferral(4, B)))
    assert journal.retries(A, by_seq=True, limit=ALL) == rows
    assert [row.seq for row in journal.retries(A, by_seq=False, limit=ALL)] == [2, 3, 1]
    assert [row.seq for row in journal.retries(A, by_seq=False, limit=2)] == [2, 3]
    assert [row.key for row in journal.retries_of_event(4)] == [B]


def test_what_waits_for_its_backoff_becomes_due_at_once(journal: Journal) -> None:
    """In its order among the others; what is due already, or waits for its order key, stays, and so do other lanes."""
    rows = [
        deferral(1, due=30, error='"due_at": 7,'),
        deferral(2, due=-5),
        replace(deferral(3), due_at=BLOCKED_UNTIL, order_key="k"),
        deferral(5, B, due=30),
    ]
    save(journal, retries=tuple(rows))
    save(journal, retries=(deferral(4, due=20),), hastened=(A,))
    assert journal.retries(A, by_seq=True, limit=ALL) == [
        replace(rows[0], due_at=EPOCH), rows[1], rows[2], deferral(4, due=0),
    ]  # fmt: skip
    assert [row.seq for row in journal.retries(A, by_seq=False, limit=ALL)] == [2, 1, 4, 3]
    assert journal.retries(B, by_seq=True, limit=ALL) == [rows[3]]


def test_retries_are_read_on_by_their_numbers(journal: Journal) -> None:
    """Those after a retry come in pages, also where one event has several, of several replays."""
    rows = [deferral(seq, replay_id=replay_id) for seq in (1, 2, 10) for replay_id in (0, 1, 2)]
    save(journal, retries=tuple(reversed(rows)))
    found, after = list[Retry](), FIRST_ROW
    while page := journal.retries(A, by_seq=True, limit=2, after=after):
        found += page
        after = page[-1].seq, page[-1].replay_id
    assert found == rows


def test_retries_are_read_by_their_order_key(journal: Journal) -> None:
    """Those of one key and lane are read by number, also after they have changed and others have been settled."""
    keys = ("k", "", "k/ä", "k", None)
    rows = [replace(deferral(seq), order_key=key) for seq, key in enumerate(keys, 9)]
    save(
        journal,
        retries=(*rows, replace(deferral(9, B), order_key="k"), replace(deferral(12, replay_id=1), order_key="k")),
    )
    assert [(row.seq, row.replay_id) for row in journal.retries_of_key(A, "k", ALL)] == [(9, 0), (12, 0), (12, 1)]
    assert journal.retries_of_key(A, "k/ä", ALL) == [rows[2]]
    assert journal.retries_of_key(A, "k", 1) == [rows[0]]
    again = replace(rows[4], order_key="k", due_at=BLOCKED_UNTIL)
    save(journal, settled_retries=((A, 9, 0), (A, 12, 1)), retries=(again,))
    assert journal.retries_of_key(A, "k", ALL) == [rows[3], again]
    assert [row.seq for row in journal.retries(A, by_seq=False, limit=ALL)][-1] == again.seq
    save(journal, cleared=(A,))
    assert (journal.retries_of_key(A, "k", ALL), len(journal.retries_of_key(B, "k", ALL))) == ([], 1)


def test_names_are_read_without_bodies(journal: Journal) -> None:
    """Ids and order keys of the events that are there are read by their numbers."""
    journal.append([message("a", key="k"), message("b")])
    assert journal.names([2, 1, 99]) == {1: EventName("a", "k"), 2: EventName("b", "")}
    assert journal.names([]) == {}


def test_a_dead_letter_that_is_put_back_waits_with_its_events_key(journal: Journal) -> None:
    """Its row has the order key that the event has, or says that it has none."""
    journal.append([message("a", key="k"), message("b")])
    save(journal, 2, dead=(letter(1), letter(2), letter(3)))
    kept = journal.dead_letters(None, 0, ALL)
    assert [one.order_key for one in kept] == ["k", "", ""]
    journal.checkpoint(Checkpoint(EPOCH, 2, replayed=tuple(one.id for one in kept), replay="r"))
    assert [row.order_key for row in journal.retries(A, by_seq=True, limit=ALL)] == ["k", "", ""]
    assert [row.seq for row in journal.retries_of_key(A, "k", ALL)] == [1]


def test_a_delivery_deferred_again_is_one_row(journal: Journal) -> None:
    """A delivery that is deferred again replaces its row; another run of the same event is another."""
    save(journal, retries=(deferral(1),))
    save(journal, retries=(replace(deferral(1), attempts=3), deferral(1, replay_id=1)))
    assert [(row.replay_id, row.attempts) for row in journal.retries(A, by_seq=True, limit=ALL)] == [(0, 3), (1, 2)]


def test_a_settled_delivery_waits_no_more(journal: Journal) -> None:
    """The row of a delivery that is settled goes, and no other."""
    save(journal, retries=(deferral(1), deferral(1, replay_id=1), deferral(2), deferral(1, B)))
    save(journal, settled_retries=((A, 1, 0), (A, 99, 0)))
    assert (waiting(journal), waiting(journal, B)) == ([(1, 1), (2, 0)], [(1, 0)])


def test_a_delivery_may_be_settled_and_deferred_in_one_checkpoint(journal: Journal) -> None:
    """In one checkpoint what waits no more goes before what waits comes."""
    save(journal, retries=(deferral(1),))
    save(journal, settled_retries=((A, 1, 0),), retries=(deferral(1, due=99),))
    assert [row.due_at for row in journal.retries(A, by_seq=True, limit=ALL)] == [EPOCH + 99]


def test_clearing_a_lane_discards_all_that_waits_for_it(journal: Journal) -> None:
    """All deferred deliveries of a lane that is cleared are discarded, and it is known that they were."""
    save(journal, retries=(deferral(1), deferral(2), deferral(1, B)))
    save(journal, cleared=(A,))
    assert (waiting(journal), waiting(journal, B)) == ([], [(1, 0)])
    assert failed(journal, 1) == failed(journal, 2) == [(A, "discarded")]


def test_dead_letters_are_kept_with_rising_ids(journal: Journal) -> None:
    """Dead letters are read back as they were, with their event's id and topic, in the order of their ids."""
    keep(journal, "x", "y", topic="t")
    letters = (letter(1), letter(2, B), replace(letter(2), first_at=None, status=None, error='"\x00ü\n'))
    save(journal, dead=letters)
    found = journal.dead_letters(None, 0, ALL)
    assert [kept.letter for kept in found] == list(letters)
    assert [(kept.event_id, kept.topic) for kept in found] == [("x", "t"), ("y", "t"), ("y", "t")]
    numbers = [kept.id for kept in found]
    assert numbers == sorted(set(numbers))
    assert journal.last_dead_letter() == numbers[-1]
    assert [kept.id for kept in journal.dead_letters(A, 0, ALL)] == [numbers[0], numbers[2]]
    assert [kept.id for kept in journal.dead_letters(None, numbers[0], 1)] == [numbers[1]]
    assert journal.dead_letter(numbers[1]) == found[1]
    assert journal.dead_letter(10**9) is None
    died = letters[0]
    assert journal.failed_deliveries(1) == [FailedDelivery(A, "dead", died.attempts, died.status, died.error)]


def test_old_dead_letters_are_found_by_their_last_attempt(journal: Journal) -> None:
    """Dead letters that were last attempted before a moment are found, the oldest first."""
    save(journal, dead=(letter(1, at=EPOCH + 30), letter(2, at=EPOCH + 10), letter(3, at=EPOCH + 20)))
    assert [kept.letter.seq for kept in journal.dead_before(EPOCH + 30, ALL)] == [2, 3]
    assert [kept.letter.seq for kept in journal.dead_before(EPOCH + 99, 1)] == [2]


def test_dead_letters_that_are_tried_again_wait_again(journal: Journal) -> None:
    """A dead letter that is replayed is none any more: it waits, due now, and its attempts go on counting."""
    save(journal, dead=(letter(1, replay_id=2), letter(2)))
    first, second = journal.dead_letters(None, 0, ALL)
    journal.checkpoint(Checkpoint(EPOCH + 60, 0, replayed=(first.id,), replay="r"))
    assert [kept.id for kept in journal.dead_letters(None, 0, ALL)] == [second.id]
    (row,) = journal.retries(A, by_seq=True, limit=ALL)
    died = first.letter
    assert (row.seq, row.replay_id, row.first_at, row.due_at) == (1, 2, EPOCH + 60, EPOCH + 60)
    assert (row.attempts, row.status, row.error) == (died.attempts, died.status, died.error)
    assert row.past == Past("r", died.attempts, died.first_at)
    assert failed(journal, 1) == []


@pytest.mark.parametrize("first_at", [None, 1764367000.1234567])
def test_what_a_replayed_delivery_has_behind_it_is_kept(lasting: Bench, first_at: float | None) -> None:
    """The time of its first attempt stays as it was to the last digit, also when its row is saved again."""
    died = replace(letter(1), first_at=first_at, attempts=12, error='said "replay": no', status=None)
    save(lasting.journal, dead=(died,))
    save(lasting.journal, replayed=(lasting.journal.last_dead_letter(),), replay="r")
    (row,) = lasting.journal.retries(A, by_seq=True, limit=ALL)
    assert (row.past, row.error, row.status) == (Past("r", 12, first_at), died.error, None)
    again = replace(row, attempts=13, due_at=EPOCH + 90)
    save(lasting.journal, retries=(again,))
    assert lasting.reopen().retries(A, by_seq=True, limit=ALL) == [again]


def test_a_replay_tells_what_became_of_its_dead_letters(lasting: Bench) -> None:
    """Each is delivered, dead again, filtered, discarded or pending; what is saved twice counts once."""
    journal = lasting.journal
    save(journal, dead=tuple(letter(seq) for seq in range(1, 7)))
    numbers = tuple(kept.id for kept in journal.dead_letters(None, 0, ALL))
    assert journal.replay("r") is None
    for some in (numbers[:2], numbers[2:5]):  # page by page
        journal.checkpoint(Checkpoint(EPOCH, 0, replayed=some, replay="r"))
    save(journal, retries=(deferral(9),))  # of no replay
    assert journal.replay("r") == Redelivery("r", EPOCH, 5)
    for _ in range(2):
        save(journal, settled_retries=((A, 1, 0), (A, 9, 0)))
        save(journal, settled_retries=((A, 2, 0), (A, 3, 0)), dead=(letter(3),))
        save(journal, settled_retries=((A, 4, 0),), filtered_retries=((A, 4, 0),))
    assert lasting.reopen().replay("r") == Redelivery("r", EPOCH, 5, delivered=2, dead=1, filtered=1)
    save(lasting.journal, cleared=(A,))
    found = lasting.journal.replay("r")
    assert found == Redelivery("r", EPOCH, 5, delivered=2, dead=1, discarded=1, filtered=1)
    assert found.pending == 0


def test_a_replay_keeps_its_outcome_though_another_one_follows(journal: Journal) -> None:
    """What was dead again and is replayed once more counts for the second one from then on."""
    save(journal, dead=(letter(1),))
    save(journal, replayed=(journal.last_dead_letter(),), replay="first")
    save(journal, settled_retries=((A, 1, 0),), dead=(letter(1),))
    save(journal, replayed=(journal.last_dead_letter(),), replay="second")
    save(journal, settled_retries=((A, 1, 0),))
    assert journal.replay("first") == Redelivery("first", EPOCH, 1, dead=1)
    assert journal.replay("second") == Redelivery("second", EPOCH, 1, delivered=1)


def test_only_so_many_replays_are_known(journal: Journal) -> None:
    """With each new replay the oldest one past the limit is forgotten; one that put back nothing is none."""
    count = MAX_REDELIVERIES + 1
    save(journal, dead=tuple(letter(seq) for seq in range(1, count + 1)))
    letters = [kept.id for kept in journal.dead_letters(None, 0, count)]
    replays = [
        Checkpoint(EPOCH + number, 0, replayed=(one,), replay=f"r{number}") for number, one in enumerate(letters)
    ]
    gevent.joinall([gevent.spawn(journal.checkpoint, replay) for replay in replays], raise_error=True)
    save(journal, replayed=(letters[-1] + 1,), replay="nothing")
    names = ("r0", "r1", f"r{count - 1}", "nothing")
    assert [journal.replay(name) is None for name in names] == [True, False, False, True]
    save(journal, settled_retries=((A, 1, 0), (A, 2, 0)))
    assert [journal.replay("r0"), journal.replay("r1")] == [None, Redelivery("r1", EPOCH + 1, 1, delivered=1)]


def test_dead_letters_that_are_dropped_are_discarded(journal: Journal) -> None:
    """A dead letter that a person drops is gone, and it is known that the delivery was discarded."""
    save(journal, dead=(letter(1), letter(2)))
    save(journal, dropped=(journal.dead_letters(None, 0, ALL)[0].id,))
    assert [kept.letter.seq for kept in journal.dead_letters(None, 0, ALL)] == [2]
    assert failed(journal, 1) == [(A, "discarded")]


def test_ids_of_dead_letters_are_not_used_twice(lasting: Bench) -> None:
    """A dead letter never gets the id of one that is gone, so that a page's place stays good."""
    save(lasting.journal, dead=(letter(1), letter(2)))
    last = lasting.journal.last_dead_letter()
    save(lasting.journal, dropped=tuple(kept.id for kept in lasting.journal.dead_letters(None, 0, ALL)))
    save(lasting.reopen(), dead=(letter(3),))
    assert lasting.journal.dead_letters(None, 0, ALL)[0].id > last


def test_who_discarded_a_span_is_known_until_it_is_forgotten(journal: Journal) -> None:
    """Each number in a discarded span is known as discarded by that lane, until that is old."""
    keep(journal, "a", "b", "c", "d")
    save(journal, discards=(Discard(A, 2, 3), Discard(B, 3, 3)))
    assert [sorted(failed(journal, seq)) for seq in range(1, 5)] == [
        [],
        [(A, "discarded")],
        [(A, "discarded"), (B, "discarded")],
        [],
    ]
    journal.trim([], EPOCH)
    assert failed(journal, 2) != []
    journal.trim([], EPOCH + 1)
    assert failed(journal, 2) == []


# Trimming


def test_trimming_keeps_what_is_still_referred_to(journal: Journal) -> None:
    """Events go when they are trimmed, but for those that wait for someone or that a dead letter is about."""
    keep(journal, "a", "b", "c", "d")
    save(journal, retries=(deferral(2),), dead=(letter(3),))
    assert journal.trim([1, 2, 3, 99], 0) == 1
    assert held(journal) == [2, 3, 4]
    save(journal, settled_retries=((A, 2, 0),), dropped=(journal.last_dead_letter(),))
    assert journal.trim([2, 3], 0) == 2
    assert held(journal) == [4]


def test_usage_grows_with_what_is_kept(journal: Journal) -> None:
    """The bytes in use grow with the events, and what trimming frees is in use no more."""
    before = journal.usage()
    journal.append([message(str(number), b"x" * 10_000) for number in range(100)])
    full = journal.usage()
    assert full.events == 100
    assert full.bytes - before.bytes >= 1_000_000
    journal.trim(list(range(1, 101)), 0)
    after = journal.usage()
    assert after.events == 0
    assert after.bytes < full.bytes - 900_000


# Closing and opening


def test_a_closed_journal_takes_nothing(bench: Bench) -> None:
    """After closing, appends and checkpoints are refused; closing again does nothing."""
    bench.journal.close()
    bench.journal.close()
    with pytest.raises(JournalUnavailable):
        bench.journal.append([message("late")])
    with pytest.raises(JournalUnavailable):
        save(bench.journal)
    bench.journal = bench._open()  # noqa: SLF001 - so that the fixture has something to close


def test_closing_finishes_what_was_begun(lasting: Bench) -> None:
    """An append that was under way when the journal was closed is safe, or was refused."""
    answers: list[str] = []

    def publish(event_id: str) -> None:
        try:
            answers.extend(lasting.journal.append([message(event_id)]).ids)
        except JournalUnavailable:
            return

    publishers = [gevent.spawn(publish, str(number)) for number in range(50)]
    gevent.sleep(0)
    journal = lasting.reopen()
    gevent.joinall(publishers, timeout=10, raise_error=True)
    assert len(answers) > 0
    assert set(answers) <= set(ids(journal.page(0, ALL, ALL, 10**9).events))


#: A delivery that a replay has put back.
REPLAYED = replace(deferral(2), past=Past("r", 1, EPOCH - 99))


def fill(journal: Journal) -> None:
    """Put one of everything into a journal."""
    journal.append([message("a", b"body", topic="t", head=b"ce-a: b\r\n", key="k/ä")], "key")
    keep(journal, "b", "c")
    journal.append([message("later", b"body", topic="t", head=b"ce-a: b\r\n", key="k/ä")], "scheduled", due_at=LATER)
    journal.append([message("next"), message("never")], due_at=LATER - 60.5)
    journal.cancel("never", EPOCH + 1)
    save(
        journal,
        2,
        lanes=(record(scanned=2, account=Account(accepted=2)), replace(record("over"), ended_at=EPOCH)),
        retries=(replace(deferral(1), order_key="k/ä"), REPLAYED),
        dead=(letter(3),),
        discards=(Discard(B, 1, 1),),
    )


#: When the last scheduled event of ``fill`` is due.
LATER = EPOCH + 3_600


def assert_filled(bench: Bench) -> None:
    """What ``fill`` put in is there, in the recovered state and to be read."""
    journal, recovered = bench.journal, bench.recovered
    assert recovered.last_seq == 3
    carried_on = record(scanned=2, account=Account(accepted=2))
    if isinstance(journal, RedisJournal):  # which hands lanes out one by one
        assert journal.lane_records(journal.open_lanes()) == [(carried_on, 2)]
    else:
        assert (recovered.scanned, recovered.lanes, dict(recovered.retries)) == (2, (carried_on,), {A: 2})
    assert journal.event("a") == Event(1, "a", "t", b"ce-a: b\r\n", b"body", EPOCH, "k/ä")
    assert held(journal) == [1, 2, 3]
    assert journal.retries(A, by_seq=True, limit=ALL) == [replace(deferral(1), order_key="k/ä"), REPLAYED]
    assert [kept.letter for kept in journal.dead_letters(None, 0, ALL)] == [letter(3)]
    assert journal.lane("over") == replace(record("over"), ended_at=EPOCH)
    assert sorted(failed(journal, 1)) == [(B, "discarded")]
    next_one, later = journal.scheduled(FIRST_DUE, ALL, ALL)
    assert (next_one.due_at, next_one.message) == (LATER - 60.5, message("next"))
    assert (later.due_at, later.message) == (
        LATER, message("later", b"body", topic="t", head=b"ce-a: b\r\n", key="k/ä"),
    )  # fmt: skip
    assert journal.schedule_state() == ScheduleState(2, LATER - 60.5)
    assert journal.cancelled_at("never") == EPOCH + 1
    again = journal.append([message("again", b"body", topic="t", key="k/ä")], "scheduled")
    assert again == Appended(("later",), duplicate=True, due_at=LATER)
    assert journal.append([message("again", b"body", topic="t", key="k/ä")], "key").duplicate
    with pytest.raises(KeyReused):
        journal.append([message("other")], "key")


def test_everything_outlives_a_close(lasting: Bench) -> None:
    """What was kept is there, and carried on with, after the journal was closed and opened again."""
    fill(lasting.journal)
    lasting.reopen()
    assert_filled(lasting)


#: A process that fills the journal it is told of and ends like one that was killed.
ENDS_AT_ONCE = """
import os, sys
sys.path.insert(0, {root!r})
from gevent import monkey
monkey.patch_all()
from pathlib import Path
from tests.contract.test_journal import KINDS, Bench, fill
kind = next(kind for kind in KINDS if kind.name == {name!r})
fill(Bench(kind, Path({folder!r})).journal)
os._exit(9)
"""


def test_everything_outlives_a_process_that_ends_at_once(kind: Kind, tmp_path: Path) -> None:
    """What an append or a checkpoint returned for is there although the process then ended without a word."""
    if not kind.lasts:
        pytest.skip("this kind ends with the process")
    script = ENDS_AT_ONCE.format(root=str(ROOT), name=kind.name, folder=str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert ended.returncode == 9, ended.stderr.decode()
    bench = Bench(kind, tmp_path)
    try:
        assert_filled(bench)
    finally:
        bench.journal.close()


@pytest.mark.parametrize("offered", [0, 3])
def test_numbers_are_never_used_again(lasting: Bench, offered: int) -> None:
    """After everything was trimmed and the journal reopened, the next event's number is still a new one."""
    keep(lasting.journal, "a", "b", "c")
    save(lasting.journal, offered)
    assert lasting.journal.trim([1, 2, 3], 0) == 3
    journal = lasting.reopen()
    assert lasting.recovered.last_seq == 3
    keep(journal, "d")
    assert held(journal) == [4]
