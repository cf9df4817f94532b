"""What pages show of all nodes together, made of what each node shows. Pure."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from eventbus.web.dashboard import tables
from eventbus.web.numbers import count_in
from eventbus.web.query import Query

#: Rows of one page, and of those that need somebody.
ROWS, TROUBLED = 50, 10
#: Seconds that a node's sample stands for how it was doing until its next one comes.
FRESH_SECONDS = 15.0

Row = dict[str, Any]


def overview(parts: Sequence[Any], _: Query) -> dict[str, Any]:
    """How the bus is doing, over all nodes; what is not counted is this node's own."""
    own: dict[str, Any] = parts[0]
    latest = [part["latest"] for part in parts if part["latest"] is not None]
    return own | {
        "fresh": all(part["fresh"] for part in parts),
        "subscribers": _added([part["subscribers"] for part in parts]),
        **_added([{name: part[name] for name in ("pending", "in_flight", "dead")} for part in parts]),
        "oldest_pending_seconds": max(part["oldest_pending_seconds"] for part in parts),
        "journal_bytes": max(part["journal_bytes"] for part in parts),
        "latest": together(latest) if own["latest"] is not None else None,
        "samples": merged_samples([part["samples"] for part in parts]),
        "trouble": tables.sorted_by(_rows([part["trouble"] for part in parts]), "trouble")[:TROUBLED],
    }


def earlier(query: Query, _: str) -> str:
    """What other nodes are asked for the overview: samples from before the first one that is wanted, too."""
    return urlencode({"since": max(0, count_in(query, "since", 0, 0, 2**53) - int(FRESH_SECONDS * 1_000))})


def merged_samples(parts: Sequence[Sequence[Row]]) -> list[Row]:
    """This node's samples, each together with the one that every other node had last taken then."""
    own, *others = parts
    times = [[sample["at"] for sample in other] for other in others]
    return [together([sample, *_last(sample["at"], others, times)]) for sample in own]


def _last(at: float, others: Sequence[Sequence[Row]], times: Sequence[list[float]]) -> list[Row]:
    found = [other[place - 1] for other, known in zip(others, times, strict=True) if (place := bisect_right(known, at))]
    return [sample for sample in found if at - sample["at"] <= FRESH_SECONDS]


def together(several: Sequence[Row]) -> Row:
    """Several nodes' samples as one, at the time of the first.

    Counts add up. The median is their mean by deliveries, and 99 of 100 the slowest node's: about what they are.
    """
    deliveries = sum(sample["deliveries"] for sample in several)
    halves = sum(sample["arrival_p50"] * sample["deliveries"] for sample in several)
    return {
        "at": several[0]["at"],
        **{name: sum(sample[name] for sample in several) for name in ("events", "deliveries", "failures", "pending")},
        "arrival_p50": halves / deliveries if deliveries else 0.0,
        "arrival_p99": max(sample["arrival_p99"] for sample in several),
        "oldest": max(sample["oldest"] for sample in several),
    }


def subscribers(parts: Sequence[Any], _: Query) -> dict[str, Any]:
    """A page of all subscribers' rows, of which each node has given its own up to that page's end."""
    own: dict[str, Any] = parts[0]
    start, count = own["start"], sum(part["count"] for part in parts)
    rows = tables.sorted_by(_rows([part["rows"] for part in parts]), own["sort"])
    return own | {
        "count": count,
        "rows": rows[start : start + ROWS],
        "following": start + ROWS if start + ROWS < count else None,
    }


def dead_letters(parts: Sequence[Any], _: Query) -> dict[str, Any]:
    """A page of dead letters, as far as any node knows of them."""
    found = letters([part["letters"] for part in parts], ROWS)
    return {
        **parts[0],
        "letters": found,
        "following": found[-1]["id"] if len(found) == ROWS else None,
        "dead": sum(part["dead"] for part in parts),
    }


def letters(parts: Sequence[Sequence[Row]], limit: int) -> list[Row]:
    """So many of the dead letters, by their ids."""
    known = {letter["id"]: letter for part in parts for letter in part}
    return [known[number] for number in sorted(known)[:limit]]


def _rows(parts: Sequence[Sequence[Row]]) -> list[Row]:
    """Each subscriber's row once: one that moves from node to node may have two."""
    return list({row["key"]: row for part in reversed(parts) for row in part}.values())


def _added(parts: Sequence[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)
