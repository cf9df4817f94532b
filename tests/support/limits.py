"""What the shared bus of the process tests is set to."""

#: Bytes in its largest event: small, so that a test of the limit is fast.
MAX_BODY_BYTES = 65_536
