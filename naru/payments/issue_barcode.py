"""A barcode (수납번호) for the till of a convenience store, asked for by the merchant's server.

To us it is a virtual account of another bank: it waits for one deposit until its due date, and the
same verbs confirm, close and expire it. What is its own is asking, and the till's question.
"""

from __future__ import annotations

import logging
from datetime import datetime

from naru.connectors import BarcodeOrder, Can
from naru.domain.channel import Channel
from naru.domain.deadline import check_due
from naru.domain.errors import (
    BadRequest,
    NoAnswer,
    NotSent,
)
from naru.domain.once import Once
from naru.domain.outcome import AccountIssued, BarcodeRead, Declined, Unknown
from naru.domain.payment import Payment, Step
from naru.payments.ask_merchant import TIMEOUTS
from naru.payments.gateway import Gateway
from naru.payments.issue_virtual_account import issue_number
from naru.payments.start import Opening

log = logging.getLogger("naru.payments")

PAY_METHOD = "cvs"


async def issue_barcode(
    gateway: Gateway,
    opening: Opening,
    *,
    barcode: str | None,
    due: datetime | None,
    once: Once | None = None,
) -> Payment:
    """Issue a barcode, or register the merchant's own, which waits until `due` (None: the PG's days).

    Raises as `issue_virtual_account` does.
    """
    channel = opening.channel
    connector = gateway.connector_of(channel)
    if Can.ISSUE_BARCODE not in connector.can:
        raise BadRequest("편의점 결제를 지원하지 않는 PG사입니다.")
    if due is not None:
        check_due(due, gateway.now())

    async def ask(claimed: Payment) -> AccountIssued | Declined | Unknown:
        order = BarcodeOrder(
            order_no=claimed.pg_order_no,
            amount=claimed.amount,
            barcode=barcode,
            due=due,
            ask_before=claimed.confirm_url is not None,
            name=claimed.name,
            merchant_name=opening.merchant.name,
            merchant_uid=claimed.merchant_uid,
            notice_url=gateway.notice_url(channel),
            buyer=claimed.buyer,
        )
        return await connector.issue_barcode(channel, order)

    return await issue_number(gateway, opening, ask, once)


async def may_be_paid(gateway: Gateway, channel: Channel, read: BarcodeRead) -> bool:
    """The till's question: is this barcode to be paid now? The merchant decides when it wants to.

    Only a barcode that waits, of this channel and for this amount, while its order is not paid
    otherwise; then the merchant's 200 within ten seconds (REST facts §9). No answer is a no:
    nothing was taken yet, so the customer only has to come again.
    """
    async with gateway.store.direct() as session:
        payment = await session.payments.get_by_pg_order(read.order_no)
        if payment is None or payment.channel_id != channel.id:
            return False
        taken = await session.payments.taken(payment.merchant_id, payment.merchant_uid)
    account = payment.virtual_account
    if (
        payment.step is not Step.WAITING_DEPOSIT
        or taken is not None
        or account is None
        or (account.number, payment.amount) != (read.barcode, read.amount)
        or gateway.now() > account.due
    ):
        return False
    if payment.confirm_url is None:
        return True
    said = {
        "event": "Galaxia.Cvs.Confirm",
        "imp_uid": payment.imp_uid,
        "merchant_uid": payment.merchant_uid,
        "status": "ready",
        "extra": {"barcode": read.barcode, "payType": read.pay_type},
    }
    try:
        answer = await gateway.wire.post_json(payment.confirm_url, said, timeouts=TIMEOUTS)
    except (NotSent, NoAnswer) as error:
        log.warning("%s: the merchant was not asked at the till: %s", payment.imp_uid, error)
        return False
    return answer.status == 200
