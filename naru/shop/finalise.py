"""What this shop does when the kit finishes an order: a parcel, what the pages show, a text message.

Webhook, browser report, redirect and sweep all end in the one path of `naru.kit.Finaliser`; whether
an order is paid is decided there and nowhere here.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

from naru.kit import Client, Finaliser, Payment
from naru.kit.orders import StoredOrder as KitOrder
from naru.shop import goods
from naru.shop.orders import Orders, StoredOrder, note_facts, pack_parcel
from naru.shop.sms import Sender

KST = ZoneInfo("Asia/Seoul")
WEEKDAYS = "월화수목금토일"


def open_till(
    client: Client, orders: Orders, sender: Sender, *, allow_sandbox: bool = False
) -> Finaliser[sqlite3.Connection]:
    """The kit's one path over this shop's orders. `client` asks the gateway, `sender` tells the buyer."""
    return Finaliser(
        client,
        orders,
        fulfil=fulfil,
        note=note,
        tell=partial(tell, orders, sender),
        allow_sandbox=allow_sandbox,
    )


def fulfil(order: KitOrder, payment: Payment, database: sqlite3.Connection) -> None:
    """Once, in the transaction that makes the order paid: its goods are packed."""
    pack_parcel(database, order.merchant_uid, payment.imp_uid)
    note(order, payment, database)
    note_facts(
        database,
        order.merchant_uid,
        paid_at=int((payment.paid_at or datetime.now(UTC)).timestamp()),
        paid_by=paid_by(payment),
        receipt_url=payment.receipt_url,
    )


def paid_by(payment: Payment) -> str | None:
    """Who took the money: a card company, a bank, a wallet."""
    return (
        payment.card_name
        or payment.bank_name
        or payment.vbank_name
        or goods.WALLETS.get(payment.pay_method or "")
        or goods.WALLETS.get(payment.pg_provider or "")
    )


def note(order: KitOrder, payment: Payment, database: sqlite3.Connection) -> None:
    """What the pages show of a step: the account while it waits, a reason while a try has failed."""
    waits = order.status == "waiting"
    due = payment.vbank_date if waits else None
    note_facts(
        database,
        order.merchant_uid,
        account_bank=payment.vbank_name if waits else None,
        account_number=payment.vbank_num if waits else None,
        account_holder=payment.vbank_holder if waits else None,
        account_due=None if due is None else int(due.timestamp()),
        fail_reason=(payment.fail_reason or "결제에 실패하였습니다.")
        if order.status == "failed"
        else None,
    )


def tell(orders: Orders, sender: Sender, order: KitOrder, payment: Payment) -> None:
    """The text message about a virtual account. Raises SendFailed: the next sweep tries again."""
    stored = orders.find(order.merchant_uid)
    if order.status != "waiting" or stored is None:
        return
    text = account_text(stored, payment)
    sender.send(stored.buyer_tel, text)
    orders.keep_message(order.merchant_uid, f"account {payment.imp_uid}", stored.buyer_tel, text)


def due_text(due: datetime) -> str:
    """`2026-12-01 (화) 23:59 KST`"""
    local = due.astimezone(KST)
    return f"{local:%Y-%m-%d} ({WEEKDAYS[local.weekday()]}) {local:%H:%M} KST"


def account_text(order: StoredOrder, payment: Payment) -> str:
    """The text message about a virtual account, on the requirement's sentence."""
    parts = ["가상계좌 발급이 성공되었습니다. 계좌 정보", payment.vbank_name, payment.vbank_num]
    if payment.vbank_date is not None:
        parts.append(due_text(payment.vbank_date) + "까지")
    parts.append(goods.shown(order.amount_minor, order.currency, "ko"))
    return " ".join(part for part in parts if part)
