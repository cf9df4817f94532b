"""What one lane may hold in memory, and what is read for it at once. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """Bounds for each lane; whatever is beyond them stays in the journal."""

    buffered_events: int = 1_024  # sequence numbers of one range
    low_water: int = 128  # with fewer sequence numbers than this the next page is read
    retries: int = 1_000
    order_keys: int = 5_000  # that are busy, in a lane that is ordered by key; with more it looks at no further events
    waiting_events: int = 1_024  # that wait for an earlier one with the same key that has not failed
    ready_events: int = 128  # of such a lane that may be attempted at once
    key_rows: int = 100  # rows of one key that are read at once
    unsaved_changes: int = 2_000  # retries and dead letters; a lane with more starts no attempt until they are saved
    page_events: int = 256  # events of one page
    page_bytes: int = 262_144  # bytes of one page
    probe_events: int = 64  # events read for a lane that is held back: one is sent, and the rest dropped if that fails
    retry_rows: int = 3_000  # rows read at once: enough to find some that are neither in memory nor in flight
    recovery_page_events: int = 2_000  # events that are offered again in one step, for all lanes that are read back
    unsaved_rows: int = 50_000  # rows that could not be saved, past which nothing more is read until they are


DEFAULT_LIMITS = LaneLimits()
