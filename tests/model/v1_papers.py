"""V1 in plain Python, further: what is promised of money without moving it.

Cash receipts of payments and of orders that were paid outside; another amount or due date for an
account that waits. The tax office hears of no more cash than is left; where a part went back, the
receipt stands until the merchant takes it back.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.v1 import BUSY, CHECKING, DONE, NO_PAYMENT, V1, Cancel, Payment, Words

NOT_CASH = "결제완료된 현금성 결제건만 현금영수증을 발급할 수 있습니다."
ISSUED_ALREADY = "이미 현금영수증이 발급된 결제건입니다."
ISSUED_OUTSIDE = "이미 현금영수증이 발급된 merchant_uid 입니다."
NEVER_ISSUED = "현금영수증이 발급된 내역이 존재하지 않습니다."
NO_OUTSIDE = "해당 merchant_uid 로 현금영수증을 발급한 내역이 존재하지 않습니다."
BEING_TOLD = "현금영수증 발급(취소) 결과를 확인하고 있습니다. 잠시 후 조회해주세요."
NO_RECEIPTS_HERE = "현금영수증을 지원하지 않는 PG사입니다."
PAID_HERE = "결제창이나 API로 결제된 주문입니다. POST /receipts/{imp_uid} 로 발급해주세요."
TAX_FREE_TOO_MUCH = "tax_free 가 금액보다 클 수 없습니다."
MORE_THAN_LEFT = "발급 금액이 거래 잔액보다 큽니다."

NOT_WAITING = "입금 대기중인 가상계좌 결제건이 아닙니다."
NO_CHANGES_HERE = "가상계좌 정보 수정을 지원하지 않는 PG사입니다."
PAID_IN_PART = "이미 입금된 내역이 있는 가상계좌는 수정할 수 없습니다."
DUE_PASSED = "vbank_due 가 이미 지난 시각입니다."
CHANGE_UNDER_WAY = "PG사에 요청한 결과를 확인하고 있습니다. 잠시 후 다시 시도해주세요."
# The PG's own words.
PG_NOT_WAITING = "입금 대기 중인 가상계좌가 아닙니다."
PG_DEPOSITED = "이미 입금된 내역이 있는 가상계좌입니다."
PG_DUE_PASSED = "입금기한이 이미 지났습니다."

CASH = ("vbank", "point")
TELLS_TAX_OFFICE = ("kcp", "settle")


def no_receipt(imp_uid: str) -> str:
    """V1's words for a payment without one."""
    return f"해당 아임포트 고유 번호({imp_uid})로 현금영수증을 발급 한 내역이 존재하지 않습니다."


@dataclass(eq=False)
class Receipt:
    """One question to the tax office: asking, then issued or refused; cancelling, then cancelled."""

    merchant: int
    order: str
    payment: Payment | None
    amount: int
    tax_free: int
    at: int
    done: bool = True  # the PG has done what it was asked last
    state: str = "issued"
    told: int = 0  # what the tax office heard of
    cancelled_at: int = 0
    cancels: int = 0
    silences: int = 1
    fail_reason: str = ""

    @property
    def subject(self) -> str:
        """The payment's name, or the order's."""
        return self.order if self.payment is None else self.payment.imp_uid

    def annotation(self) -> dict[str, object]:
        """The fields of the answer that the model knows."""
        return {
            "merchant_uid" if self.payment is None else "imp_uid": self.subject,
            "amount": self.amount,
            "vat": (self.amount - self.tax_free) // 11,
            "type": "person",
            "applied_at": self.at,
            "cancelled_at": self.cancelled_at,
        }

    def take_back(self) -> None:
        """It has to go."""
        self.state, self.cancels, self.done, self.silences = (
            "cancelling",
            self.cancels + 1,
            False,
            1,
        )


@dataclass(eq=False)
class Change:
    """Another amount and due date for an account; `refused` once the PG has said no."""

    payment: Payment
    amount: int
    due: int
    done: bool
    silences: int = 1
    refused: str | None = None
    ended: bool = False


class Papers(V1):
    """With cash receipts and changes of accounts."""

    def __init__(self) -> None:
        super().__init__()
        self.receipts: list[Receipt] = []
        self.changes: list[Change] = []

    # --- cash receipts -------------------------------------------------------------------------

    def receipt_of(self, merchant: int, payment: Payment | None, order: str) -> Receipt | None:
        """The newest one that was not refused, of a payment or of an order that was paid outside."""
        for each in reversed(self.receipts):
            ours = each.merchant == merchant and each.payment is payment
            if ours and each.order == order and each.state != "refused":
                return each
        return None

    def living(self, merchant: int, order: str) -> Receipt | None:
        """What the tax office was told of an order's cash, or may have been, whichever way."""
        for each in self.receipts:
            same = (each.merchant, each.order) == (merchant, order)
            if same and each.state not in ("refused", "cancelled"):
                return each
        return None

    def refuse_receipt(self, payment: Payment, merchant: int, tax_free: int) -> Words | None:
        """Why none is issued of a payment, if so."""
        if payment.merchant != merchant:
            return 404, -1, NO_PAYMENT
        if payment.pg not in TELLS_TAX_OFFICE:
            return 501, -1, NO_RECEIPTS_HERE
        if payment.step != "paid" or payment.method not in CASH:
            return 400, -1, NOT_CASH
        known = self.living(merchant, payment.order)
        if known is not None and known.state != "issued":
            return 200, 1, BEING_TOLD
        if payment.doubt is not None:
            return 200, 1, BUSY
        if tax_free > payment.balance:
            return 400, -1, TAX_FREE_TOO_MUCH
        return None if known is None else (400, -1, ISSUED_ALREADY)

    def refuse_outside(self, merchant: int, order: str) -> Words | None:
        """Why none is issued of an order that was paid outside, if so."""
        here = ("approving", "waiting_deposit", "paid", "cancelled")
        for each in self.payments:
            if (each.merchant, each.order) == (merchant, order) and each.step in here:
                return 400, -1, PAID_HERE
        known = self.living(merchant, order)
        if known is not None and known.state != "issued":
            return 200, 1, BEING_TOLD
        return None if known is None else (400, -1, ISSUED_OUTSIDE)

    def refuse_revoking(self, known: Receipt | None, *, outside: bool) -> Words | None:
        """Why none is taken back, if so."""
        if known is None:
            return (404, -1, NO_OUTSIDE) if outside else (400, -1, NEVER_ISSUED)
        return (200, 1, BEING_TOLD) if known.state in ("asking", "cancelling") else None

    def shown(self, known: Receipt | None, subject: str, *, outside: bool) -> Words:
        """GET one."""
        if known is None:
            return 404, -1, NO_OUTSIDE if outside else no_receipt(subject)
        return (200, 1, CHECKING) if known.state == "asking" else DONE

    def settle_receipt(self, new: Receipt, fate: str, declined: str) -> None:
        """The PG's answer to the question for a receipt."""
        self.receipts.append(new)
        match fate:
            case "ok":
                new.told = new.amount
            case "declined":
                new.state, new.done, new.fail_reason = "refused", False, declined
            case "mismatch":
                new.told = new.amount + 1
                new.take_back()
            case _:
                new.state, new.done = "asking", fate != "never"

    def settle_revoking(self, known: Receipt, fate: str, now: int, declined: str) -> None:
        """The PG's answer to the question to forget a receipt."""
        known.take_back()
        match fate:
            case "ok":
                known.state, known.done, known.cancelled_at = "cancelled", True, now
            case "declined":
                known.state, known.fail_reason = "issued", declined
            case "lost" | "garbage":
                known.done, known.told = True, now

    def cancelled(self, payment: Payment, cancel: Cancel) -> None:
        """Of money that went back whole there is no receipt any more."""
        super().cancelled(payment, cancel)
        known = self.receipt_of(payment.merchant, payment, payment.order)
        if payment.step == "cancelled" and known is not None and known.state == "issued":
            known.take_back()

    def open_receipts(self) -> list[Receipt]:
        """What the worker will ask about again."""
        return [each for each in self.receipts if each.state in ("asking", "cancelling")]

    def end_receipts(self, now: int, *, silent: bool) -> None:
        """The worker asks again, by the same number."""
        for each in self.open_receipts():
            if silent:
                each.silences += 1
                continue
            if each.state == "asking":
                self._issued_after_all(each, now)
            if each.state == "cancelling":
                each.cancelled_at = each.told if each.done else now
                each.state, each.done = "cancelled", True

    def _issued_after_all(self, each: Receipt, now: int) -> None:
        if not each.done:
            each.at = now
            if each.payment is not None and each.amount > self._left_at_pg(each.payment):
                each.state, each.fail_reason = "refused", MORE_THAN_LEFT
                return
        each.state, each.done = "issued", True
        if each.payment is not None and each.payment.step != "paid":
            each.take_back()

    @staticmethod
    def _left_at_pg(payment: Payment) -> int:
        deposited = sum(each.amount for each in payment.deposits)
        return (deposited or payment.amount) - payment.cancelled

    # --- accounts that wait for something else -------------------------------------------------

    def change_of(self, payment: Payment) -> Change | None:
        """The change of which nobody knows yet."""
        return next((e for e in self.changes if e.payment is payment and not e.ended), None)

    def refuse_change(
        self, payment: Payment, merchant: int, due: int | None, now: int
    ) -> Words | None:
        """Why an account is not changed, if so."""
        if payment.merchant != merchant:
            return 404, -1, NO_PAYMENT
        if payment.step != "waiting_deposit":
            return 400, -1, NOT_WAITING
        if payment.pg != "settle":
            return 400, -1, NO_CHANGES_HERE
        if (payment.due if due is None else due) <= now:
            return 400, -1, DUE_PASSED
        if payment.doubt is not None:
            return 200, 1, BUSY
        if payment.deposits:
            return 400, -1, PAID_IN_PART
        if self.change_of(payment) is not None:
            return 200, 1, CHANGE_UNDER_WAY
        return None

    def changed(self, change: Change) -> None:
        """The PG was told; what was deposited since may pay the payment now."""
        change.ended = True
        if change.payment.step == "waiting_deposit":
            change.payment.amount, change.payment.due = change.amount, change.due
            change.payment.become("account_changed", "waiting_deposit")
            self._pay(change.payment)

    def end_changes(self, now: int, *, silent: bool) -> None:
        """The worker tells the PG again, by the same number."""
        for each in self.changes:
            if each.ended:
                continue
            if silent:
                each.silences += 1
                continue
            if not each.done:
                each.refused = self._pg_refuses(each, now)
            if each.refused is None:
                self.changed(each)
            each.ended = True

    @staticmethod
    def _pg_refuses(change: Change, now: int) -> str | None:
        if change.payment.step != "waiting_deposit":
            return PG_NOT_WAITING
        if change.payment.deposits:
            return PG_DEPOSITED
        return PG_DUE_PASSED if change.due <= now else None
