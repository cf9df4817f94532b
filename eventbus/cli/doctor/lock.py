"""Who holds a journal: asked of the system, without taking any lock oneself."""

import fcntl
import struct
import sys
from pathlib import Path

#: Where in a file SQLite's locks are, and how many bytes they take (https://www.sqlite.org/src/file/src/os.h).
_LOCK_OFFSET, _LOCK_BYTES = 0x4000_0000, 512
#: ``struct flock`` of fcntl(2) with 64 bits: type, whence, start, length, process.
_LINUX = struct.Struct("@hhqqi4x")
#: Asking needs that layout.
IS_SUPPORTED = sys.platform == "linux" and struct.calcsize("P") == 8


def lock_holder(file: Path) -> int | None:
    """The process that owns the journal; None where none does. 0 is one that cannot be seen from here.

    A bus keeps an exclusive lock for as long as it runs. Raises OSError.
    """
    with file.open("rb") as journal:
        asked = _LINUX.pack(fcntl.F_RDLCK, 0, _LOCK_OFFSET, _LOCK_BYTES, 0)
        kind, _, _, _, process = _LINUX.unpack(fcntl.fcntl(journal, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else int(process)
