"""The journal's file before SQLite opens it: made so that a torn end loses nothing, and mended where it was torn.

Every page ends in bytes that SQLite leaves alone ("reserved space"). A file that has lost up to so many bytes
at its end has lost none of its content: it is padded. https://www.sqlite.org/fileformat2.html
"""

import os
import struct
from pathlib import Path

from eventbus.journal.sqlite.schema import APPLICATION_ID, MIGRATIONS

PAGE_SIZE = 4_096
#: Bytes at the end of each page that hold nothing; the format allows up to 255.
RESERVED = 208
_MAGIC = b"SQLite format 3\x00"
_WAL_MAGICS = (0x377F0682, 0x377F0683)
_WAL_HEADER, _FRAME_HEADER = 32, 24


def prepare(path: str) -> list[str]:
    """Create the file, or mend its end; answers what was dropped or mended, as sentences.

    Raises OSError, and ValueError for a file of another kind, which is left as it is.
    """
    file = Path(path)
    if not file.exists() or file.stat().st_size == 0:
        _create(file)
        return []
    _check_kind(file)
    return _mend(file) + _torn_wal(Path(f"{path}-wal"))


def _create(file: Path) -> None:
    """Write an empty database of one page: a header, and a leaf without cells (sections 1.3 and 1.6)."""
    header = struct.pack(
        ">16sH6B12I20x2I",
        _MAGIC, PAGE_SIZE, 1, 1, RESERVED, 64, 32, 32, 1, 1, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0, 1, 3_040_000,
    )  # fmt: skip
    leaf = struct.pack(">BHHHB", 13, 0, 0, PAGE_SIZE - RESERVED, 0)
    partial = Path(f"{file}.{os.getpid()}.new")
    with partial.open("wb") as new:
        new.write((header + leaf).ljust(PAGE_SIZE, b"\x00"))
        new.flush()
        os.fsync(new.fileno())
    try:
        os.link(partial, file)  # never over a file that another process has made meanwhile
    except FileExistsError:
        if file.stat().st_size == 0:
            partial.replace(file)
    partial.unlink(missing_ok=True)


def _check_kind(file: Path) -> None:
    """Look at the header before SQLite does, which would change that of another program's database."""
    with file.open("rb") as database:
        head = database.read(105)
        one_page = os.fstat(database.fileno()).st_size <= int.from_bytes(head[16:18], "big")
    blank = one_page and head[103:105] == b"\0\0"  # no table in it (section 1.6)
    version = int.from_bytes(head[60:64], "big")
    if head[:16] != _MAGIC:
        raise ValueError("is no SQLite database")
    if int.from_bytes(head[68:72], "big") != APPLICATION_ID and not blank:
        raise ValueError("is a database, but no journal of an event bus")
    if version > len(MIGRATIONS):
        raise ValueError(f"was written by a newer version of eventbus (schema {version}, known {len(MIGRATIONS)})")


def _mend(file: Path) -> list[str]:
    """Pad a last page that was cut within its reserved bytes."""
    with file.open("r+b") as database:
        head = database.read(21)
        page, reserved = int.from_bytes(head[16:18], "big"), head[20]
        size = os.fstat(database.fileno()).st_size
        missing = -size % page if page else 0
        if not 0 < missing <= reserved:
            return []
        database.truncate(size + missing)
        os.fsync(database.fileno())
    return [f"the journal {file} had lost {missing} bytes at its end; they held nothing, and no event is lost"]


def _torn_wal(wal: Path) -> list[str]:
    """Say what SQLite will drop: frames of a commit that did not reach its end."""
    if not wal.exists() or wal.stat().st_size < _WAL_HEADER:
        return []
    with wal.open("rb") as log:
        magic, _, page, _, *salts = struct.unpack(">IIIIII8x", log.read(_WAL_HEADER))
        if magic not in _WAL_MAGICS:
            return [f"the write-ahead log {wal} cannot be read, and is dropped"]
        committed = place = _WAL_HEADER
        size = os.fstat(log.fileno()).st_size
        while place + _FRAME_HEADER <= size:
            log.seek(place)
            _, commit, *frame_salts = struct.unpack(">IIII8x", log.read(_FRAME_HEADER))
            if frame_salts != salts:
                break
            place += _FRAME_HEADER + page
            if commit and place <= size:
                committed = place
    if place == committed:
        return []
    dropped = min(place, size) - committed
    return [f"the write-ahead log ends within a commit: its last {dropped} bytes are dropped, and nothing before them"]
