"""What a dry run of a registration answers."""

from eventbus.core.model import Options
from eventbus.core.option_table import options_of, to_json
from eventbus.core.options import SubscriptionOptions
from eventbus.web.openapi import builder as build
from eventbus.web.openapi.builder import A_TIME, AN_ADDRESS, AN_ID, Json, count, nullable, text, time

_NEWEST = build.shape(
    "An event.", {"id": text(), "topic": nullable(text()), "accepted_at": time("When it was accepted.")}
)
DRY_RUN: Json = {
    "dry_run": build.flag("True."),
    "created": build.flag("Whether it would be new."),
    "address": text("As the client wrote it."),
    "path": nullable(text("The target path; null without one.")),
    "group": nullable(text("The group that it would be a member of; null without one.")),
    **{one.name: build.described(one.kind.json_schema, one.summary) for one in options_of(SubscriptionOptions)},
    "events": count("Events of the last day that were looked at, the newest first."),
    "matches": count("How many of them match topics and filter."),
    "complete": build.flag("Whether all of the last day's events were looked at."),
    "newest": build.items(_NEWEST, "The newest that match, three at most."),
}
A_DRY_RUN: Json = {
    "dry_run": True, "created": True, "address": AN_ADDRESS, "path": None, "group": None,
    **to_json(Options(topics=("orders.*",))), "events": 1200, "matches": 7, "complete": True,
    "newest": [{"id": AN_ID, "topic": "orders.created", "accepted_at": A_TIME}],
}  # fmt: skip
