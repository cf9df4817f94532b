"""A reserve on the disk: removing settled events from a full disk takes some room first."""

import errno
import os
from pathlib import Path

MIN_BYTES = 512 * 1024
MAX_BYTES = 16 * 1024 * 1024
#: The reserve is at most this fraction of the journal's limit, and of the disk's free bytes: one nth.
LIMIT_FRACTION, FREE_FRACTION = 64, 8
#: Errors of the system if there is no room on the disk, or within a quota.
NO_ROOM_ERRNOS = (errno.ENOSPC, errno.EDQUOT)


def reserve_size(free: int, max_bytes: int, least: int = MIN_BYTES) -> int:
    """Return the bytes to reserve on a disk with so many free; 0 if there is no room to publish beside them."""
    size = max(least, min(MAX_BYTES, max_bytes // LIMIT_FRACTION, free // FREE_FRACTION))
    return size if free >= 2 * size else 0


def free_bytes(path: str | Path) -> int:
    """Return the bytes that can still be written to the disk of a file."""
    disk = os.statvfs(Path(path).parent)
    return disk.f_bavail * disk.f_frsize


class Reserve:
    """A file of zeros beside the journal. It is removed when the disk is full."""

    def __init__(self, real: str, max_bytes: int) -> None:
        """Reserve room for a journal with this limit; without a limit nothing is reserved."""
        self._path = Path(f"{real}-reserve")
        self._max_bytes = max_bytes
        self.held = 0  # bytes
        self.size = MIN_BYTES  # bytes that were held last
        self.reason = "" if max_bytes else "none is wanted"  # why there can be none, though the disk is not full

    @property
    def is_missing(self) -> bool:
        """Whether there is no reserve because the disk is full."""
        return not self.held and not self.reason

    def find(self) -> None:
        """Take over the file that a former process has left."""
        if self._max_bytes and self._path.is_file():
            found = self._path.stat()
            self._hold(min(found.st_size, found.st_blocks * 512))

    def ensure(self) -> bool:
        """Reserve room, or more of it, if there is some; return whether it is reserved."""
        if not self._max_bytes:
            return False
        try:
            least = MIN_BYTES if self.held else self.size  # a reserve that was given up comes back at its full size
            size = reserve_size(free_bytes(self._path) + self.held, self._max_bytes, least)
            if size and size >= 2 * self.held:
                self._allocate(size)
            self.reason = ""
        except OSError as error:
            self.reason = "" if error.errno in NO_ROOM_ERRNOS else str(error)
        return self.held > 0

    def give_up(self) -> bool:
        """Give the room back to the disk; return whether there was any."""
        held, self.held = self.held, 0
        if held:
            self._path.unlink(missing_ok=True)
        return held > 0

    def is_disk_full(self) -> bool:
        """Return whether the system refuses more room: SQLite does not say why it could not write."""
        try:
            self._allocate(max(self.held, MIN_BYTES))
        except OSError as error:
            return error.errno in NO_ROOM_ERRNOS
        return False

    def _allocate(self, size: int) -> None:
        """Allocate twice the room, and give one half back: publishes need some, too. Raises OSError."""
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
        self.held = size if size >= MIN_BYTES else 0
        self.size = self.held or self.size
