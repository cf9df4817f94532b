"""The newest attempts are kept in rings that do not grow, and found by subscription, address and event."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.event_ids import new_event_id, packed_id, unpacked_id
from eventbus.telemetry.attempt_ring import CAPACITY, MAX_ANSWER_BYTES, SIZE, TEXT_BYTES, Attempt, AttemptRing

IDS = [new_event_id() for _ in range(3)]


class Ring(AttemptRing):
    """A small ring, and shorter ways to it."""

    def __init__(self, capacity: int = 8, max_names: int = 4, text_bytes: int = 4_096) -> None:
        super().__init__(capacity, max_names, text_bytes)
        self.gave_way = self.overwritten = 0
        self.named: dict[tuple[str, str], int] = {}

    def add(self, event_id: str, whose: str = "a", target: str | None = None, error: str = "") -> None:
        """Note an attempt; one with an error failed."""
        number = self.count + 1
        texts = self.keep(error, error.upper().encode()) if error else 0
        named = whose, target or whose
        if self.named.get(named, 0) <= self.forgotten:
            self.named[named] = self.name(*named)
        if 2 * len(self.fresh) >= self._capacity:
            self.write()  # a ring that is smaller than a block
        self.note(event_id, self.named[named], number, 1_000.0 + number, 0.5, 503 if error else 200, 1, texts)

    def find(self, before: int | None = None, **chosen: Any) -> list[Attempt]:
        """Return attempts, the newest first."""
        return list(self.newest(before, self.give_way, **chosen))

    def give_way(self) -> None:
        """Count, and note as many attempts as the test says."""
        self.gave_way += 1
        for _ in range(self.overwritten):
            self.add(IDS[1])


def test_an_attempt_is_kept_with_all_that_is_known_of_it() -> None:
    """Of one that failed also the error, and the beginning of the answer."""
    ring = Ring()
    ring.add(IDS[0], "group", "member", "busy")
    assert ring.find() == [Attempt(1, IDS[0], "group", "member", 1, 1_001.0, 0.5, 503, 1, "busy", b"BUSY")]
    ring.note(IDS[1], ring.name("a", "a"), 2, 5.0, 0.25, 0, 3)
    assert ring.find()[0] == Attempt(2, IDS[1], "a", "a", 2, 5.0, 0.25, None, 3, "", b"")


def test_the_newest_are_kept_and_come_first() -> None:
    """What is older is overwritten; a page goes on before the last number of the former one."""
    ring = Ring(capacity=8)
    for number in range(20):
        ring.add(IDS[number % 3])
    assert [each.number for each in ring.find()] == list(range(20, 12, -1))
    assert [each.number for each in ring.find(before=16)] == [15, 14, 13]
    assert ring.find(before=13) == ring.find(before=1) == []


def test_attempts_are_found_by_subscription_and_by_address() -> None:
    """A member's are its group's, too; of a name that is not known there are none."""
    ring = Ring()
    ring.add(IDS[0], "a")
    ring.add(IDS[0], "group", "m1")
    ring.add(IDS[0], "group", "m2")
    assert [each.number for each in ring.find(subscription="group")] == [3, 2]
    assert [each.number for each in ring.find(target="m1")] == [2]
    assert [each.number for each in ring.find(subscription="group", target="m2")] == [3]
    assert ring.find(target="unknown") == ring.find(subscription="m1") == []


def test_attempts_are_found_by_event() -> None:
    """The oldest first, also after the ring has begun again, and for an id that is no UUID."""
    ring = Ring(capacity=5)
    for number in range(9):
        ring.add(IDS[number % 3])
    assert [each.number for each in ring.of_event(IDS[0], ring.give_way)] == [7]
    assert [each.number for each in ring.of_event(IDS[1], ring.give_way)] == [5, 8]
    ring.add("id-1")
    assert [(each.number, each.event_id) for each in ring.of_event("id-1", ring.give_way)] == [(10, "id-1")]
    assert ring.of_event(new_event_id(), ring.give_way) == []


def test_bytes_that_look_like_an_id_by_chance_are_no_attempt() -> None:
    """An id that is found across two records, or where the ring is still empty, stands for none."""
    ring = Ring()
    ring.add(IDS[0])
    assert ring.of_event("", ring.give_way) == []


def test_a_name_that_gave_its_place_to_others_is_forgotten() -> None:
    """Its attempts are not listed under another one's name; with its next attempt it is there again."""
    ring = Ring(max_names=2)
    for name in ("a", "b", "c"):
        ring.add(IDS[0], name)
    assert [each.subscription for each in ring.find()] == ["c", "b"]
    ring.add(IDS[0], "a")
    assert [each.subscription for each in ring.find()] == ["a", "c"]


@given(st.lists(st.text(max_size=400), max_size=60))
def test_texts_are_whole_or_gone(errors: list[str]) -> None:
    """However long they are: those of the newest attempt are there, and none is another one's, or a part of one."""
    ring = Ring(capacity=64)
    said = [error for error in errors if error]
    for error in said:
        ring.add(IDS[0], error=error)
    found = ring.find()
    for attempt in found:
        error = said[attempt.number - 1]
        kept = error.encode(errors="replace")[:300].decode(errors="replace")
        assert (attempt.error, attempt.answer) in [
            (kept, error.upper().encode()[:MAX_ANSWER_BYTES]), ("", b""),
        ]  # fmt: skip
    assert not found or found[0].error


def test_a_long_search_gives_way() -> None:
    """Between parts, and what is overwritten meanwhile is left out."""
    ring = Ring(capacity=2_000)  # more than what is not packed yet
    for _ in range(2_000):
        ring.add(IDS[0])
    assert len(ring.find()) == 2_000
    assert ring.gave_way == 4
    ring.overwritten = 1_600
    assert [each.event_id for each in ring.find()] == [IDS[0]] * 400


def test_memory_is_bounded() -> None:
    """100,000 records and the texts take less than 10 MiB, whatever is noted."""
    assert CAPACITY * SIZE + TEXT_BYTES < 10 * 1_048_576


def test_ids_are_packed_and_unpacked() -> None:
    """Those of the bus; others are not."""
    packed = packed_id(IDS[0])
    assert packed is not None
    assert unpacked_id(packed) == IDS[0]
    assert packed_id("id-1") is packed_id(IDS[0].upper()) is None
