"""The one path on which an order is finished. Webhook, browser report and redirect all end here.

Safe in any order, any number of times and all at once: the gateway is asked first, with no
transaction open; then one conditional update decides, and the answer is read from our own order.
What the browser or the webhook claims only says which payment to ask about.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from naru.kit import (
    Cancelled,
    Client,
    Failed,
    Forged,
    NotFound,
    Order,
    Paid,
    Payment,
    Unknown,
    WaitingForDeposit,
    verify_payment,
)
from naru.shop import goods
from naru.shop.orders import Account, AlreadyUsed, Orders, StoredOrder
from naru.shop.sms import Sender, SendFailed

log = logging.getLogger(__name__)
KST = ZoneInfo("Asia/Seoul")
WEEKDAYS = "월화수목금토일"

Status = Literal["success", "vbankIssued", "forgery", "failed", "cancelled", "checking", "notOurs"]


@dataclass(frozen=True)
class Finalised:
    """How an order stands after asking. The first three statuses are the requirement's own.

    `order` is None for a forgery: nobody is shown an order that may not be theirs. It is None, too,
    for a payment that the gateway knows and that is for no order of this shop.
    """

    status: Status
    message: str
    order: StoredOrder | None = None


FORGERY = Finalised("forgery", "위조된 결제시도")
# A merchant takes payments beside its shop, too: by its server's calls, by a schedule.
NOT_OURS = Finalised("notOurs", "이 상점의 주문이 아닙니다.")


class Cashier:
    """Finishes orders. `client` asks the gateway, `orders` remembers, `sender` tells the buyer."""

    def __init__(
        self, client: Client, orders: Orders, sender: Sender, *, allow_sandbox: bool = False
    ) -> None:
        self._client = client
        self._orders = orders
        self._sender = sender
        self._allow_sandbox = allow_sandbox

    def finalise(self, imp_uid: str, claimed_merchant_uid: str | None = None) -> Finalised:
        """Ask the gateway about one payment and bring its order up to date.

        The order is the one the gateway names. A caller who claims another one is a forger, and
        changes neither. Raises the kit's Unavailable, Unauthorized or Refused when the gateway
        cannot be asked: nothing was changed, come back later.
        """
        try:
            payment = self._client.payment(imp_uid)
        except NotFound:
            return _forgery(imp_uid, "unknown to the gateway")
        if claimed_merchant_uid is not None and claimed_merchant_uid != payment.merchant_uid:
            return _forgery(imp_uid, "claimed for another order")
        return self._settle(payment)

    def look_again(self, merchant_uid: str) -> Finalised | None:
        """Ask for the payments of an order nobody told us about; None when there is none.

        For the buyer whose browser never came back, and for a webhook that never arrived.
        Raises as `finalise`.
        """
        try:
            page = self._client.find_payments(merchant_uid, limit=100, sorting="started")
        except NotFound:
            return None
        found = None
        for payment in page.payments:
            # The newest word stays, but a payment that paid is the last word.
            found = self._settle(payment)
            if found.status == "success":
                return found
        return found

    def _settle(self, payment: Payment) -> Finalised:
        order = self._orders.find(payment.merchant_uid or "")
        if order is None:
            log.info("payment %s is for no order of this shop", payment.imp_uid)
            return NOT_OURS
        asked = self._as_kit_order(order, payment)
        verdict = verify_payment(payment, asked)
        try:
            match verdict:
                case Forged(reasons=reasons):
                    return _forgery(payment.imp_uid, ", ".join(reasons))
                case Paid():
                    self._orders.mark_paid(
                        order.merchant_uid,
                        payment.imp_uid,
                        paid_at=int((payment.paid_at or datetime.now(UTC)).timestamp()),
                        paid_by=payment.card_name or payment.bank_name or payment.vbank_name,
                        receipt_url=payment.receipt_url,
                    )
                case WaitingForDeposit():
                    self._keep_account(order, payment)
                case Failed(reason=reason):
                    self._orders.mark_failed(
                        order.merchant_uid, payment.imp_uid, reason or "결제에 실패하였습니다."
                    )
                case Cancelled():
                    given_back = min(payment.cancel_amount or asked.amount, asked.amount)
                    self._orders.mark_cancelled(
                        order.merchant_uid,
                        payment.imp_uid,
                        goods.from_wire(given_back, order.currency),
                    )
                case Unknown():
                    pass
        except AlreadyUsed:
            return _forgery(payment.imp_uid, "replayed")
        self._send_messages(order.merchant_uid)
        return self._as_it_stands(order.merchant_uid, verdict)

    def _as_kit_order(self, order: StoredOrder, payment: Payment) -> Order:
        return Order(
            merchant_uid=order.merchant_uid,
            amount=goods.to_wire(order.amount_minor, order.currency),
            currency=order.currency,
            # Only a second payment that says "paid" is held against the bound one: a failed or
            # abandoned try beside it is no forgery, and can change nothing in a paid order.
            imp_uid=order.imp_uid if payment.status == "paid" else None,
            used_imp_uids=lambda imp_uid: self._orders.paid_for_another(
                imp_uid, order.merchant_uid
            ),
            allow_sandbox=self._allow_sandbox,
        )

    def _keep_account(self, order: StoredOrder, payment: Payment) -> None:
        assert payment.vbank_num is not None  # WaitingForDeposit says so
        account = Account(
            imp_uid=payment.imp_uid,
            bank=payment.vbank_name,
            number=payment.vbank_num,
            holder=payment.vbank_holder,
            due=payment.vbank_date,
        )
        self._orders.mark_waiting(
            order.merchant_uid, account, order.buyer_tel, account_text(order, account)
        )

    def _send_messages(self, merchant_uid: str) -> None:
        """Send what is written and unsent. A sick sender never spoils a payment."""
        for message in self._orders.claim_messages(merchant_uid):
            try:
                self._sender.send(message.receiver, message.text)
            except SendFailed as error:
                log.warning("a message about %s waits: %s", merchant_uid, error)
                self._orders.message_unsent(message)
            else:
                self._orders.message_sent(message)

    def _as_it_stands(self, merchant_uid: str, verdict: object) -> Finalised:
        """The answer comes from our own row: a slower, older word cannot contradict it."""
        order = self._orders.find(merchant_uid)
        assert order is not None  # orders are never deleted
        match order.status:
            case "paid":
                return Finalised("success", "일반 결제 성공", order)
            case "waiting_deposit":
                return Finalised("vbankIssued", "가상계좌 발급 성공", order)
            case "cancelled":
                return Finalised("cancelled", "취소된 결제", order)
        if isinstance(verdict, Unknown):
            return Finalised("checking", "결제 결과를 확인하고 있습니다.", order)
        return Finalised("failed", order.fail_reason or "결제에 실패하였습니다.", order)


def due_text(due: datetime) -> str:
    """`2026-12-01 (화) 23:59 KST`"""
    local = due.astimezone(KST)
    return f"{local:%Y-%m-%d} ({WEEKDAYS[local.weekday()]}) {local:%H:%M} KST"


def account_text(order: StoredOrder, account: Account) -> str:
    """The text message about a virtual account, on the requirement's sentence."""
    amount = goods.shown(order.amount_minor, order.currency, "ko")
    parts = ["가상계좌 발급이 성공되었습니다. 계좌 정보", account.bank or "", account.number]
    if account.due is not None:
        parts.append(due_text(account.due) + "까지")
    return " ".join(part for part in (*parts, amount) if part)


def _forgery(imp_uid: str, why: str) -> Finalised:
    log.warning("forged payment %s: %s", imp_uid, why)
    return FORGERY
