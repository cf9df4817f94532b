"""What hostile subscribers do to the bus, each under its name, and what that means by the protocol's table."""

import gzip
import random
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from tests.support.hostile import Behaviour, answer, drip, hang, pour, reset_after, say

HEAD = b"HTTP/1.1 200 OK\r\n"
LONG = HEAD + b"Content-Length: 1000000\r\n\r\n"
UNTOLD = HEAD + b"\r\n"  # its length is not told
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SOME = b"x" * 10_000
#: Bytes that the bomb unpacks to.
BOMB_BYTES = 32 * 1_048_576


class Meaning(Enum):
    """What becomes of an event whose subscriber does this."""

    DELIVERED = "delivered"
    REJECTED = "a dead letter at once"
    RETRY = "this event again, on its schedule"
    LATER = "the whole subscriber waits"
    DOWN = "the subscriber is down: it backs off"

    def status(self, events: int) -> dict[str, Any]:
        """How the subscriber is doing after so many events, as ``GET /listSubscribers`` tells it."""
        delivered = events if self is Meaning.DELIVERED else 0
        dead = events if self is Meaning.REJECTED else 0
        state = {Meaning.DOWN: "down", Meaning.LATER: "paused", Meaning.RETRY: "failing"}.get(self, "ok")
        pending = events - delivered - dead
        return {"state": state, "delivered": delivered, "dead": dead, "pending": pending}


@dataclass(frozen=True, slots=True)
class HostileBehaviour:
    """What a subscriber does with each request; ``error`` is a part of what the bus says of it."""

    behave: Behaviour
    meaning: Meaning = Meaning.DOWN
    error: str = ""
    sound: bool = False  # it answers, and leaves the connection to the next request
    patient: bool = False  # nothing but the timeout ends it
    at_accept: bool = False  # it reads no request


def _hanging(behave: Behaviour) -> HostileBehaviour:
    return HostileBehaviour(behave, error="timed out", patient=True)


def _reset(start: bytes = b"", *, at_accept: bool = False) -> HostileBehaviour:
    return HostileBehaviour(reset_after(start), error="connection failed", at_accept=at_accept)


def _too_long(behave: Behaviour) -> HostileBehaviour:
    return HostileBehaviour(behave, error="head of more than")


def _no_http(data: bytes) -> HostileBehaviour:
    return HostileBehaviour(say(data), error="not an HTTP response")


def _taken(behave: Behaviour, *, sound: bool = False) -> HostileBehaviour:
    return HostileBehaviour(behave, Meaning.DELIVERED, sound=sound)


def _redirect(location: str, status: int = 302) -> HostileBehaviour:
    return HostileBehaviour(
        say(answer(status, ("Location", location))), Meaning.REJECTED, error=f"answered {status}", sound=True
    )


def _busy(status: int, retry_after: str, meaning: Meaning) -> HostileBehaviour:
    response = answer(status, ("Retry-After", retry_after))
    return HostileBehaviour(say(response), meaning, error=f"answered {status}", sound=True)


def _redirect_with(body: Behaviour) -> HostileBehaviour:
    return HostileBehaviour(body, Meaning.REJECTED, error="answered 302")


def bomb() -> bytes:
    """A body that is small, and large once it is unpacked."""
    return gzip.compress(bytes(BOMB_BYTES), mtime=0)


HANGING = {
    "hangs": _hanging(hang),
    "hangs in the head": _hanging(say(HEAD + b"Content-")),
    "drips the head": _hanging(drip(b"", HEAD + b"X: " + b"x" * 500)),
}
NO_ANSWER = {
    "resets at accept": _reset(at_accept=True),
    "resets after the request": _reset(),
    "resets in the head": _reset(HEAD + b"Content-"),
    "resets in the body": _reset(LONG + b"hello"),
    "continues forever": HostileBehaviour(pour(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), error="more than"),
    "hints forever": HostileBehaviour(pour(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), error="more than"),
    "a million headers": _too_long(say(HEAD + b"A: b\r\n" * 1_000_000 + b"\r\n")),
    "a header of a megabyte": _too_long(say(HEAD + b"X: " + b"x" * 1_000_000 + b"\r\n\r\n")),
    "headers forever": HostileBehaviour(
        pour(HEAD, b"X-Y: " + b"z" * 90 + b"\r\n"), error="more than"
    ),  # bytes or records
    "a flood of cookies": _too_long(say(HEAD + b"Set-Cookie: a=b; Path=/\r\n" * 100_000 + b"\r\n")),
    "garbage": _no_http(random.Random(1).randbytes(5_000)),  # noqa: S311 - any bytes
    "zeros": _no_http(b"\x00" * 5_000),
    "another protocol": _no_http(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a likeness of HTTP": _no_http(b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
}
DELIVERED = {
    "hangs in the body": _taken(say(LONG + b"hello")),
    "drips the body": _taken(drip(LONG, b"x" * 500)),
    "drips a body without a length": _taken(drip(UNTOLD, b"x" * 500)),
    "a body forever": _taken(pour(UNTOLD, SOME)),
    "a body of a terabyte": _taken(pour(HEAD + b"Content-Length: 1000000000000\r\n\r\n", SOME)),
    "chunks forever": _taken(pour(CHUNKED, b"%x\r\n%s\r\n" % (len(SOME), SOME))),
    "two answers at once": _taken(say(answer(200) + answer(400))),
    "another answer later": _taken(say(answer(200), answer(400), pause=0.05)),
    "a bomb": _taken(say(answer(200, ("Content-Encoding", "gzip"), body=bomb())), sound=True),
    "cookies": _taken(
        say(answer(200, *[("Set-Cookie", f"c{n}=x; Path=/; Max-Age=9999") for n in range(500)])), sound=True
    ),
}
REJECTED = {
    "a redirect to itself": _redirect("/event"),
    "a redirect to itself that keeps the method": _redirect("/event", 307),
    "a redirect to the metadata service": _redirect("http://169.254.169.254/"),
    "a redirect to half an address": _redirect("http://[::1"),
    "a redirect's body forever": _redirect_with(pour(b"HTTP/1.1 302 Go\r\nLocation: /event\r\n\r\n", SOME)),
    "a bomb with a redirect": replace(
        _redirect("/"), behave=say(answer(302, ("Location", "/"), ("Content-Encoding", "gzip"), body=bomb()))
    ),
}
#: What ``Retry-After`` may say that is obeyed, though for an hour at most, and what says nothing sensible.
OBEYED = {"10^18 seconds": "1" + "0" * 18, "in 9999": "Fri, 31 Dec 9999 23:59:59 GMT"}
NONSENSE = {"1e18": "1e18", "-1": "-1", "NaN": "NaN", "in 1970": "Thu, 01 Jan 1970 00:00:01 GMT", "nothing": ""}
BUSY = {
    f"{status}, later: {name}": _busy(status, value, meaning)
    for meaning, said in ((Meaning.LATER, OBEYED), (Meaning.RETRY, NONSENSE))
    for name, value in said.items()
    for status in (429, 503)
}
ALL = HANGING | NO_ANSWER | DELIVERED | REJECTED | BUSY
