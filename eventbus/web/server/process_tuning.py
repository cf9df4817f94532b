"""How the interpreter shares its lock between threads, and how the C library gives memory back."""

import ctypes
import sys

#: Seconds after which the event loop hands the interpreter's lock to a thread that waits for it. The journal's thread
#: waits so at each statement and each row, and publishers wait for the thread: by Python's 5 ms several times as long.
SWITCH_SECONDS = 0.0005
#: Bytes from which a block of memory is a mapping of its own, which goes back to the system when it is freed. By itself
#: glibc raises this limit to the largest block that was freed, and large bodies leave holes between small objects then.
MAPPED_BYTES = 131_072
#: glibc's number for that parameter, https://man7.org/linux/man-pages/man3/mallopt.3.html
_M_MMAP_THRESHOLD = -3


def tune_process() -> None:
    """Set both for this process; leave the memory as it is where the C library is not glibc."""
    sys.setswitchinterval(SWITCH_SECONDS)
    set_parameter = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_parameter is not None:
        set_parameter(_M_MMAP_THRESHOLD, MAPPED_BYTES)
