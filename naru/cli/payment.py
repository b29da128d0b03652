"""`naru payment IMP_UID`: one payment's whole history for a person, in the order in which it happened."""

import argparse
import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

from naru.cli import database, find
from naru.cli.trouble import CliError
from naru.config import Settings

if TYPE_CHECKING:
    from naru.domain.payment import Payment
    from naru.store import Session

Line = tuple[datetime, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The payment's name is all there is to say."""
    parser.add_argument("imp_uid", help="the payment's id")
    parser.epilog = (
        "Events, questions to the PG and every try at them, webhooks, deposits and tasks.\n"
        "Nothing secret and nothing of the buyer's is printed."
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print the history. Raises CliError for an unknown payment."""
    asyncio.run(_show(arguments.imp_uid, settings))
    return 0


async def _show(imp_uid: str, settings: Settings) -> None:
    async with database.open_store(settings) as store, store.direct() as session:
        payment = await session.payments.get(imp_uid) if find.is_plain(imp_uid) else None
        if payment is None:
            raise CliError(f"There is no payment {imp_uid!r}.")
        lines = [
            *await _events(session, payment),
            *await _questions(session, payment),
            *await _webhooks(session, payment),
            *await _deposits(session, payment),
            *await _tasks(session, payment),
        ]
    print(
        f"{payment.imp_uid}  order {payment.merchant_uid}  {payment.amount.text()}  "
        f"{payment.step}  {payment.pg_code} {payment.mid}  PG's order {payment.pg_order_no}"
    )
    if payment.cancelled:
        print(f"given back {payment.cancelled.text()}, left {payment.balance.text()}")
    for at, words in sorted(lines, key=lambda line: line[0]):
        print(f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f"Z  {words}")


async def _events(session: "Session", payment: "Payment") -> list[Line]:
    return [
        (event["at"], f"event {event['version']}: {event['event']}")
        for event in await session.payments.history(payment.imp_uid)
    ]


async def _questions(session: "Session", payment: "Payment") -> list[Line]:
    lines: list[Line] = []
    for each in await session.intents.all_of_payment(payment.imp_uid):
        name = f"{each.kind} {each.number}"
        lines.append((each.opened_at, f"{name}: intention of {each.amount}"))
        for tried in await session.intents.tries_of(each.id):
            again = (
                f", again at {tried.next_try_at:%Y-%m-%d %H:%M:%S}Z" if tried.next_try_at else ""
            )
            words = f"{name}: try {tried.number} {tried.what} {tried.sentence}{again}"
            lines.append((tried.at, words))
        if each.closed_at is not None:
            lines.append((each.closed_at, f"{name}: {each.state} {each.outcome or ''}".rstrip()))
        elif each.next_try_at is not None:
            lines.append(
                (each.next_try_at, f"{name}: {each.state}, next try due ({each.outcome or '…'})")
            )
    return lines


async def _webhooks(session: "Session", payment: "Payment") -> list[Line]:
    lines: list[Line] = []
    for each in await session.outbox.of_merchant(payment.merchant_id, imp_uid=payment.imp_uid):
        lines.append((each.announced_at, f"webhook {each.id}: {each.status} announced"))
        for attempt in await session.outbox.attempts_of(each.id):
            came = attempt.error or f"HTTP {attempt.answer_status}"
            lines.append((attempt.began_at, f"webhook {each.id}: tried, {came}"))
        if each.ended_at is not None:
            lines.append((each.ended_at, f"webhook {each.id}: {each.state}"))
    return lines


async def _deposits(session: "Session", payment: "Payment") -> list[Line]:
    return [
        (each["booked_at"], f"deposit of {each['amount']} {each['currency']}: {each['meaning']}")
        for each in await session.deposits.of_payment(payment.imp_uid)
    ]


async def _tasks(session: "Session", payment: "Payment") -> list[Line]:
    lines: list[Line] = []
    for task in await session.tasks.of_payment(payment.imp_uid):
        lines.append((task.opened_at, f"task {task.id}: {task.kind}: {task.sentence}"))
        if task.closed_at is not None:
            lines.append(
                (task.closed_at, f"task {task.id}: closed by {task.closed_by}: {task.note}")
            )
    return lines
