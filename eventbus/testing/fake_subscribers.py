"""The subscribers and groups of a fake bus: they are registered, and nothing is delivered to them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from eventbus.client.errors import ApiError, Conflict
from eventbus.core.credentials import AUTHORIZATION_HEADER, SECRET_HEADER, CredentialKind, GivenCredentials
from eventbus.core.errors import BadRequest
from eventbus.core.option_table import options_of
from eventbus.core.options import SubscriptionOptions

Json = dict[str, Any]
Parameters = Mapping[str, list[str]]

_OPTIONS = options_of(SubscriptionOptions)
#: A subscriber without options of its own.
_NEW: Json = {
    **{one.name: one.kind.to_json(one.default) for one in _OPTIONS},
    "credentials": [],
    "state": "ok",
    "pause": None,
    "last_error": None,
    "oldest_pending_seconds": None,
    **dict.fromkeys(("pending", "backlog", "in_flight", "accepted", "delivered"), 0),
    **dict.fromkeys(("failed_attempts", "dead", "discarded"), 0),
}


class FakeSubscribers:
    """Answers requests about subscribers as the bus does; a lease never ends."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None], Json] = {}

    def register(self, query: Parameters, headers: Mapping[str, str]) -> Json:
        """Register an address, or renew its lease, and return it. Raises ApiError."""
        address, group = query["address"][0], _first(query, "group")
        key = address, _first(query, "path")
        known = self._known.get(key)
        if known is not None and known["group"] != group:
            now = "without a group" if known["group"] is None else f"in the group {known['group']}"
            raise Conflict(409, f"{address} is registered {now}; deregister it first.")
        given = GivenCredentials(headers.get(AUTHORIZATION_HEADER), headers.get(SECRET_HEADER))
        former = () if known is None else tuple(map(CredentialKind, known["credentials"]))
        self._known[key] = {**_subscriber_json(query, known), "credentials": given.kinds_after(former)}
        return {"created": known is None, **self._known[key]}

    def deregister(self, query: Parameters) -> Json:
        """Remove an address, or all members of a group; nothing is pending."""
        address, path, group = (_first(query, name) for name in ("address", "path", "group"))
        if group is not None:
            self._known = {key: one for key, one in self._known.items() if one["group"] != group}
            return {"group": group, "discarded": 0}
        self._known.pop((address or "", path), None)
        return {"address": address, "path": path, "discarded": 0}

    def pause(self, query: Parameters, client: str = "fake") -> Json:
        """Pause an address, or a group with all of its members. Raises ApiError where it is not registered."""
        until = _first(query, "until")
        pause = {"by": "operator", "client": client, "since": datetime.now(UTC).isoformat(), "until": until}
        for key in self._meant(query):
            self._known[key] |= {"state": "paused", "pause": pause}
        return {**_whose(query), "until": until}

    def resume(self, query: Parameters) -> Json:
        """End a pause. Raises ApiError where it is not registered."""
        paused = [key for key in self._meant(query) if self._known[key]["pause"] is not None]
        for key in paused:
            self._known[key] |= {"state": "ok", "pause": None}
        return {**_whose(query), "resumed": bool(paused)}

    def retry(self, query: Parameters) -> Json:
        """Attempt what waits, which is nothing. Raises ApiError where it is not registered."""
        states = [self._known[key]["state"] for key in self._meant(query)]
        return {**_whose(query), "retried": 0, "state": states[0]}

    def _meant(self, query: Parameters) -> Sequence[tuple[str, str | None]]:
        whom, group = (_first(query, "address"), _first(query, "path")), _first(query, "group")
        found = [key for key, one in self._known.items() if key == whom or (group and one["group"] == group)]
        if not found:
            raise Conflict(409, "It is not registered; register it first.")
        return found

    def list(self, *, expired: bool) -> Json:
        """Return the subscribers and the groups; none is expired."""
        found = [] if expired else list(self._known.values())
        names = dict.fromkeys(one["group"] for one in found if one["group"] is not None)
        groups = [_group_json(name, [one for one in found if one["group"] == name]) for name in names]
        return {"subscribers": found, "groups": groups}


def _whose(query: Parameters) -> Json:
    return {name: _first(query, name) for name in ("address", "path", "group")}


def _first(query: Parameters, name: str) -> str | None:
    return query.get(name, [None])[0]


def _subscriber_json(query: Parameters, known: Json | None) -> Json:
    """Return a subscriber as the bus writes it: given options over former ones, and nothing delivered yet."""
    now = datetime.now(UTC)
    payload = {
        "address": query["address"][0],
        "path": _first(query, "path"),
        "group": _first(query, "group"),
        "declared": False,
        "owner": None,
        **_NEW,
        "registered_at": now.isoformat(),
        **(known or {}),
        **_given_options(query),
        "draining": _first(query, "drain") == "true",
        "renewed_at": now.isoformat(),
    }
    ends = now + timedelta(seconds=payload["lease"])
    return {**payload, "expires_at": ends.isoformat(), "renew_after": payload["lease"] / 3}


def _group_json(name: str, members: Iterable[Json]) -> Json:
    """Return a group as the bus writes it: with the topics of all members."""
    first, *_ = members = list(members)
    return {
        **{key: value for key, value in first.items() if key not in ("address", "path", "declared", "expires_at")},
        "group": name,
        "credentials": [],
        "topics": sorted({topic for one in members for topic in one["topics"]}) if _all_choose(members) else [],
        "draining": False,
        "expires_at": None,
        "members": [
            {part: one[part] for part in ("address", "path", "state", "in_flight", "draining", "declared")}
            for one in members
        ],
    }


def _all_choose(members: Iterable[Json]) -> bool:
    """Return whether no member wants every topic."""
    return all(one["topics"] for one in members)


def _given_options(query: Parameters) -> Json:
    """Return the options in a query as JSON has them. Raises ApiError, as the bus answers 400."""
    given = {}
    for one in _OPTIONS:
        if one.parameter in query:
            try:
                given[one.name] = one.kind.to_json(one.kind.parse(one.parameter, query[one.parameter]))
            except BadRequest as error:
                raise ApiError(400, str(error)) from error
    return given
