"""How long a publish may wait until its event is settled."""

#: Seconds.
MIN_SETTLE_SECONDS, MAX_SETTLE_SECONDS = 0.1, 60.0
