"""`naru payment IMP_UID`: one payment's whole history for a person, in the order in which it happened."""

import argparse
import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from naru.cli import database, find, lines
from naru.cli.trouble import CliError
from naru.config import Settings
from naru.domain.money import Money
from naru.domain.payment import Step, Surface

if TYPE_CHECKING:
    from naru.domain.payment import Payment
    from naru.store import Session
    from naru.store.intents import Intent, Try

Line = tuple[datetime, str]
A_MOMENT = timedelta(seconds=2)

# Beside the words of the database, for who reads Korean.
STEPS = {
    "opened": "결제 전",
    "approving": "승인 확인 중",
    "waiting_deposit": "입금 대기",
    "paid": "결제완료",
    "failed": "결제실패",
    "cancelled": "결제취소",
}
EVENTS = {
    "opened": "결제창 열림",
    "authenticated": "인증 완료",
    "approved": "승인",
    "approved_late": "늦은 승인",
    "declined": "거절",
    "undone": "망취소",
    "abandoned": "중단",
    "account_issued": "가상계좌 발급",
    "account_closed": "가상계좌 말소",
    "account_changed": "가상계좌 수정",
    "deposited": "입금 확인",
    "partly_cancelled": "부분취소",
    "fully_cancelled": "전액취소",
}
# Where the merchant's server asked, no window opened and no buyer authenticated.
EVENTS_BY_API = EVENTS | {"opened": "API 결제 요청", "authenticated": "승인 진행"}
QUESTIONS = {
    "approve": "승인 요청",
    "issue_account": "가상계좌 발급 요청",
    "cancel": "취소 요청",
    "close_account": "가상계좌 말소 요청",
}
STATES = {
    "open": "응답 대기",
    "unknown": "결과 확인 중",
    "undoing": "망취소 중",
    "done": "처리됨",
    "refused": "거절됨",
    "undone": "망취소됨",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The payment's name is all there is to say."""
    parser.add_argument("imp_uid", help="the payment's id")
    parser.epilog = (
        "결제 이력: events, questions to the PG and every try at them, webhooks, deposits, tasks and\n"
        "what the comparison of the books found.\n"
        "Times are Korean (+09:00). Nothing secret and nothing of the buyer's is printed."
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
        history = [
            *await _events(session, payment),
            *await _questions(session, payment),
            *await _webhooks(session, payment),
            *await _deposits(session, payment),
            *await _tasks(session, payment),
            *await _books(session, payment),
        ]
    for line in lines.table(_facts(payment)):
        print(line)
    print()
    for at, words in sorted(history, key=lambda line: line[0]):
        print(f"{lines.when(at, exactly=True)}  {lines.plain(words)}")


def _facts(payment: "Payment") -> list[tuple[str, str]]:
    """The payment as it stands, label by label."""
    facts = [
        ("payment 결제건", payment.imp_uid),
        ("order 주문번호", payment.merchant_uid),
        ("amount 결제금액", payment.amount.text()),
        ("step 상태", f"{payment.step} {STEPS[payment.step]}"),
    ]
    if payment.cancelled.minor:
        facts.append(("given back 취소금액", payment.cancelled.text()))
    if payment.paid_at is not None:
        facts.append(("left 취소가능금액", payment.balance.text()))
    facts.append(("PG", f"{payment.pg_code}.{payment.mid}"))
    facts.append(("PG's order PG 주문번호", payment.pg_order_no))
    if payment.pg_tid is not None:
        facts.append(("PG's number PG 거래번호", payment.pg_tid))
    return [(name, lines.plain(text)) for name, text in facts]


async def _events(session: "Session", payment: "Payment") -> list[Line]:
    words = EVENTS_BY_API if payment.surface is Surface.API else EVENTS
    found: list[Line] = []
    for event in await session.payments.history(payment.imp_uid):
        name = event["event"]
        line = f"event {event['version']}: {name} {words.get(name, '')}".rstrip()
        # The PG's own code and words; a late approval has taken them away again.
        why = (payment.fail_code, payment.fail_reason) if event["step"] == Step.FAILED else ()
        words_of_pg = " ".join(filter(None, why))
        found.append((event["at"], f"{line}: {words_of_pg}" if words_of_pg else line))
    return found


async def _questions(session: "Session", payment: "Payment") -> list[Line]:
    found: list[Line] = []
    history = await session.payments.history(payment.imp_uid)
    claimed = {event["event"]: event["at"] for event in history}.get("authenticated")
    for each in await session.intents.all_of_payment(payment.imp_uid):
        tries = await session.intents.tries_of(each.id)
        # Claimed and asked for in one statement, by two clocks: told in the order that is true.
        asked_at = each.opened_at
        about_approval = each.kind in ("approve", "issue_account")
        if about_approval and claimed and timedelta() < claimed - asked_at < A_MOMENT:
            asked_at = claimed
        found += _question(each, asked_at, tries, payment.amount.currency)
    return found


def _question(asked: "Intent", asked_at: datetime, tries: "list[Try]", currency: str) -> list[Line]:
    """One question to the PG: what was asked, every try at it, how it ended or when it is tried next."""
    name = f"{asked.kind} {asked.number}"
    amount = Money(asked.amount, currency).text()
    found = [(asked_at, f"{name}: asked the PG for {amount} {QUESTIONS[asked.kind]}")]
    if (asked.tries or tries) and not any(each.number == 0 for each in tries):
        # Whoever asked died, or was overtaken by the worker.
        found.append((asked_at, f"{name}: no answer to that was written down"))
    for each in tries:
        which = "the call itself" if each.number == 0 else f"try {each.number}"
        found.append((each.at, f"{name}: {which} {each.what} {each.sentence}"))
    state = f"{asked.state} {STATES[asked.state]}"
    if asked.closed_at is not None:
        found.append((asked.closed_at, f"{name}: {state} {asked.outcome or ''}".rstrip()))
    elif asked.next_try_at is not None:
        found.append((asked.next_try_at, f"{name}: {state}, the next try is due"))
    return found


async def _webhooks(session: "Session", payment: "Payment") -> list[Line]:
    found: list[Line] = []
    for each in await session.outbox.of_merchant(payment.merchant_id, imp_uid=payment.imp_uid):
        found.append((each.announced_at, f"webhook {each.id} 웹훅: {each.status} announced"))
        for attempt in await session.outbox.attempts_of(each.id):
            came = attempt.error or f"HTTP {attempt.answer_status}"
            found.append((attempt.began_at, f"webhook {each.id} 웹훅: tried, {came}"))
        if each.ended_at is not None:
            found.append((each.ended_at, f"webhook {each.id} 웹훅: {each.state}"))
    return found


async def _books(session: "Session", payment: "Payment") -> list[Line]:
    return [
        (at, f"books 장부 대조: {difference.ending}: {difference.text()}")
        for at, difference in await session.pg_books.differences_of(payment.imp_uid)
    ]


async def _deposits(session: "Session", payment: "Payment") -> list[Line]:
    return [
        (
            each["booked_at"],
            f"deposit 입금 of {Money(each['amount'], each['currency']).text()}: {each['meaning']}",
        )
        for each in await session.deposits.of_payment(payment.imp_uid)
    ]


async def _tasks(session: "Session", payment: "Payment") -> list[Line]:
    found: list[Line] = []
    for task in await session.tasks.of_payment(payment.imp_uid):
        name = f"task {task.id} 운영자 작업"
        found.append((task.opened_at, f"{name}: {task.kind}: {task.sentence}"))
        if task.closed_at is not None:
            found.append((task.closed_at, f"{name}: closed by {task.closed_by}: {task.note}"))
    return found
