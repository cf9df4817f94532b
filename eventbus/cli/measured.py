"""What a load has shown, in numbers."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from eventbus.cli.screen import counted


@dataclass(frozen=True, slots=True)
class Measured:
    """Rates are per second, arrivals seconds from the publish call to the handler."""

    events: int
    subscribers: int
    publishes_a_second: float
    deliveries_a_second: float
    arrival_p50: float | None
    arrival_p99: float | None
    lost: int
    duplicated: int

    @classmethod
    def of(
        cls,
        events: int,
        subscribers: int,
        publishing: float,
        delivering: float,
        arrivals: Sequence[float],
        deliveries: int,
    ) -> Self:
        """From the seconds that publishing and delivering took, the first arrivals, and all deliveries there were."""
        return cls(
            events,
            subscribers,
            _rate(events, publishing),
            _rate(len(arrivals), delivering),
            percentile(arrivals, 50),
            percentile(arrivals, 99),
            events * subscribers - len(arrivals),
            deliveries - len(arrivals),
        )

    def as_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        arrival = (
            "no arrival"
            if self.arrival_p50 is None or self.arrival_p99 is None
            else f"{self.arrival_p50 * 1e3:,.1f} ms p50, {self.arrival_p99 * 1e3:,.1f} ms p99"
        )
        return [
            f"publishes   {self.publishes_a_second:,.0f} a second ({counted(self.events, 'event')})",
            f"deliveries  {self.deliveries_a_second:,.0f} a second ({counted(self.subscribers, 'subscriber')})",
            f"arrival     {arrival}",
            f"lost        {self.lost:,}",
            f"duplicated  {self.duplicated:,}",
        ]


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The smallest value that so many percent of the values do not exceed; None of no values."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)] if ranked else None


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0
