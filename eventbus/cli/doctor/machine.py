"""What this machine allows a bus that starts here."""

import resource

from eventbus.cli.doctor.findings import Finding, warning, well

#: Files that a busy bus has open: its clients' connections, its deliveries, and some.
FILES = 8_192


def files() -> Finding:
    """How many files a process may open."""
    return judged(resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def judged(hard: int) -> Finding:
    """The hard limit counts: the bus raises its own soft one to it."""
    if hard == resource.RLIM_INFINITY or hard >= FILES:
        most = "as many files as it likes" if hard == resource.RLIM_INFINITY else f"{hard:,} files"
        return well("files", f"A bus that starts here may open {most}.")
    text = f"A bus that starts here may open only {hard:,} files; each connection takes one."
    return warning("files", text, f"Raise the hard limit to {FILES:,} or more: LimitNOFILE= of systemd, or ulimits.")
