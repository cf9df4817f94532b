"""Makes the services' intervals endless; imported before the bus, which takes its timing when it starts."""

from dataclasses import replace

from eventbus.services import timing

#: Seconds that do not end: what the bus does at intervals waits for so long.
NEVER = 1e6

timing.DEFAULT_TIMING = replace(
    timing.DEFAULT_TIMING,
    retention_interval_seconds=NEVER,
    sample_interval_seconds=NEVER,
    expired_interval_seconds=NEVER,
    dead_events_interval_seconds=NEVER,
    schedule_wait_seconds=NEVER,
)
