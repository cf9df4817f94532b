"""Registering, deregistering and listing."""

from eventbus.core.credentials import AUTHORIZATION_HEADER, MAX_VALUE_BYTES, SECRET_HEADER
from eventbus.core.options import registration_options
from eventbus.web.openapi import builder as build
from eventbus.web.openapi.builder import A_TIME, AN_ADDRESS, JSON, NODES_HEADER, SUCCESS, TEXT, Json
from eventbus.web.openapi.operation import operation
from eventbus.web.openapi.schemas import A_REGISTRATION, A_SUBSCRIBER, ADDRESS

_FORM = "`host`, `host:port` or `[v6]:port`, with a path prefix and `http://` or `https://` where you like."
_OPTIONS = [
    build.query(one.parameter, f"{one.help} Default: {one.default_text}.", one.kind.query_schema, example=one.example)
    for one in registration_options()
]


_DRY_RUN = build.query(
    "dry_run", "Change nothing, and say what the registration would be. Default: `false`.",
    build.text(enum=["true", "false"]), example="false",
)  # fmt: skip
_VALUE = build.text(maxLength=MAX_VALUE_BYTES, pattern="^([!-~]([ -~]*[!-~])?)?$", writeOnly=True)
_FOUR = "[A-Za-z0-9+/]{4}"
_SECRET = build.text(
    pattern=f"^(whsec_(({_FOUR}){{8,21}}([A-Za-z0-9+/]{{2}}==)?|({_FOUR}){{8,20}}[A-Za-z0-9+/]{{3}}=))?$",
    writeOnly=True,
)
_CREDENTIALS = [
    build.header(AUTHORIZATION_HEADER, "Sent as `Authorization` with each delivery to this address. It is in memory "
                 "only: give it with each renewal. One without it keeps it, and an empty value removes it. After a "
                 "restart of the bus deliveries wait for it.", _VALUE, example="Bearer a-token-of-the-subscriber"),
    build.header(SECRET_HEADER, "Signs deliveries to this address in place of the bus's own secrets; kept likewise. "
                 "One that is replaced signs for an hour yet, beside the new one.", _SECRET,
                 example="whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"),
]  # fmt: skip


def address(description: str = _FORM, *, required: bool = True) -> Json:
    """Build the parameter that names a subscriber."""
    return build.query("address", description, ADDRESS, required=required, example=AN_ADDRESS)


def group(description: str = "A group, instead of an address.") -> Json:
    """Build the parameter that names a group."""
    kind = next(one.kind for one in registration_options() if one.name == "group")
    return build.query("group", description, kind.query_schema, example="mailer")


def path(
    description: str = "The target path of the address's subscription; without it the one without a path.",
) -> Json:
    """Build the parameter that names one of an address's subscriptions."""
    kind = next(one.kind for one in registration_options() if one.name == "path")
    return build.query("path", description, kind.query_schema, example="/hooks/orders")


REGISTER = operation(
    "registerAndKeepAlive", "Register, or renew",
    "Registers an address, or renews its lease. Every event that is accepted after the answer, and whose topic the "
    "subscriber chose, is delivered to it. A renewal that leaves a parameter out keeps it as it was, but for `group`, "
    "`path` and `drain`. With `group` the address is a member: each event goes to one of the members that want it. "
    "With `dry_run` nothing is changed: the answer, always JSON, says what the registration would be, and how many of "
    "the journal's events of the last day match its topics and filter.",
    tag="Subscribers", scope="subscribe", call=f"-X POST '/registerAndKeepAlive?address={AN_ADDRESS}'",
    parameters=[address(), *_OPTIONS, _DRY_RUN, *_CREDENTIALS],
    ok=build.answer(
        "Registered, or renewed; or, with `dry_run`, what that would be.",
        build.content(JSON, {"anyOf": [build.schema("Registration"), build.schema("DryRun")]}, A_REGISTRATION) | SUCCESS
    ),
    errors=("WrongAddress", "TooManySubscribers", "OtherGroup", "NoPosition", "NotOwner", "DiskFull"),
)  # fmt: skip

DEREGISTER = operation(
    "deregister", "Deregister",
    "Ends a lease at once, and discards what is pending: a service that only restarts does not call it. A member of a "
    "group leaves the group, and nothing is discarded; what is pending ends with the last one. Succeeds whether or not "
    "the address was there.",
    tag="Subscribers", scope="subscribe", call=f"-X DELETE '/deregister?address={AN_ADDRESS}'",
    parameters=[address(required=False), path(), group("A group instead of an address: it ends with all its members.")],
    ok=build.answer(
        "It is not registered any more.",
        build.content(JSON, build.schema("Deregistered"), {"address": AN_ADDRESS, "path": None, "discarded": 0})
        | SUCCESS,
    ),
    errors=("WrongAddress", "NotOwner", "DiskFull"),
)  # fmt: skip

LIST = operation(
    "listSubscribers", "List the subscribers",
    "As text a line for each: the address as it was written, with `?path=P` where it has one, two spaces, a colon, "
    "two spaces, the time of its last renewal. As JSON the members of groups are among the subscribers, and `groups` "
    "has each group's account.",
    tag="Subscribers", scope="subscribe view", call="'/listSubscribers'",
    parameters=[build.query(
        "expired", "`true`: not the live ones, but those whose lease has expired and who have not registered again.",
        build.text(enum=["true", "false"]), example="true",
    )],
    ok=build.answer(
        "The subscribers, by address.",
        build.content(JSON, build.schema("SubscriberList"), {"subscribers": [A_SUBSCRIBER], "groups": []})
        | build.content(TEXT, build.text(), f"{AN_ADDRESS}  :  {A_TIME}\n"),
        NODES_HEADER,
    ),
    errors=("WrongQuery",),
)  # fmt: skip

PATHS: Json = {
    "/registerAndKeepAlive": {"post": REGISTER},
    "/deregister": {"delete": DEREGISTER},
    "/listSubscribers": {"get": LIST},
}
