"""Creates, checks and repairs the journal's file before SQLite opens it.

Every page ends in bytes that SQLite does not use ("reserved space"). A file that has lost up to so many bytes at its
end has lost none of its content, and is padded again. https://www.sqlite.org/fileformat2.html
"""

import errno
import fcntl
import os
import struct
import time
from pathlib import Path

from eventbus.journal.sqlite.schema import APPLICATION_ID, MIGRATIONS

PAGE_SIZE = 4_096
#: Bytes at the end of each page that hold nothing; the format allows up to 255.
RESERVED = 208
_MAGIC = b"SQLite format 3\x00"
_WAL_MAGICS = (0x377F0682, 0x377F0683)
_WAL_HEADER, _FRAME_HEADER = 32, 24
#: Where SQLite's locks are in a file, and how many bytes they take (https://www.sqlite.org/src/file/src/os.h).
_LOCKS, _LOCK_BYTES = 0x4000_0000, 512
#: The mounts of Linux (proc(5)).
_MOUNTS = Path("/proc/self/mountinfo")


def prepare(path: str) -> list[str]:
    """Create the file, or repair its end; return what was dropped or repaired, as sentences.

    Raises OSError, and ValueError for a file of another kind, which is left as it is.
    """
    file = Path(path)
    if is_mounted(file, _MOUNTS):
        raise ValueError(
            "is mounted by itself, without its folder: the write-ahead log beside it would be lost with the container;"
            " mount the folder that holds it"
        )
    if not file.exists() or is_blank(file):
        return _create(file)
    check_kind(file)
    return _repair(file) + _torn_wal(Path(f"{path}-wal"))


def is_mounted(file: Path, mounts: Path) -> bool:
    """Return whether the file is a mount point: then the files beside it are on another disk."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            return False  # no Linux, or not readable
        raise
    name = "".join(f"\\{ord(char):03o}" if char in " \t\n\\" else char for char in str(file.absolute()))
    return any(line.split(" ")[4] == name for line in lines)


def is_blank(file: Path) -> bool:
    """Return whether a file is empty or all zeros: from a new volume, or after a power loss while it was created."""
    size = file.stat().st_size
    return size == 0 or (size <= PAGE_SIZE and not file.read_bytes().strip(b"\0"))


def _create(file: Path) -> list[str]:
    """Create an empty database that is marked as a journal, so that it is one whatever a power loss leaves of it.

    The lock is SQLite's own: of two processes that create the file, one is refused.
    """
    remarks: list[str] = []
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        lock(descriptor)
        if is_blank(file):
            remarks = [remark for end in ("-wal", "-journal") for remark in _set_aside(Path(f"{file}{end}"))]
            os.pwrite(descriptor, _first_page(), 0)
            os.fsync(descriptor)
            sync_folder(file)
    finally:
        os.close(descriptor)
    return remarks


def lock(descriptor: int) -> None:
    """Lock an open database as SQLite does, until it is closed. Raises BlockingIOError where a process uses it."""
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCK_BYTES, _LOCKS)


def _first_page() -> bytes:
    """Return a database of one page in WAL mode: a header, and a leaf without cells (sections 1.3 and 1.6)."""
    header = struct.pack(
        ">16sH6B12I20x2I",
        _MAGIC, PAGE_SIZE, 2, 2, RESERVED, 64, 32, 32, 1, 1, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0, 1, 3_040_000,
    )  # fmt: skip
    header = header[:68] + struct.pack(">I", APPLICATION_ID) + header[72:]
    leaf = struct.pack(">BHHHB", 13, 0, 0, PAGE_SIZE - RESERVED, 0)
    return (header + leaf).ljust(PAGE_SIZE, b"\x00")


def sync_folder(file: Path) -> None:
    """Make the names in a file's folder durable."""
    descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _set_aside(log: Path) -> list[str]:
    """Rename a log that another database has left: SQLite would read it into the new one."""
    if not log.exists() or log.stat().st_size == 0:
        return []
    aside = log.with_name(f"{log.name}.{time.time_ns()}")
    log.rename(aside)
    return [f"the log {log} was left by a journal that is not there any more; it is set aside as {aside}"]


def check_kind(file: Path) -> None:
    """Check the header before SQLite opens the file, which would change another program's. Raises ValueError."""
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


def _repair(file: Path) -> list[str]:
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
    """Return what SQLite will drop: frames of an incomplete commit."""
    if not wal.exists() or wal.stat().st_size < _WAL_HEADER:
        return []
    with wal.open("rb") as log:
        magic, _, page, _, *salts = struct.unpack(">IIIIII8x", log.read(_WAL_HEADER))
        if magic not in _WAL_MAGICS:
            return [f"the write-ahead log {wal} cannot be read, and is dropped"]
        committed = offset = _WAL_HEADER
        size = os.fstat(log.fileno()).st_size
        while offset + _FRAME_HEADER <= size:
            log.seek(offset)
            _, commit, *frame_salts = struct.unpack(">IIII8x", log.read(_FRAME_HEADER))
            if frame_salts != salts:
                break
            offset += _FRAME_HEADER + page
            if commit and offset <= size:
                committed = offset
    if offset == committed:
        return []
    dropped = min(offset, size) - committed
    return [f"the write-ahead log ends within a commit: its last {dropped} bytes are dropped, and nothing before them"]
