"""Make one call to the bus, retry it where that may help and can do no harm, and parse its response."""

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from eventbus import __version__
from eventbus.client.errors import BY_STATUS, ApiError, ProtocolError, Unavailable, Unreachable
from eventbus.client.http import Request, Response, Stream, Transport
from eventbus.core.backoff import full_jitter

#: Seconds of a ``Retry-After`` that are heeded, at most.
MAX_RETRY_AFTER_SECONDS = 3_600.0
#: Entries of a list that are requested at once.
PAGE_LIMIT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """When a call is retried: after up to ``first`` seconds, doubled up to ``longest``, until ``max_elapsed``."""

    first: float = 0.1
    longest: float = 5.0
    max_elapsed: float = 60.0  # seconds since the first try

    def wait(self, tries: int, rng: float, retry_after: float | None = None) -> float:
        """Return the seconds to wait after so many tries.

        ``rng`` is from 0 to 1; ``retry_after`` is what the bus asked for, in seconds.
        """
        return (retry_after or 0.0) + full_jitter(tries, rng, self.first, self.longest)


#: One try only.
NO_RETRY = Backoff(max_elapsed=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to make. ``repeatable`` says that it may reach the bus twice and mean the same as once."""

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # some are secret
    body: bytes | None = None
    repeatable: bool = True
    waits: float = 0.0  # seconds for which the bus may keep its answer, beyond the timeout

    @property
    def target(self) -> str:
        """Return the path and the query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


class Caller:
    """Makes calls through a transport, authorized by ``token``."""

    def __init__(self, transport: Transport, token: str | None, timeout: float, backoff: Backoff) -> None:
        self._transport = transport
        self._token = token
        self._timeout = timeout
        self.backoff = backoff

    def json(self, call: Call) -> Any:
        """Make a call, and return the JSON of its response. Raises BusError."""
        return self.head_and_json(call)[1]

    def head_and_json(self, call: Call) -> tuple[Mapping[str, str], Any]:
        """Make a call, and return the headers and the JSON of its response. Raises BusError."""
        response = self._with_retries(call)
        try:
            return response.headers, json.loads(response.body)
        except ValueError as error:
            raise ProtocolError(f"Not a bus's response to {call.method} {call.path}: {response.body[:80]!r}") from error

    def listed(self, path: str, name: str, query: Sequence[tuple[str, str]], after: str | None = None) -> Iterator[Any]:
        """Yield what a list has under ``name``, requested page by page from ``after`` on. Raises BusError."""
        more = True
        while more:
            position = [] if after is None else [("after", after)]
            page = self.json(Call(method="GET", path=path, query=[*query, *position, ("limit", str(PAGE_LIMIT))]))
            yield from page[name]
            after, more = str(page["next"]), page["next"] is not None

    def stream(self, call: Call, *, timeout: float) -> Stream:
        """Open a stream, without retries; ``timeout`` is the seconds between two bytes. Raises BusError."""
        stream = self._transport.stream(self._request(call, "text/event-stream", timeout))
        if stream.response.status != 200:
            stream.close()
            raise api_error(stream.response)
        return stream

    def pause(self, tries: int, error: Exception) -> float:
        """Return the seconds to wait after so many tries, of which the last failed with ``error``."""
        return self.backoff.wait(tries, random.random(), getattr(error, "retry_after", None))  # noqa: S311 - no secret

    def _with_retries(self, call: Call) -> Response:
        ends, tries = time.monotonic() + self.backoff.max_elapsed, 0
        while True:
            tries += 1
            try:
                return self._once(call)
            except (Unreachable, Unavailable) as error:
                wait = self.pause(tries, error)
                if not _may_repeat(call, error) or time.monotonic() + wait >= ends:
                    raise
            time.sleep(wait)

    def _once(self, call: Call) -> Response:
        request = self._request(call, "application/json", self._timeout + call.waits)
        response = self._transport.request(request, fresh=not call.repeatable)
        if not 200 <= response.status < 300:
            raise api_error(response)
        return response

    def _request(self, call: Call, accept: str, timeout: float) -> Request:
        own = {"Accept": accept, "User-Agent": f"eventbus-client/{__version__}"}
        if self._token:
            own["Authorization"] = f"Bearer {self._token}"
        return Request(call.method, call.target, {**own, **call.headers}, call.body, timeout)


def _may_repeat(call: Call, error: Exception) -> bool:
    """Return whether a retry may help and can do no harm: a call that is not answered with 2xx has changed nothing."""
    return call.repeatable or isinstance(error, Unavailable) or not getattr(error, "sent", True)


def api_error(response: Response) -> ApiError:
    """Return the error that a response other than 2xx means."""
    kind = BY_STATUS.get(response.status, ApiError)
    retry_after = _parse_retry_after(response.headers.get("retry-after", ""))
    return kind(response.status, _detail(response), retry_after=retry_after)


def _detail(response: Response) -> str:
    """Return the reason in problem details (RFC 9457), or the start of the text."""
    try:
        return str(json.loads(response.body)["detail"])
    except (ValueError, KeyError, TypeError):
        return response.body[:200].decode(errors="replace").strip()


def _parse_retry_after(retry_after: str) -> float | None:
    """Parse ``Retry-After`` (RFC 9110, 10.2.3) as seconds; None where it is missing or invalid."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(MAX_RETRY_AFTER_SECONDS, float(text[:9]))
    try:
        wait = (parsedate_to_datetime(text).astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(MAX_RETRY_AFTER_SECONDS, max(0.0, wait))
