"""A dry run of a registration as JSON."""

from typing import Any

from eventbus.core.clock import rfc3339
from eventbus.core.option_table import to_json
from eventbus.services.dry_runs import DryRun, PastMatches
from eventbus.services.registration_steps import JoinRequest, RegistrationRequest
from eventbus.web.subscriber_payloads import address_payload


def dry_run_payload(asked: RegistrationRequest, found: DryRun, past: PastMatches) -> dict[str, Any]:
    """Return what a registration would be, and which of the last day's events match."""
    return {
        "dry_run": True,
        "created": found.new,
        **address_payload(asked.address),
        "group": asked.group if isinstance(asked, JoinRequest) else None,
        **to_json(found.options),
        "events": past.events,
        "matches": past.count,
        "complete": past.complete,
        "newest": [{"id": one.id, "topic": one.topic, "accepted_at": rfc3339(one.at)} for one in past.newest],
    }
