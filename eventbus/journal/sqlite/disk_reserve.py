"""Room on disk that is kept back: removing settled events from a full disk takes room first."""

import errno
import os
from pathlib import Path

LEAST_BYTES = 512 * 1024
MOST_BYTES = 16 * 1024 * 1024
#: The reserve's share of the journal's limit, and of the disk's free bytes, at most.
OF_LIMIT, OF_FREE = 64, 8
#: What the system says where there is no room: on the disk, or within a quota.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def reserve_size(free: int, max_bytes: int, least: int = LEAST_BYTES) -> int:
    """Bytes to keep back on a disk with so many free ones; 0 where there is no room to keep any and publish, too."""
    size = max(least, min(MOST_BYTES, max_bytes // OF_LIMIT, free // OF_FREE))
    return size if free >= 2 * size else 0


def free_bytes(path: str | Path) -> int:
    """Bytes that can still be written to the disk of a file."""
    disk = os.statvfs(Path(path).parent)
    return disk.f_bavail * disk.f_frsize


class Reserve:
    """A file beside the journal that holds nothing but room. It is given up when the disk is full."""

    def __init__(self, real: str, max_bytes: int) -> None:
        """Keep it for a journal with this limit; without a limit none is kept."""
        self._path = Path(f"{real}-reserve")
        self._max_bytes = max_bytes
        self.held = 0  # bytes
        self.size = LEAST_BYTES  # bytes that were held last
        self.trouble = "" if max_bytes else "none is wanted"  # why there can be none, though the disk is not full

    @property
    def lacking(self) -> bool:
        """Whether there is none because the disk is full."""
        return not self.held and not self.trouble

    def find(self) -> None:
        """Take over what a process before has left."""
        if self._max_bytes and self._path.is_file():
            found = self._path.stat()
            self._hold(min(found.st_size, found.st_blocks * 512))

    def ensure(self) -> bool:
        """Take it, or a larger one, where there is room. Whether it is held."""
        if not self._max_bytes:
            return False
        try:
            least = LEAST_BYTES if self.held else self.size  # what was given up is taken back whole, not in parts
            size = reserve_size(free_bytes(self._path) + self.held, self._max_bytes, least)
            if size and size >= 2 * self.held:
                self._allocate(size)
            self.trouble = ""
        except OSError as error:
            self.trouble = "" if error.errno in NO_ROOM else str(error)
        return self.held > 0

    def give_up(self) -> bool:
        """Give the room back to the disk. Whether there was any."""
        held, self.held = self.held, 0
        if held:
            self._path.unlink(missing_ok=True)
        return held > 0

    def is_disk_full(self) -> bool:
        """Ask the system for room, since SQLite does not say why it could not write."""
        try:
            self._allocate(max(self.held, LEAST_BYTES))
        except OSError as error:
            return error.errno in NO_ROOM
        return False

    def _allocate(self, size: int) -> None:
        """Take twice the room, and give one half back: who publishes needs some, too. Raises OSError."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, 2 * size)
        except OSError:
            os.ftruncate(descriptor, self.held)
            raise
        else:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
            self._hold(size)
        finally:
            os.close(descriptor)
            if not self.held:
                self._path.unlink()

    def _hold(self, size: int) -> None:
        self.held = size if size >= LEAST_BYTES else 0
        self.size = self.held or self.size
