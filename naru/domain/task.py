"""Tasks: what the house cannot end by itself and lays before a person.

Money is never guessed at. Where the rules end (a PG that cannot be asked, a deposit of the wrong
amount) the fact is booked, and a task says what happened and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TaskKind(StrEnum):
    """Why a person is asked. `SAID` tells each in words."""

    APPROVAL_UNKNOWN = "approval_unknown"
    CANCEL_UNKNOWN = "cancel_unknown"
    CLOSING_UNKNOWN = "closing_unknown"
    ANSWER_MISMATCH = "answer_mismatch"
    ANSWERS_CONTRADICT = "answers_contradict"
    APPROVED_LATE = "approved_late"
    CANCELLED_LATE = "cancelled_late"
    CANCEL_AMOUNT = "cancel_amount"
    DEPOSIT_SHORT = "deposit_short"
    DEPOSIT_OVER = "deposit_over"
    DEPOSIT_LATE = "deposit_late"
    DEPOSIT_EARLY = "deposit_early"
    DEPOSIT_OTHER_ACCOUNT = "deposit_other_account"
    DEPOSIT_OTHER_CURRENCY = "deposit_other_currency"
    DEPOSIT_AFTER_END = "deposit_after_end"
    DEPOSIT_UNKNOWN_ORDER = "deposit_unknown_order"
    NOTICE_UNREADABLE = "notice_unreadable"
    ORDER_PAID_TWICE = "order_paid_twice"
    BOOK_CHARGE_UNKNOWN = "book_charge_unknown"
    BOOK_CHARGE_MISSING = "book_charge_missing"
    BOOK_CANCEL_UNKNOWN = "book_cancel_unknown"
    BOOK_CANCEL_MISSING = "book_cancel_missing"
    BOOK_DEPOSIT_MISSING = "book_deposit_missing"
    BOOK_AMOUNT = "book_amount"
    BOOK_UNDONE = "book_undone"
    BOOK_UNREADABLE = "book_unreadable"
    CANCELLED_AT_PG = "cancelled_at_pg"
    WEBHOOK_PARKED = "webhook_parked"
    PROMISE_BROKEN = "promise_broken"
    RECEIPT_UNKNOWN = "receipt_unknown"
    RECEIPT_AMOUNT = "receipt_amount"
    RECEIPT_STANDS = "receipt_stands"
    RECEIPT_TOO_LARGE = "receipt_too_large"
    ERRAND_UNKNOWN = "errand_unknown"
    KEY_UNKNOWN = "key_unknown"
    MEMBER_UNKNOWN = "member_unknown"


@dataclass(frozen=True, slots=True)
class Said:
    """One kind in two languages: what happened, and what to do about it."""

    happened: str
    advice: str
    happened_ko: str
    advice_ko: str


SAID: dict[TaskKind, Said] = {
    TaskKind.APPROVAL_UNKNOWN: Said(
        "Nobody here can find out whether the PG approved the payment.",
        "Look the order number up in the PG's console and tell what it shows, not-approved or"
        " approved: `naru decide IMP_UID not-approved --by NAME --note TEXT`. The order stays locked"
        " until then, or until the PG's word is found; it is still asked once a day.",
        "승인 여부를 확인할 수 없는 결제입니다.",
        "PG사 관리자에서 주문번호를 조회하고 결과(approved, not-approved)를"
        " `naru decide IMP_UID not-approved --by 이름 --note 메모` 로 기록하세요. 주문은 확인될 때까지 잠겨 있습니다.",
    ),
    TaskKind.CANCEL_UNKNOWN: Said(
        "Nobody here can find out whether the PG gave the money back.",
        "Look the payment up in the PG's console and tell what it shows, not-cancelled or"
        " cancelled: `naru decide IMP_UID not-cancelled --by NAME --note TEXT`. The amount stays"
        " reserved until then, or until the PG's word is found; it is still asked once a day.",
        "취소 여부를 확인할 수 없는 결제입니다.",
        "PG사 관리자에서 결과(cancelled, not-cancelled)를 확인하고"
        " `naru decide IMP_UID not-cancelled --by 이름 --note 메모` 로 기록하세요. 확인될 때까지 해당 금액은 다시 취소할 수 없습니다.",
    ),
    TaskKind.CLOSING_UNKNOWN: Said(
        "Nobody here can find out whether the PG closed the virtual account.",
        "Look the account up in the PG's console and close it there if it is open.",
        "가상계좌 말소 여부를 확인할 수 없습니다.",
        "PG사 관리자에서 가상계좌 상태를 확인하고, 열려 있으면 말소하세요.",
    ),
    TaskKind.ANSWER_MISMATCH: Said(
        "The PG approved something else than it was asked for; the approval is being undone.",
        "See that the PG's console shows nothing approved for this order, and ask the PG why.",
        "PG사가 요청과 다른 내용으로 승인하여 승인을 되돌리고 있습니다.",
        "PG사 관리자에서 승인이 남아 있지 않은지 확인하고 원인을 문의하세요.",
    ),
    TaskKind.ANSWERS_CONTRADICT: Said(
        "The PG says something else than it said before.",
        "Ask the PG which of its answers is true; nothing was changed here.",
        "PG사의 응답이 이전 응답과 다릅니다.",
        "PG사에 어느 응답이 맞는지 문의하세요. 결제 상태는 변경되지 않았습니다.",
    ),
    TaskKind.APPROVED_LATE: Said(
        "The PG approved a payment after it had been given up; it is booked as paid.",
        "If the buyer has paid the order again or does not want it any more, cancel this payment.",
        "실패로 처리된 결제가 나중에 승인되어 결제완료로 기록했습니다.",
        "구매자가 다시 결제했거나 주문을 원하지 않으면 이 결제를 취소하세요.",
    ),
    TaskKind.CANCELLED_LATE: Said(
        "The PG did a cancel that had been given up; it is booked.",
        "If the merchant cancelled once more meanwhile, see which of the two was meant.",
        "실패로 처리된 취소가 나중에 PG사에서 처리되어 반영했습니다.",
        "그 사이 다시 취소한 적이 있으면 어느 취소가 맞는지 확인하세요.",
    ),
    TaskKind.CANCEL_AMOUNT: Said(
        "The PG cancelled another amount than it was asked to; the books follow the PG.",
        "Settle the difference with the PG.",
        "PG사가 요청한 금액과 다른 금액을 취소하였고, 실제 취소된 금액으로 기록했습니다.",
        "차액을 PG사와 정리하세요.",
    ),
    TaskKind.DEPOSIT_SHORT: Said(
        "Less than the amount was deposited; the payment still waits.",
        "Ask the buyer for the rest or give the deposit back.",
        "입금액이 결제금액보다 적어 결제가 완료되지 않았습니다.",
        "구매자에게 차액 입금을 요청하거나 입금액을 환불하세요.",
    ),
    TaskKind.DEPOSIT_OVER: Said(
        "More than the amount was deposited; the payment still waits.",
        "Give the deposit back, or settle the order by hand and give the difference back.",
        "입금액이 결제금액보다 많아 결제가 완료되지 않았습니다.",
        "입금액을 환불하거나, 주문을 직접 처리하고 차액을 환불하세요.",
    ),
    TaskKind.DEPOSIT_LATE: Said(
        "A deposit came after the virtual account's due date.",
        "Give it back, or settle the order by hand.",
        "입금기한이 지난 뒤에 입금되었습니다.",
        "입금액을 환불하거나 주문을 직접 처리하세요.",
    ),
    TaskKind.DEPOSIT_EARLY: Said(
        "A deposit came before its virtual account was written here; it pays when the account is.",
        "Wait: the task closes itself then. If the payment ends as failed, give the deposit back.",
        "가상계좌가 기록되기 전에 입금 통보를 받았습니다.",
        "가상계좌가 확인되면 자동으로 종료됩니다. 결제가 실패로 끝나면 입금액을 환불하세요.",
    ),
    TaskKind.DEPOSIT_OTHER_ACCOUNT: Said(
        "A deposit names another account than the one that was issued for the payment.",
        "Ask the PG which account took it; the payment still waits.",
        "발급된 가상계좌와 다른 계좌에 입금되었다는 통보를 받았습니다.",
        "PG사에 어느 계좌의 입금인지 확인하세요. 결제는 아직 입금 대기 중입니다.",
    ),
    TaskKind.DEPOSIT_OTHER_CURRENCY: Said(
        "A deposit came in another currency than the payment's.",
        "Give it back; the payment still waits.",
        "결제 통화와 다른 통화로 입금되었습니다.",
        "입금액을 환불하세요. 결제는 아직 입금 대기 중입니다.",
    ),
    TaskKind.DEPOSIT_AFTER_END: Said(
        "A deposit came for a payment that does not wait for one any more.",
        "Give it back.",
        "이미 종료된 결제에 입금되었습니다.",
        "입금액을 환불하세요.",
    ),
    TaskKind.DEPOSIT_UNKNOWN_ORDER: Said(
        "A deposit came for an order that is not ours.",
        "Ask the PG whose it is; a PG's test notice needs nothing but closing this task.",
        "알 수 없는 주문에 대한 입금 통보를 받았습니다.",
        "PG사에 확인하세요. PG사의 시험 통보라면 이 작업만 종료하면 됩니다.",
    ),
    TaskKind.NOTICE_UNREADABLE: Said(
        "The PG sent a notice that it signed and that cannot be read or booked; it was not acknowledged,"
        " and is kept.",
        "Look at the PG's console for what it tells of, and update Naru if the PG has changed its notices:"
        " it is tried again every hour, and the task closes itself. There is one task for all such notices"
        " of a channel, which says how many; to close it by hand lets them go.",
        "PG사의 서명은 맞지만 해석하거나 기록할 수 없는 통보를 받았고, 수신 확인을 하지 않은 채 보관했습니다.",
        "PG사 관리자에서 내용을 확인하고, PG사의 통보 형식이 바뀌었다면 나루를 업데이트하세요."
        " 한 시간마다 다시 처리하며 성공하면 자동으로 종료됩니다. 한 채널의 통보는 한 작업에 모이며,"
        " 직접 종료하면 보관한 통보도 지워집니다.",
    ),
    TaskKind.ORDER_PAID_TWICE: Said(
        "One order has been paid by two payments.",
        "Cancel one of them.",
        "한 주문이 두 번 결제되었습니다.",
        "둘 중 한 결제를 취소하세요.",
    ),
    TaskKind.BOOK_CHARGE_UNKNOWN: Said(
        "The PG's book has a charge that no payment of ours accounts for.",
        "Look it up in the PG's console; give it back there if no order stands behind it.",
        "PG사 장부에 있는 승인 거래를 결제 내역에서 찾을 수 없습니다.",
        "PG사 관리자에서 거래를 조회하고, 해당하는 주문이 없으면 취소하세요.",
    ),
    TaskKind.BOOK_CHARGE_MISSING: Said(
        "A payment is paid here, and the PG's book has no charge for it.",
        "Ask the PG; do not deliver before its answer.",
        "결제완료된 결제가 PG사 장부에 없습니다.",
        "PG사에 확인하고, 확인될 때까지 상품을 보내지 마세요.",
    ),
    TaskKind.BOOK_CANCEL_UNKNOWN: Said(
        "The PG's book has a cancel that cannot be booked here.",
        "Compare the payment with the PG's console; nothing was changed here.",
        "PG사 장부에 있는 취소를 기록할 수 없습니다.",
        "PG사 관리자의 내역과 비교하세요. 결제 상태는 변경되지 않았습니다.",
    ),
    TaskKind.BOOK_CANCEL_MISSING: Said(
        "Money is given back here, and the PG's book has no such cancel.",
        "Ask the PG whether the buyer gets the money.",
        "취소된 결제의 취소 내역이 PG사 장부에 없습니다.",
        "구매자에게 환불되었는지 PG사에 확인하세요.",
    ),
    TaskKind.BOOK_DEPOSIT_MISSING: Said(
        "A deposit is booked here, and the PG's book does not have it.",
        "Ask the PG; do not deliver before its answer.",
        "기록된 입금이 PG사 장부에 없습니다.",
        "PG사에 확인하고, 확인될 때까지 상품을 보내지 마세요.",
    ),
    TaskKind.BOOK_AMOUNT: Said(
        "The PG's book has another amount than ours.",
        "Settle the difference with the PG; nothing was changed here.",
        "PG사 장부의 금액이 기록된 금액과 다릅니다.",
        "차액을 PG사와 정리하세요. 결제 상태는 변경되지 않았습니다.",
    ),
    TaskKind.BOOK_UNDONE: Said(
        "A payment is paid here, and the PG's book says that its approval was undone.",
        "Ask the PG; if it is so the buyer has not paid.",
        "결제완료된 결제가 PG사 장부에는 망취소되어 있습니다.",
        "PG사에 확인하세요. 사실이면 구매자는 결제하지 않은 것입니다.",
    ),
    TaskKind.BOOK_UNREADABLE: Said(
        "The PG's book could not be read for more than two days.",
        "Run `naru books compare`; if it fails, ask the PG.",
        "PG사 장부를 이틀 넘게 읽지 못했습니다.",
        "`naru books compare` 를 실행해 보고, 실패하면 PG사에 문의하세요.",
    ),
    TaskKind.CANCELLED_AT_PG: Said(
        "A payment was cancelled at the PG's own console; it is booked here.",
        "See that the merchant knows; cancels belong in the gateway.",
        "PG사 관리자에서 직접 취소된 결제를 반영했습니다.",
        "가맹점이 알고 있는지 확인하세요. 취소는 게이트웨이에서 하는 것이 좋습니다.",
    ),
    TaskKind.WEBHOOK_PARKED: Said(
        "A webhook could not be delivered and is not tried any more.",
        "See that the merchant's address answers, then `naru webhooks resend NUMBER`.",
        "웹훅을 전달하지 못해 재시도를 중단했습니다.",
        "가맹점의 수신 주소를 확인한 뒤 `naru webhooks resend 번호` 로 다시 보내세요.",
    ),
    TaskKind.PROMISE_BROKEN: Said(
        "The worker's audit found that the database breaks a promise.",
        "Run `naru audit`: it says what is broken and what to do. Do not cancel what is named until then.",
        "정기 점검에서 데이터베이스의 약속이 깨진 것을 발견했습니다.",
        "`naru audit` 를 실행하면 깨진 항목과 조치 방법이 나옵니다. 그때까지 해당 결제를 취소하지 마세요.",
    ),
    TaskKind.RECEIPT_UNKNOWN: Said(
        "Nobody here knows whether the PG issued a cash receipt, or took it back.",
        "Look it up in the PG's console. It is asked again by its number until the PG answers.",
        "현금영수증의 발급(취소) 여부를 확인할 수 없습니다.",
        "PG사 관리자에서 확인하세요. PG사가 응답할 때까지 같은 번호로 계속 다시 묻습니다.",
    ),
    TaskKind.RECEIPT_AMOUNT: Said(
        "The PG issued a cash receipt for another amount than it was asked to; it is taken back.",
        "See that the PG's console shows no such receipt, ask the PG why, and issue it anew.",
        "PG사가 요청과 다른 금액으로 현금영수증을 발급하여 취소하고 있습니다.",
        "PG사 관리자에서 취소되었는지 확인하고 원인을 문의한 뒤 다시 발급하세요.",
    ),
    TaskKind.RECEIPT_STANDS: Said(
        "A payment was given back whole, and the PG will not take its cash receipt back.",
        "Cancel the cash receipt in the PG's console, or at the tax office.",
        "전액 취소된 결제의 현금영수증을 PG사가 취소하지 않았습니다.",
        "PG사 관리자나 국세청에서 현금영수증을 취소하세요.",
    ),
    TaskKind.RECEIPT_TOO_LARGE: Said(
        "A cash receipt tells the tax office more than was kept: of a payment of which a part was given"
        " back, or of an order that was said to be paid elsewhere and has a receipt of its buyer's own.",
        "Take the receipt back (DELETE /receipts/IMP_UID) and issue it anew of what is left: POST"
        " /receipts/IMP_UID with the buyer's number, which is not kept here. One without a payment is only"
        " taken back: DELETE /receipts/external/MERCHANT_UID.",
        "부분취소된 결제의 현금영수증이 취소 전 금액으로 남아 있거나, 외부 결제건 현금영수증이 구매자가 발급받은 현금영수증과 중복됩니다.",
        "현금영수증을 취소(DELETE /receipts/IMP_UID)한 뒤, 구매자의 식별번호로 남은 금액을 다시"
        " 발급(POST /receipts/IMP_UID)하세요. 식별번호는 여기에 저장되지 않습니다."
        " 외부 결제건은 취소(DELETE /receipts/external/MERCHANT_UID)만 하세요.",
    ),
    TaskKind.KEY_UNKNOWN: Said(
        "Nobody here knows whether the PG keeps a card under a billing key.",
        "Look the key's number up in the PG's console; close one there that was deleted or replaced here."
        " The PG is asked again until it answers, and the customer is not charged by the key before.",
        "빌링키 발급(삭제) 여부를 확인할 수 없습니다.",
        "PG사 관리자에서 빌링키 요청번호를 확인하고, 삭제되었거나 교체된 빌링키이면 해지하세요."
        " PG사가 응답할 때까지 계속 다시 묻고, 그 전에는 결제에 사용되지 않습니다.",
    ),
    TaskKind.MEMBER_UNKNOWN: Said(
        "Nobody here knows whether the PG forgot a member of quick pay, or switched their FIDO off.",
        "Look the member up in the PG's console. It is asked again by its number until the PG answers.",
        "퀵페이 회원 삭제(생체인증 해제) 여부를 확인할 수 없습니다.",
        "PG사 관리자에서 회원을 확인하세요. PG사가 응답할 때까지 같은 번호로 계속 다시 묻습니다.",
    ),
    TaskKind.ERRAND_UNKNOWN: Said(
        "Nobody here knows whether the PG heard of a shipment, of the sub-shops on a slip, of an account's"
        " change, or of an act about an order at its mall (placed, shipped, sent back).",
        "Look the payment up in the PG's console. The PG is asked again by the number until it answers.",
        "배송정보, 하위 상점, 가상계좌 변경 또는 상품주문 처리(발주, 발송, 반품)가 PG사에 전달되었는지 확인할 수 없습니다.",
        "PG사 관리자에서 결제건을 확인하세요. PG사가 응답할 때까지 같은 번호로 계속 다시 묻습니다.",
    ),
}


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that a person must look at. Open until somebody closes it with a name and a note.

    `subject` is what it is about: an imp_uid, a cancel's, a notice's or a webhook's number.
    `sentence` holds the particulars; no secret and nothing of the buyer's is in it.
    """

    id: int
    kind: str
    subject: str
    imp_uid: str | None
    sentence: str
    opened_at: datetime
    alerted_at: datetime | None
    closed_at: datetime | None
    closed_by: str | None
    note: str | None
