"""When events expire: what a publisher may ask for, and what is kept of it with the event. Pure.

An event that expires has the CloudEvents attribute ``expirytime`` among its kept headers: there it is stored, copied
and sent on. https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/expirytime.md
"""

import math
import re

from eventbus.core.clock import rfc3339_ms, seconds_of
from eventbus.core.errors import BadRequest
from eventbus.core.event_attributes import EXPIRY_ATTRIBUTE
from eventbus.core.headers import is_dead_event
from eventbus.core.option_kinds import QUOTED_CHARACTERS, JsonSchema

#: The header of the attribute, with which the kept head of an event begins that expires. Most heads begin with a
#: capital, so that they are less: one comparison, the cheapest there is, says that an event does not expire.
EXPIRY_HEADER = b"ce-expirytime: "
#: Why a delivery is dead whose event expired before its attempt. That of an ended lease is another one.
EXPIRED = "expired"
#: Seconds after which an event may expire: the least, and the most.
MIN_SECONDS, MAX_SECONDS = 0.1, 366 * 86_400
#: What ``expires`` may be, for error messages and for people.
ALLOWED_SECONDS = f"a number of seconds from {MIN_SECONDS:g} to {MAX_SECONDS} (366 days)"
SECONDS_SCHEMA: JsonSchema = {"type": "number", "minimum": MIN_SECONDS, "maximum": MAX_SECONDS}
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,30})?\Z")
_LINE = re.compile(rb"(?:\A|(?<=\n))ce-expirytime: [^\r\n]*\r\n")


def parse_expires(text: str) -> float:
    """Return the seconds that ``expires`` says. Raises BadRequest."""
    seconds = float(text) if _DECIMAL.match(text) else 0.0
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise BadRequest(f"expires must be {ALLOWED_SECONDS}, not {text[:QUOTED_CHARACTERS]!r}.")
    return seconds


def check_expirytime(text: str, what: str) -> str:
    """Return ``text`` if it is an RFC 3339 time; ``what`` has it as its expirytime. Raises BadRequest."""
    if " " in text or seconds_of(text) is None:
        raise BadRequest(f"{what} has an {EXPIRY_ATTRIBUTE} that is not RFC 3339: {text[:QUOTED_CHARACTERS]!r}.")
    return text


def with_expiry(head: bytes, own: str | None, seconds: float | None, since: float) -> bytes:
    """Return a kept head with the time at which its event expires; as it is, where it does not.

    That is the event's ``own`` time, else so many ``seconds`` after ``since``, in seconds since 1970: when the event is
    accepted, or due.
    """
    if own is None and seconds is not None:
        own = rfc3339_ms(since + seconds)
    if own is None:
        return head
    return b"%s%s\r\n%s" % (EXPIRY_HEADER, own.encode("ascii"), _LINE.sub(b"", head))


def expires_at(head: bytes) -> float:
    """Return when the event with this head expires, in seconds since 1970; inf for one that does not.

    What was published for a dead letter does not: it may have expired before.
    """
    text = expirytime_in(head)
    found = None if text is None else seconds_of(text)
    return math.inf if found is None or is_dead_event(head) else found


def displayed_expiry(head: bytes) -> str | None:
    """Return when the event with this head expires (RFC 3339), as its publisher wrote it; None if it does not."""
    return None if expires_at(head) == math.inf else expirytime_in(head)


def expirytime_in(head: bytes) -> str | None:
    """Return the event's expirytime as it is kept, RFC 3339 where the bus has checked it; None without one."""
    if not head.startswith(EXPIRY_HEADER):
        return None
    return head[len(EXPIRY_HEADER) :].partition(b"\r\n")[0].decode("latin-1")
