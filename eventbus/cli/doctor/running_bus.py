"""Check the running bus: whether it answers and is ready, its version, its access, and its clock."""

import json
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from eventbus import __version__
from eventbus.cli.context import CommandContext
from eventbus.cli.doctor.findings import Finding, ok, warning, wrong
from eventbus.client.errors import BusError
from eventbus.client.http import Response

_BUS, _CLOCK = "bus", "clock"
#: Seconds that two clocks may differ before a warning, and before signatures are refused.
CLOCK_WARNING_SECONDS, CLOCK_ERROR_SECONDS = 5.0, 300.0


@dataclass(frozen=True, slots=True)
class BusFacts:
    """The facts about a bus; ``ahead`` are the seconds by which its clock is ahead of this machine's."""

    url: str
    status: int
    reason: str
    version: str | None
    ahead: float | None
    open: bool = False  # it has no tokens, and listens beyond loopback


def inspect(context: CommandContext) -> BusFacts:
    """Call the bus, and return the facts. Raises BusError where no bus answers."""
    before = time.time()
    response = context.readiness()
    now = (before + time.time()) / 2
    return BusFacts(
        context.url, response.status, _reason(response), _version(context), _ahead(response, now), _open(context)
    )


def diagnose(facts: BusFacts) -> list[Finding]:
    """Return the findings about a bus that answered."""
    return [_ready(facts), *_access(facts), *_clock(facts.ahead)]


def unreachable(error: BusError, url: str) -> Finding:
    """Return the finding about a bus that did not answer."""
    text = str(error).replace("from the bus", f"from the bus at {url}", 1).rstrip(".")
    return wrong(_BUS, f"{text}.", "Start one with 'eventbus serve', or name another by --url or EVENTBUS_URL.")


def _ready(facts: BusFacts) -> Finding:
    version = f", version {facts.version}" if facts.version else ""
    if facts.status != 200:
        fix = "Wait until it has started again, or read its log."
        return wrong(_BUS, f"The bus at {facts.url} accepts nothing: {facts.reason}.", fix)
    text = f"The bus at {facts.url} is ready{version}"
    if facts.version not in (None, __version__):
        return warning(_BUS, f"{text}; this command is {__version__}.", "Use the same version on both sides.")
    return ok(_BUS, f"{text}.")


def _access(facts: BusFacts) -> list[Finding]:
    if not facts.open:
        return []
    text = f"Whoever can reach the bus at {facts.url} may publish, subscribe and administer: it has no tokens."
    return [warning("access", text, "Set tokens (docs/security.md), or bind it only to 127.0.0.1.")]


def _clock(ahead: float | None) -> list[Finding]:
    if ahead is None:
        return []
    off = f"The bus's clock is {abs(ahead):,.0f} seconds {'ahead of' if ahead > 0 else 'behind'} this machine's."
    fix = "Let both machines keep their time by NTP."
    if abs(ahead) >= CLOCK_ERROR_SECONDS:
        return [wrong(_CLOCK, f"{off} Signatures are refused that far off.", fix)]
    if abs(ahead) >= CLOCK_WARNING_SECONDS:
        return [warning(_CLOCK, off, fix)]
    return [ok(_CLOCK, "The bus's clock and this machine's agree.")]


def _ahead(response: Response, now: float) -> float | None:
    """Compare with the ``Date`` header, which has no fractions: half a second later is the best guess."""
    try:
        return parsedate_to_datetime(response.headers["date"]).timestamp() + 0.5 - now
    except (KeyError, ValueError):
        return None


def _reason(response: Response) -> str:
    try:
        return str(json.loads(response.body)["detail"]).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return f"status {response.status}"


def _version(context: CommandContext) -> str | None:
    """Return the version in its OpenAPI document; None where there is none."""
    try:
        return str(json.loads(context.get("/openapi.json").body)["info"]["version"])
    except (BusError, ValueError, KeyError, TypeError):
        return None


def _open(context: CommandContext) -> bool:
    """Return whether the bus says that it is open to the network. A bus with tokens refuses this call."""
    try:
        response = context.get("/?since=9007199254740991")  # no samples
        return response.status == 200 and json.loads(response.body)["open"] is True
    except (BusError, ValueError, KeyError, TypeError):
        return False
