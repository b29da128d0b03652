"""What was measured, as a table for people and as JSON for machines."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass

PARTIES = ("gateway", "worker", "sandbox", "database", "stopwatch")


@dataclass(frozen=True, slots=True)
class Report:
    """Rates per second, milliseconds, and microseconds of CPU per deed by party, all of one run.

    None, or a party that is not there: could not be measured here.
    """

    buyers: int
    payments: int
    payments_per_second: float
    payment_p50_ms: float
    payment_p99_ms: float
    answered_p50_ms: float
    answered_p99_ms: float
    webhook_p50_ms: float
    webhook_p99_ms: float
    requests_per_second: float
    failures: int
    get_per_second: float
    get_p50_ms: float
    get_p99_ms: float
    hello_per_second: float
    hello_p99_ms: float
    commits_per_second: float | None
    payment_cpu_us: Mapping[str, float]
    get_cpu_us: Mapping[str, float]
    hello_cpu_us: Mapping[str, float]

    def to_json(self) -> dict[str, object]:
        """Everything, with the machine and the ratios."""
        return asdict(self) | {
            "get_to_hello": _ratio(self.get_per_second, self.hello_per_second),
            "payments_to_commits": _ratio(self.payments_per_second, self.commits_per_second),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        }

    def text(self) -> str:
        """The table."""
        rows = [
            (
                "complete payments",
                self.payments_per_second,
                self.payment_p50_ms,
                self.payment_p99_ms,
            ),
            ("  until the page knows", None, self.answered_p50_ms, self.answered_p99_ms),
            ("  then until the webhook", None, self.webhook_p50_ms, self.webhook_p99_ms),
            ("their requests", self.requests_per_second, None, None),
            ("GET /payments/{imp_uid}", self.get_per_second, self.get_p50_ms, self.get_p99_ms),
            ("bare server, hello", self.hello_per_second, None, self.hello_p99_ms),
            ("pgbench, same rows", self.commits_per_second, None, None),
        ]
        lines = [
            f"{self.payments} payments by {self.buyers} buyers, {self.failures} failed; "
            f"{os.cpu_count()} cores for everybody, Python {platform.python_version()}",
            "",
            f"{'':<26}{'per second':>12}{'p50 ms':>10}{'p99 ms':>10}",
        ]
        lines += [
            f"{name:<26}{_number(rate, 0):>12}{_number(p50, 1):>10}{_number(p99, 1):>10}"
            for name, rate, p50, p99 in rows
        ]
        lines += ["", f"{'CPU µs per deed':<26}" + "".join(f"{party:>12}" for party in PARTIES)]
        lines += [
            f"{name:<26}" + "".join(f"{_number(spent.get(party), 0):>12}" for party in PARTIES)
            for name, spent in (
                ("complete payment", self.payment_cpu_us),
                ("GET /payments/{imp_uid}", self.get_cpu_us),
                ("bare server, hello", self.hello_cpu_us),
            )
        ]
        lines += [
            "",
            f"GET beside the bare server      {_number(_ratio(self.get_per_second, self.hello_per_second), 2)}",
            f"payments beside pgbench         {_number(_ratio(self.payments_per_second, self.commits_per_second), 2)}",
        ]
        return "\n".join(lines)


def _ratio(ours: float, theirs: float | None) -> float | None:
    return ours / theirs if theirs else None


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
