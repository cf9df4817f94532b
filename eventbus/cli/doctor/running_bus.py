"""The bus that runs: does it answer, is it ready, which version, and what time does it have."""

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
#: Seconds that two clocks may differ before it matters to people, and before signatures are refused.
CLOCK_WARNING_SECONDS, CLOCK_ERROR_SECONDS = 5.0, 300.0


@dataclass(frozen=True, slots=True)
class BusFacts:
    """What the bus answered; ``ahead`` is by how many seconds its clock is ahead of this machine's."""

    url: str
    status: int
    reason: str
    version: str | None
    ahead: float | None
    open: bool = False  # it has no tokens, and listens beyond loopback


def inspect(context: CommandContext) -> BusFacts:
    """Ask it. Raises BusError where no bus answers."""
    before = time.time()
    answer = context.check_ready()
    now = (before + time.time()) / 2
    return BusFacts(context.url, answer.status, _reason(answer), _version(context), _ahead(answer, now), _open(context))


def diagnose(facts: BusFacts) -> list[Finding]:
    """What is to be said of a bus that answered."""
    return [_ready(facts), *_access(facts), *_clock(facts.ahead)]


def unreachable(error: BusError, url: str) -> Finding:
    """What is to be said of one that did not."""
    payload = str(error).replace("from the bus", f"from the bus at {url}", 1).rstrip(".")
    return wrong(_BUS, f"{payload}.", "Start one with 'eventbus serve', or name another by --url or EVENTBUS_URL.")


def _ready(facts: BusFacts) -> Finding:
    version = f", version {facts.version}" if facts.version else ""
    if facts.status != 200:
        fix = "Wait until it has started again, or look into its log."
        return wrong(_BUS, f"The bus at {facts.url} accepts nothing: {facts.reason}.", fix)
    payload = f"The bus at {facts.url} is ready{version}"
    if facts.version not in (None, __version__):
        return warning(_BUS, f"{payload}; this command is {__version__}.", "Use the same version on both sides.")
    return ok(_BUS, f"{payload}.")


def _access(facts: BusFacts) -> list[Finding]:
    if not facts.open:
        return []
    payload = f"Whoever can reach the bus at {facts.url} may publish, subscribe and administer: it has no tokens."
    return [warning("access", payload, "Set tokens (docs/security.md), or bind it to 127.0.0.1 alone.")]


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


def _ahead(answer: Response, now: float) -> float | None:
    """By the ``Date`` header, which has whole seconds: half a second later is the best guess."""
    try:
        return parsedate_to_datetime(answer.headers["date"]).timestamp() + 0.5 - now
    except (KeyError, ValueError):
        return None


def _reason(answer: Response) -> str:
    try:
        return str(json.loads(answer.body)["detail"]).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status}"


def _version(context: CommandContext) -> str | None:
    """The version that its OpenAPI document is of; None where it does not say."""
    try:
        return str(json.loads(context.get("/openapi.json").body)["info"]["version"])
    except (BusError, ValueError, KeyError, TypeError):
        return None


def _open(context: CommandContext) -> bool:
    """Whether the bus says that everything is open to the network; one with tokens does not let this in."""
    try:
        answer = context.get("/?since=9007199254740991")  # no samples
        return answer.status == 200 and json.loads(answer.body)["open"] is True
    except (BusError, ValueError, KeyError, TypeError):
        return False
