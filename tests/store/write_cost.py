"""What the books cost those who write: complete payments with and without them, taking turns.

    .venv/bin/python -m tests.store.write_cost [ROUNDS]

One payment is one approval and one whole cancel, in the four transactions of the verbs, one after
the other on one connection to a durable server. Two databases, one with all triggers of 0007, one
with them dropped; a round is 100 payments on each, and the order changes every round. Told twice:
by the clock, and by the CPU time of the database's process, which no neighbour disturbs.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from pathlib import Path

import asyncpg

from naru.store import Store
from tests.support.gateway import ROOT_KEY
from tests.support.house import make_merchant
from tests.support.postgres import Databases, postgres_server

PAYMENTS = 100
CREATE = """
INSERT INTO payments (imp_uid, merchant_id, merchant_uid, channel_id, pg_code, mid, sandbox, surface, pay_method,
                      step, event, amount, currency, pg_order_no, started_at)
SELECT 'imp_' || lpad($1::text, 12, '0'), merchant_id, 'order-' || $1::text, id, pg_code, mid, true, 'pc', 'card',
       'opened', 'opened', 1004, 'KRW', 'n' || $1::text, now() FROM channels
"""
STEPS = (
    (
        "WITH claimed AS (UPDATE payments SET step = 'approving', event = 'authenticated', version = version + 1,"
        " approving_at = now() WHERE imp_uid = $1 AND step = 'opened' RETURNING *)"
        " INSERT INTO intents (imp_uid, kind, number, amount, opened_at, next_try_at)"
        " SELECT imp_uid, 'approve', pg_order_no, amount, now(), now() FROM claimed",
    ),
    (
        "UPDATE payments SET step = 'paid', event = 'approved', version = version + 1, paid_at = now(), pg_tid = 't'"
        " WHERE imp_uid = $1 AND version = 2",
        "UPDATE intents SET state = 'done', closed_at = now() WHERE imp_uid = $1 AND state = 'open'",
    ),
    (
        "INSERT INTO intents (imp_uid, kind, number, amount, balance_before, opened_at, next_try_at)"
        " VALUES ($1::text, 'cancel', 'c' || $1::text, 1004, 1004, now(), now())",
    ),
    (
        "UPDATE intents SET state = 'done', closed_at = now() WHERE imp_uid = $1 AND state = 'open'",
        "UPDATE payments SET cancelled = 1004, step = 'cancelled', event = 'fully_cancelled', version = version + 1,"
        " cancelled_at = now() WHERE imp_uid = $1 AND version = 3",
        "INSERT INTO cancellations (cancellation_id, imp_uid, amount, reason, pg_tid, cancelled_at)"
        " VALUES ('c' || $1::text, $1::text, 1004, '', 't', now())",
    ),
)
BOOKS = {
    "payments": ("books", "books_agree", "approving_is_asked", "payment_facts"),
    "intents": ("books_reserve", "books_let_go", "approving_is_asked"),
    "deposits": ("books", "books_agree", "exact_pays"),
}  # fmt: skip


async def measure(with_books: str, without_books: str, rounds: int) -> float:
    """Prints payments per second of both; answers what the books cost, as a part of the time."""
    lines = {}
    for name, url in (("with", with_books), ("without", without_books)):
        store = await Store.open(url, 1, root_key=ROOT_KEY)
        await make_merchant(store)
        await store.close()
        # As the house connects: what is written by hand goes to the audit log, too.
        lines[name] = await asyncpg.connect(url, server_settings={"application_name": "naru"})
    for table, triggers in BOOKS.items():
        for trigger in triggers:
            await lines["without"].execute(f"DROP TRIGGER {trigger} ON {table}")
    pids = {name: await line.fetchval("SELECT pg_backend_pid()") for name, line in lines.items()}
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    before = {}
    for number in range(rounds + 1):
        if number == 1:  # the first round warms up
            before = {name: _cpu(pid) for name, pid in pids.items()}
        order = ("with", "without") if number % 2 else ("without", "with")
        for name in order:
            began = time.perf_counter()
            await _pay(lines[name], range(number * PAYMENTS, (number + 1) * PAYMENTS))
            if number:
                seconds[name].append(time.perf_counter() - began)
    busy = [(_cpu(pid) - before[name]) / rounds / PAYMENTS for name, pid in pids.items()]
    told = [await line.fetchval("SELECT count(*) FROM entries") for line in lines.values()]
    for line in lines.values():
        await line.close()
    # Middle of the pairs: a neighbour's load strikes one round, not all of them.
    cost = statistics.median(a / b for a, b in zip(*seconds.values(), strict=True)) - 1
    rates = [PAYMENTS / statistics.median(each) for each in seconds.values()]
    print(
        f"{rates[0]:.0f} payments/s with books ({told[0]} entries), {rates[1]:.0f} without ({told[1]}): {cost:+.1%}"
    )
    print(
        f"the database's CPU for one payment: {busy[0] * 1e3:.2f} ms with, {busy[1] * 1e3:.2f} ms without"
    )
    return cost


def _cpu(pid: int) -> float:
    """Seconds of CPU that this process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _pay(line: asyncpg.Connection, numbers: range) -> None:
    for number in numbers:
        await line.execute(CREATE, str(number))
        uid = f"imp_{number:012d}"
        for statements in STEPS:
            async with line.transaction():
                for statement in statements:
                    await line.execute(statement, uid)


def main() -> None:
    """Measure once."""
    with postgres_server(durable=True) as server:
        databases = Databases(server)
        rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
        asyncio.run(measure(databases.new(), databases.new(), rounds))
        databases.close()


if __name__ == "__main__":
    main()
