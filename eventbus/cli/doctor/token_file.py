"""Check the file of named tokens of this environment: what is wrong in it, who may read it, and what has expired."""

import stat
import time
from pathlib import Path

from eventbus.cli.doctor.findings import Finding, ok, warning, wrong
from eventbus.cli.screen import pluralize

_ABOUT = "tokens"
#: Faults and tokens that are named, at most.
MAX_NAMED = 5
#: Seconds before its end in which a token is warned of.
SOON_SECONDS = 7 * 86_400
_STAYS = "Until it is right, a running bus keeps to what it said before, and none starts."


def diagnose(path: str) -> list[Finding]:
    """Return the findings about a file, for a bus that starts here."""
    from eventbus.core.token_file import parse_token_file  # noqa: PLC0415 - the server's, and only here

    try:
        mode, content = Path(path).stat().st_mode, Path(path).read_bytes()
    except OSError as error:
        return [wrong(_ABOUT, f"EVENTBUS_TOKENS_FILE names {path!r}, which cannot be read: {error.strerror}.", _STAYS)]
    found = parse_token_file(content)
    if found.faults:
        return [wrong(_ABOUT, f"{fault.at(path).rstrip('.')}.", _STAYS) for fault in found.faults[:MAX_NAMED]]
    findings = [ok(_ABOUT, f"{path} has {pluralize(len(found.tokens), 'token')}.")]
    if mode & stat.S_IWOTH:
        text = f"Every user of this machine may write {path}, and so permit everything."
        findings.append(warning(_ABOUT, text, f"chmod o-w {path}"))
    ends = [(each.expires - time.time(), each.access.name) for each in found.tokens if each.expires is not None]
    for left, name in sorted(ends)[:MAX_NAMED]:
        if left <= SOON_SECONDS:
            text = f"A token of {name} {'has expired' if left <= 0 else f'expires in {left / 86_400:.1f} days'}."
            findings.append(warning(_ABOUT, text, f"'eventbus token new {name}' makes another; remove this one then."))
    return findings
