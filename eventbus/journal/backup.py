"""A copy of a journal that a running bus has made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class JournalBackup:
    """A copy of a journal at one moment: an open file, which no name finds and which its owner closes.

    ``last_seq`` is the newest sequence number then: every event up to it that was not trimmed is in the copy.
    """

    file: BinaryIO
    size: int  # bytes
    last_seq: int
    counts: Mapping[str, int]  # rows by table
