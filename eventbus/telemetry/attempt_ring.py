"""The newest attempts of this process, in memory that does not grow: rings of records, of names, and of texts.

Records are packed into one ``bytearray``, so that noting an attempt makes no object that stays. What is overwritten is
forgotten: of an attempt whose texts are, only the texts; one whose name is, is not listed any more.
"""

import struct
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

from eventbus.core.event_ids import packed_id, unpacked_id
from eventbus.telemetry.text_ring import NO_TEXT, TextRing

#: Attempts that are kept; names of subscriptions and members; bytes of texts.
CAPACITY, MAX_NAMES, TEXT_BYTES = 100_000, 20_000, 4 * 1_048_576
#: Bytes of an error, and of a failing answer, that are kept.
MAX_ERROR_BYTES, MAX_ANSWER_BYTES = 300, 256
#: Attempts that are packed together: to pack each by itself takes twice as long.
BLOCK = 64
#: Event id, began, seconds, name, number of the attempt, status, outcome, position of the texts.
_FIELDS = "16sdfIIHBQ"
Record = tuple[bytes, float, float, int, int, int, int, int]
_RECORD = struct.Struct("<" + _FIELDS)
SIZE = _RECORD.size
_UNPACK = _RECORD.unpack_from
#: How the 16 bytes of an id begin that is no UUID (in journals of early versions): as no UUID of version 7 does.
_TEXT_MARK = b"\xff"
_ID_BYTES = 16
#: Records, and bytes, that are looked at before other work may run.
_LOOKS, _SEARCHED_BYTES = 500, 1_048_576


class Attempt(NamedTuple):
    """One attempt: one HTTP request for one event and one subscription. Times are seconds since 1970."""

    number: int  # rises with each attempt of this process that ends, from 1
    event_id: str
    subscription: str  # its key
    target: str  # the key of the address that it went to: the subscription's own, or a member's of the group
    attempt: int  # which one of the delivery it was, from 1
    began: float
    seconds: float  # that it took
    status: int | None  # None without a response
    outcome: int  # as it was noted; 0 by default
    error: str
    answer: bytes  # the beginning of a failing response

    @property
    def ended(self) -> float:
        """When it ended."""
        return self.began + self.seconds


class AttemptRing:
    """Keeps the newest attempts, and finds some of them. ``capacity`` is BLOCK at least."""

    def __init__(self, capacity: int = CAPACITY, max_names: int = MAX_NAMES, text_bytes: int = TEXT_BYTES) -> None:
        self.fresh: list[Record] = []  #: the newest, up to BLOCK of them, which ``write`` is still to pack
        self.packed_ids: dict[str, bytes] = {}  #: of their events
        self.forgotten = 0  #: numbers of names up to this one mean nothing any more
        self._capacity = capacity
        self._records = bytearray(capacity * SIZE)
        self._at = 0  # where the next record goes
        self._names = [("", "")] * max_names  # by number: a subscription, and the address that attempts go to
        self._last_name = 0
        self._texts = TextRing(text_bytes)
        self._written = 0

    def name(self, subscription: str, target: str) -> int:
        """Return a number for a subscription and the address that its attempts go to, for ``note``; it is over 0.

        The oldest of these names is forgotten for the new one.
        """
        self._last_name += 1
        self._names[self._last_name % len(self._names)] = subscription, target
        self.forgotten = max(0, self._last_name - len(self._names))
        return self._last_name

    def note(  # noqa: PLR0913, PLR0917 - they are the fields of a record
        self,
        event_id: str,
        name: int,
        attempt: int,
        began: float,
        seconds: float,
        status: int,
        outcome: int = 0,
        texts: int = NO_TEXT,
    ) -> None:
        """Note an attempt that has ended; ``status`` is 0 without a response, and ``texts`` what ``keep`` returned.

        The path of a delivery does the same without this call, which would cost more than the rest.
        """
        packed = self.packed_ids.get(event_id) or self.pack_id(event_id)
        self.fresh.append((packed, began, seconds, name, attempt, status, outcome, texts))
        if len(self.fresh) >= BLOCK:
            self.write()

    def pack_id(self, event_id: str) -> bytes:
        """Return an event's id in 16 bytes, and keep it for the next attempts with the same event."""
        packed = self.packed_ids[event_id] = _packed(event_id)
        return packed

    def write(self) -> None:
        """Write the records that are still objects."""
        block = self.fresh[:]
        self.fresh.clear()
        self.packed_ids.clear()
        room = (len(self._records) - self._at) // SIZE
        for part in (block[:room], block[room:]):
            _block(len(part)).pack_into(self._records, self._at, *chain.from_iterable(part))
            self._at = (self._at + len(part) * SIZE) % len(self._records)
        self._written += len(block)

    @property
    def count(self) -> int:
        """How many attempts have ended in this process."""
        return self._written + len(self.fresh)

    def keep(self, error: str, answer: bytes) -> int:
        """Keep what is said of a failed attempt; return its position, for ``note``."""
        return self._texts.keep(error.encode(errors="replace")[:MAX_ERROR_BYTES], answer[:MAX_ANSWER_BYTES])

    def newest(
        self,
        before: int | None,
        give_way: Callable[[], None],
        subscription: str | None = None,
        target: str | None = None,
    ) -> Iterator[Attempt]:
        """Yield the attempts before a number, the newest first: all, or those of a subscription, or at an address.

        ``give_way`` is called in between; what is overwritten meanwhile is left out.
        """
        self.write()
        names = None
        if subscription is not None or target is not None:
            names = {number for number in self._known_names() if self._is_named(number, subscription, target)}
        number = self._written if before is None else min(before - 1, self._written)
        while number > max(0, self._written - self._capacity):
            if number % _LOOKS == 0:
                give_way()
                if number <= self._written - self._capacity:
                    return
            fields = _UNPACK(self._records, (number - 1) % self._capacity * SIZE)
            if names is None or fields[3] in names:
                found = self._attempt(number, fields)
                if found is not None:
                    yield found
            number -= 1

    def of_event(self, event_id: str, give_way: Callable[[], None]) -> list[Attempt]:
        """Return the attempts for one event, the oldest first."""
        self.write()
        packed = _packed(event_id)
        found: list[Attempt] = []
        start = 0
        while start < len(self._records):
            end = start + _SEARCHED_BYTES
            found += self._in_part(packed, start, end)
            start = end
            give_way()
        return sorted(found)

    def _in_part(self, packed: bytes, start: int, end: int) -> Iterator[Attempt]:
        at = start - 1
        while (at := self._records.find(packed, at + 1, end + _ID_BYTES - 1)) >= 0:
            slot, within = divmod(at, SIZE)
            number = self._written - (self._written - 1 - slot) % self._capacity
            if within or number <= 0:
                continue
            if (attempt := self._attempt(number, _UNPACK(self._records, at))) is not None:
                yield attempt

    def _attempt(self, number: int, fields: tuple[Any, ...]) -> Attempt | None:
        """Return an attempt of its record; None where the subscription's name is forgotten."""
        packed, began, seconds, name, attempt, status, outcome, texts = fields
        if name <= self.forgotten:
            return None
        subscription, target = self._names[name % len(self._names)]
        error, answer = self._texts.read(texts)
        return Attempt(
            number,
            _unpacked(packed),
            subscription,
            target,
            attempt,
            began,
            seconds,
            status or None,
            outcome,
            error,
            answer,
        )

    def _known_names(self) -> range:
        return range(self.forgotten + 1, self._last_name + 1)

    def _is_named(self, number: int, subscription: str | None, target: str | None) -> bool:
        whose, which = self._names[number % len(self._names)]
        return subscription in (None, whose) and target in (None, which)


@cache
def _block(count: int) -> struct.Struct:
    """Return the layout of so many records."""
    return struct.Struct("<" + _FIELDS * count)


def _packed(event_id: str) -> bytes:
    """Return an id's 16 bytes: those of a UUID, else a mark and the beginning of the text."""
    text = _TEXT_MARK + event_id.encode(errors="replace")
    return packed_id(event_id) or text[:_ID_BYTES].ljust(_ID_BYTES, b"\0")


def _unpacked(packed: bytes) -> str:
    if packed[:1] == _TEXT_MARK:
        return packed[1:].rstrip(b"\0").decode(errors="replace")
    return unpacked_id(packed)
