"""`naru doubts`: what was asked of a PG and not answered (payments, keys, receipts, acts), and what is done."""

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from naru.cli import database, lines
from naru.config import Settings
from naru.domain.money import Money

if TYPE_CHECKING:
    from naru.domain.task import Task
    from naru.store import Session
    from naru.store.doubts import Doubt
    from naru.store.intents import Intent

HEADINGS = (
    "imp_uid",
    "order 주문번호",
    "question 요청",
    "amount 금액",
    "since 시작",
    "next try 다음 확인",
    "what is known 아는 것",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many."""
    parser.add_argument("--most", type=int, default=100, metavar="N", help="at most (100)")
    parser.epilog = (
        "결과를 알 수 없는 결제: the worker asks the PG again, and tells a person of what it cannot end.\n"
        "`naru payment IMP_UID` shows every try, `naru decide` ends what the PG's console shows.\n"
        "Exit status 0, doubts or none: they are ordinary, and end by themselves."
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print them, oldest first."""
    asyncio.run(_list(arguments, settings))
    return 0


async def _list(arguments: argparse.Namespace, settings: Settings) -> None:
    now, most = datetime.now(UTC), max(1, min(arguments.most, 10_000))
    async with database.open_store(settings) as store, store.direct() as session:
        found = await session.intents.doubts(now, most)
        rows = [await _row(session, each, now) for each in found]
        told = {task.subject: task for task in await session.tasks.list_open()}
        others = await session.doubts.elsewhere(now, most)
        rows += [_other(each, told.get(each.number), now) for each in others]
    if not rows:
        print("Nothing is in doubt.", file=sys.stderr)
        return
    for line in lines.table([HEADINGS, *rows[:most]]):
        print(line)


async def _row(session: "Session", doubt: "Intent", now: datetime) -> tuple[str, ...]:
    payment = await session.payments.get(doubt.imp_uid)
    assert payment is not None, "an intent is a payment's"
    told = [
        f"naru tasks show {task.id}"
        for task in await session.tasks.of_payment(doubt.imp_uid)
        if task.closed_at is None
    ]
    known = doubt.outcome or "no answer was written down"
    undoing = "being undone: " if doubt.state == "undoing" else ""
    return (
        doubt.imp_uid,
        lines.plain(payment.merchant_uid),
        doubt.kind,
        Money(doubt.amount, payment.amount.currency).text(),
        f"{lines.when(doubt.opened_at)} ({lines.ago(doubt.opened_at, now)})",
        _next(doubt.next_try_at, now),
        lines.plain("; ".join((undoing + known, *told))),
    )


def _other(doubt: "Doubt", task: "Task | None", now: datetime) -> tuple[str, ...]:
    """What is in doubt and moves no money: by our number for it, and whom it is about."""
    told = "" if task is None else f"; naru tasks show {task.id}"
    return (
        doubt.number,
        lines.plain(doubt.about),
        doubt.question,
        "",
        f"{lines.when(doubt.since)} ({lines.ago(doubt.since, now)})",
        _next(doubt.next_try_at, now),
        lines.count(doubt.tries, "try", "tries") + told,
    )


def _next(due: datetime | None, now: datetime) -> str:
    return "none" if due is None else "now" if due <= now else lines.when(due)
