"""`python -m naru.bench`: measure complete payments beside the limits, in one run."""

from __future__ import annotations

import argparse
import json
import sys

import uvloop

from naru.bench.beside import NoSuchState, beside
from naru.bench.cpu import per_deed, used
from naru.bench.demo import DemoFailed, run_demo
from naru.bench.limits import LimitUnknown, commit_rate, hello_server
from naru.bench.load import Receiver, hammer
from naru.bench.lookups import access_token, look_up, told
from naru.bench.report import Report
from naru.bench.scenarios import REQUESTS_PER_PAYMENT, Party, pay_many

# The public demo pair of i'mport's own samples, which `naru demo` seeds.
IMP_KEY = "imp_apikey"
IMP_SECRET = "ekKoeW8RyKuT0zgaZsUtXXTLQ4AhPFW3ZGseDA6bkA5lamv9OqDMnxyeB9wqOsuO9W3Mx9YSJ4dTqJ3f"  # noqa: S105
WARM_UP_SECONDS = 2.0


async def measure(buyers: int, seconds: float) -> Report:
    """Start a demo of our own and put the stopwatch on it. Raises DemoFailed."""
    async with run_demo() as demo, Receiver().listen() as receiver:
        party = Party(demo.gateway, "imp00000000", IMP_KEY, IMP_SECRET, demo.shop)
        _say("warming up")
        await pay_many(party, receiver, buyers=buyers, seconds=WARM_UP_SECONDS)
        _say(f"complete payments, {buyers} buyers, {seconds:.0f} s")
        before = used()
        paid = await pay_many(party, receiver, buyers=buyers, seconds=seconds)
        paid_cpu = per_deed(before, used(), len(paid.whole.marks))
        for failure in sorted(set(paid.failures))[:5]:
            _say(f"failed: {failure}")
        _say("GET /payments/{imp_uid}")
        token = await access_token(party)
        before = used()
        got = await hammer(
            party.gateway,
            f"/payments/{paid.last_imp_uid}",
            connections=32,
            seconds=seconds / 2,
            headers={"Authorization": token},
        )
        got_cpu = per_deed(before, used(), len(got.marks))
        _say("the bare server")
        async with hello_server() as origin:
            before = used()
            hello = await hammer(origin, "/", connections=32, seconds=seconds / 2, headers={})
            hello_cpu = per_deed(before, used(), len(hello.marks))
        _say("pgbench, the same rows")
        commits: float | None = None
        try:
            commits = await commit_rate(demo.database_url, clients=16, seconds=seconds / 2)
        except LimitUnknown as why:
            _say(str(why))
        return Report(
            buyers=buyers,
            payments=len(paid.whole.marks),
            payments_per_second=paid.whole.rate,
            payment_p50_ms=paid.whole.percentile(0.5),
            payment_p99_ms=paid.whole.percentile(0.99),
            answered_p50_ms=paid.answered.percentile(0.5),
            answered_p99_ms=paid.answered.percentile(0.99),
            webhook_p50_ms=paid.webhooks.percentile(0.5),
            webhook_p99_ms=paid.webhooks.percentile(0.99),
            requests_per_second=paid.whole.rate * REQUESTS_PER_PAYMENT,
            failures=len(paid.failures),
            get_per_second=got.rate,
            get_p50_ms=got.percentile(0.5),
            get_p99_ms=got.percentile(0.99),
            hello_per_second=hello.rate,
            hello_p99_ms=hello.percentile(0.99),
            commits_per_second=commits,
            payment_cpu_us=paid_cpu,
            get_cpu_us=got_cpu,
            hello_cpu_us=hello_cpu,
        )


async def _look_ups(seconds: float) -> str:
    measured = []
    for processes in (1, 2):
        _say(f"GET /payments/{{imp_uid}} and hello in turns, processes: {processes}")
        measured.append(await look_up(IMP_KEY, IMP_SECRET, processes, seconds))
    return told(measured)


def _say(sentence: str) -> None:
    print(f"bench: {sentence}", file=sys.stderr, flush=True)


def main() -> int:
    """Read argv, measure, print. Exit status 1 when a payment failed or nothing started."""
    parser = argparse.ArgumentParser(
        prog="python -m naru.bench",
        description="Drives complete payments (open, authenticate, approve, webhook, verify) through a "
        "demo of its own, beside a bare server and the database's own commit rate, in one run.",
    )
    parser.add_argument("--buyers", type=int, default=16, help="who pay at the same time (16)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each part runs (10)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument(
        "--beside",
        metavar="REF",
        help="measure that commit or tag as well, in turns with this tree",
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of each with --beside (3)")
    parser.add_argument(
        "--get",
        action="store_true",
        help="only GET /payments/{imp_uid} beside the bare server, with one process and with two",
    )
    arguments = parser.parse_args()
    if arguments.beside:
        try:
            print(
                beside(
                    arguments.beside,
                    rounds=arguments.rounds,
                    buyers=arguments.buyers,
                    seconds=arguments.seconds,
                )
            )
        except NoSuchState as why:
            _say(str(why))
            return 1
        return 0
    if arguments.get:
        try:
            print(uvloop.run(_look_ups(arguments.seconds)))
        except DemoFailed as why:
            _say(f"the demo did not start: {why}")
            return 1
        return 0
    try:
        report = uvloop.run(measure(arguments.buyers, arguments.seconds))
    except DemoFailed as why:
        _say(f"the demo did not start: {why}")
        return 1
    print(json.dumps(report.to_json(), indent=2) if arguments.json else report.text())
    return int(report.failures > 0)


if __name__ == "__main__":
    sys.exit(main())
