"""A wall clock that a test may step while the monotonic one runs on: libfaketime, as Debian packages it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

#: What gunicorn is configured with under that library.
CONFIGURATION = "tests/support/faketime_gunicorn.py"
#: Where distributions put the library; the directory of a multi-arch triplet is any.
_PATHS = ("usr/lib/*/faketime", "usr/lib/faketime", "usr/lib64/faketime", "usr/local/lib/faketime")


def find_library() -> Path | None:
    """The library for programs with threads."""
    return next(_found(), None)


def _found() -> Iterator[Path]:
    for path in _PATHS:
        yield from Path("/").glob(f"{path}/libfaketimeMT.so.1")


class SteppedClock:
    """The wall clock of the processes that are started with ``environment``."""

    def __init__(self, library: Path, folder: Path) -> None:
        self._library = library
        self._file = folder / "clock"
        self.step(0)

    @property
    def environment(self) -> Mapping[str, str]:
        """What such a process is started with."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def step(self, seconds: int) -> None:
        """Set the clock so many seconds from the true time."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.rename(self._file)
