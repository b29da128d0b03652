"""The look-up that every merchant's server makes, beside the bare server: with one process and with two, in one run."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field

from naru.bench.cpu import per_deed, used
from naru.bench.demo import run_demo
from naru.bench.limits import hello_server
from naru.bench.load import Line, Receiver, Timed, hammer
from naru.bench.scenarios import Party, pay_many

CONNECTIONS = 32
ROUNDS = 3
WARM_UP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Beside:
    """What that many processes answered: `GET /payments/{imp_uid}` and, in turns with it, hello.

    And the CPU µs of each party for one answer, the mean of the turns; empty where there is no /proc.
    """

    processes: int
    get: Timed
    hello: Timed
    get_cpu: dict[str, float] = field(default_factory=dict)
    hello_cpu: dict[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Look-ups for each hello."""
        return self.get.rate / self.hello.rate if self.hello.rate else 0.0


async def look_up(imp_key: str, imp_secret: str, processes: int, seconds: float) -> Beside:
    """Pay once, then ask for that payment over and over. Both servers run all the time and are asked in turns.

    Raises DemoFailed.
    """
    measured = Beside(processes, Timed(0.0), Timed(0.0))
    async with (
        run_demo(processes) as demo,
        Receiver().listen() as receiver,
        hello_server(processes) as origin,
    ):
        party = Party(demo.gateway, "imp00000000", imp_key, imp_secret, demo.shop)
        paid = await pay_many(party, receiver, buyers=1, seconds=WARM_UP_SECONDS)
        token = {"Authorization": await access_token(party)}
        path = f"/payments/{paid.last_imp_uid}"
        await hammer(party.gateway, path, connections=CONNECTIONS, seconds=1, headers=token)
        for _ in range(ROUNDS):
            for timed, cpu, where, what, headers in (
                (measured.get, measured.get_cpu, party.gateway, path, token),
                (measured.hello, measured.hello_cpu, origin, "/", {}),
            ):
                before = used()
                turn = await hammer(
                    where, what, connections=CONNECTIONS, seconds=seconds / ROUNDS, headers=headers
                )
                timed.marks.extend(turn.marks)
                timed.seconds += turn.seconds
                for name, spent in per_deed(before, used(), len(turn.marks)).items():
                    cpu[name] = cpu.get(name, 0.0) + spent / ROUNDS
    return measured


async def access_token(party: Party) -> str:
    """A token of the party that is measured."""
    body = json.dumps({"imp_key": party.imp_key, "imp_secret": party.imp_secret}).encode()
    answer = await Line(party.gateway).ask(
        "POST", "/users/getToken", body, {"Content-Type": "application/json"}
    )
    return str(json.loads(answer.body)["response"]["access_token"])


def told(measured: list[Beside]) -> str:
    """The table."""
    lines = [
        f"GET /payments/{{imp_uid}} on {CONNECTIONS} connections; {os.cpu_count()} cores for everybody, "
        "the stopwatch too",
        "",
        f"{'processes':<12}{'GET/s':>8}{'p50 ms':>8}{'p99 ms':>8}{'hello/s':>9}{'p99 ms':>8}{'ratio':>7}"
        f"{'CPU µs of a GET':>22}{'of hello':>10}",
    ]
    lines += [
        f"{each.processes:<12}{each.get.rate:>8,.0f}{each.get.percentile(0.5):>8.1f}"
        f"{each.get.percentile(0.99):>8.1f}{each.hello.rate:>9,.0f}"
        f"{each.hello.percentile(0.99):>8.1f}{each.ratio:>7.2f}"
        f"{_cpu(each.get_cpu, 'gateway', 'database'):>22}{_cpu(each.hello_cpu, 'gateway'):>10}"
        for each in measured
    ]
    return "\n".join(lines)


def _cpu(spent: dict[str, float], *parties: str) -> str:
    """`130 + 90`: what these parties used, in microseconds; a dash where nobody knows."""
    return " + ".join(f"{spent[each]:.0f}" for each in parties if each in spent) or "–"
