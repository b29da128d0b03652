"""Which card, which amount, which choice in the window causes what: one table.

A scenario is caused by paying its amount (in the currency's smallest unit, so 900,011 won and
9,000.11 dollars are the same row), by using its card, or by choosing it in the window of a test
order. A choice in the window wins over the card, the card over the amount.

Faults are acted out for real by wire.py: real delays, real cut connections, every time the same
question is asked. An inquiry always tells the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["authentication", "approval", "net_cancel", "cancel", "order"]
AnswerKind = Literal["truth", "silence", "cut", "garbage", "forged", "error_page"]


@dataclass(frozen=True, slots=True)
class Manner:
    """How the PG behaves instead of simply answering."""

    answers: AnswerKind = "truth"
    does: bool = True  # is the deed done?
    deed_after_seconds: float = 0  # the deed happens so long after the question
    answer_after_seconds: float = 0  # the answer leaves so long after the deed
    amount_off: int = 0  # approves for so much more than was asked
    net_cancel_down_seconds: int = 0  # net-cancel answers 503 so long after the approval


PLAIN = Manner()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row. `code` and `message` are the PG's own words when it refuses."""

    name: str
    stage: Stage
    ko: str
    en: str
    amount: int | None = None
    card_id: str | None = None
    code: str | None = None
    message: str = ""
    manner: Manner = PLAIN


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "refused_card",
        "authentication",
        "카드사가 항상 거절하는 카드입니다.",
        "The card company always refuses this card.",
        card_id="mpi-refused",
        code="CARD_REFUSED",
        message="카드사에서 거절하였습니다. 카드사로 문의하시기 바랍니다.",
    ),
    Scenario(
        "expired_card",
        "authentication",
        "유효기간이 지난 카드라서 거절됩니다.",
        "The card has expired and is refused.",
        card_id="mpi-expired",
        code="CARD_EXPIRED",
        message="유효기간이 지난 카드입니다.",
    ),
    Scenario(
        "lost_card",
        "authentication",
        "분실 신고된 카드라서 거절됩니다.",
        "The card was reported lost and is refused.",
        card_id="mpi-lost",
        code="CARD_LOST",
        message="분실 신고된 카드입니다.",
    ),
    Scenario(
        "stolen_card",
        "authentication",
        "도난 신고된 카드라서 거절됩니다.",
        "The card was reported stolen and is refused.",
        card_id="mpi-stolen",
        code="CARD_STOLEN",
        message="도난 신고된 카드입니다.",
    ),
    Scenario(
        "limit_exceeded",
        "approval",
        "승인이 한도 초과로 거절됩니다.",
        "The approval is declined: over the card's limit.",
        amount=900_001,
        card_id="mpi-limit",
        code="LIMIT_EXCEEDED",
        message="한도초과",
    ),
    Scenario(
        "balance_short",
        "approval",
        "승인이 잔액 부족으로 거절됩니다.",
        "The approval is declined: the balance is too small.",
        amount=900_002,
        card_id="mpi-balance",
        code="BALANCE_SHORT",
        message="잔액부족",
    ),
    Scenario(
        "suspended",
        "approval",
        "승인이 거래 정지 카드로 거절됩니다.",
        "The approval is declined: the card is suspended.",
        amount=900_003,
        code="CARD_SUSPENDED",
        message="거래정지 카드",
    ),
    Scenario(
        "issuer_down",
        "approval",
        "카드사 점검 중이라 승인이 거절됩니다.",
        "The approval is declined: the card company is under maintenance.",
        amount=900_004,
        code="ISSUER_DOWN",
        message="카드사 시스템 점검 중입니다. 잠시 후 다시 시도해 주십시오.",
    ),
    Scenario(
        "approve_slow",
        "approval",
        "승인은 되지만 대답이 3초 뒤에 옵니다.",
        "Approved, but the answer comes after 3 seconds.",
        amount=900_011,
        manner=Manner(answer_after_seconds=3),
    ),
    Scenario(
        "approve_very_slow",
        "approval",
        "승인은 되지만 대답이 20초 뒤에 옵니다.",
        "Approved, but the answer comes after 20 seconds.",
        amount=900_012,
        manner=Manner(answer_after_seconds=20),
    ),
    Scenario(
        "approve_silent_done",
        "approval",
        "승인은 되었지만 대답이 오지 않습니다.",
        "Approved, but no answer ever comes.",
        amount=900_013,
        manner=Manner(answers="silence"),
    ),
    Scenario(
        "approve_silent_undone",
        "approval",
        "승인되지 않았고 대답도 오지 않습니다.",
        "Not approved, and no answer ever comes.",
        amount=900_014,
        manner=Manner(answers="silence", does=False),
    ),
    Scenario(
        "approve_cut_done",
        "approval",
        "승인 직후 연결이 끊어집니다.",
        "Approved, then the connection is cut.",
        amount=900_015,
        manner=Manner(answers="cut"),
    ),
    Scenario(
        "approve_cut_undone",
        "approval",
        "승인하지 않고 연결이 끊어집니다.",
        "The connection is cut without an approval.",
        amount=900_016,
        manner=Manner(answers="cut", does=False),
    ),
    Scenario(
        "approve_garbage",
        "approval",
        "승인은 되었지만 알아볼 수 없는 대답이 옵니다.",
        "Approved, but the answer is garbage.",
        amount=900_017,
        manner=Manner(answers="garbage"),
    ),
    Scenario(
        "approve_other_amount",
        "approval",
        "요청보다 10 큰 금액으로 승인됩니다.",
        "Approved for an amount 10 larger than asked.",
        amount=900_018,
        manner=Manner(amount_off=10),
    ),
    Scenario(
        "approve_forged",
        "approval",
        "승인은 되었지만 대답의 서명이 틀립니다.",
        "Approved, but the answer carries a wrong signature.",
        amount=900_019,
        manner=Manner(answers="forged"),
    ),
    Scenario(
        "approve_error_page",
        "approval",
        "승인은 되었지만 502 오류 페이지가 옵니다.",
        "Approved, but the answer is a 502 error page.",
        amount=900_020,
        manner=Manner(answers="error_page"),
    ),
    Scenario(
        "approve_late_deed",
        "approval",
        "대답 없이 8초 뒤에야 승인됩니다. 그 전에 망취소가 오면 승인되지 않습니다.",
        "Never answers and approves only 8 seconds later, unless a net-cancel came first.",
        amount=900_021,
        manner=Manner(answers="silence", deed_after_seconds=8),
    ),
    Scenario(
        "net_cancel_down",
        "net_cancel",
        "승인 직후 연결이 끊어지고, 망취소는 30초 동안 503으로 실패합니다.",
        "Approved, the connection is cut, and net-cancel answers 503 for 30 seconds.",
        amount=900_022,
        manner=Manner(answers="cut", net_cancel_down_seconds=30),
    ),
    Scenario(
        "cancel_refused",
        "cancel",
        "결제는 되지만 취소가 거절됩니다.",
        "Paid, but every cancel is refused.",
        amount=900_031,
        code="CANCEL_REFUSED",
        message="카드사에서 취소를 거절하였습니다.",
    ),
    Scenario(
        "cancel_very_slow",
        "cancel",
        "취소의 대답이 20초 뒤에 옵니다.",
        "A cancel is answered after 20 seconds.",
        amount=900_032,
        manner=Manner(answer_after_seconds=20),
    ),
    Scenario(
        "cancel_silent_done",
        "cancel",
        "취소는 되었지만 대답이 오지 않습니다.",
        "Cancelled, but no answer ever comes.",
        amount=900_033,
        manner=Manner(answers="silence"),
    ),
    Scenario(
        "cancel_silent_undone",
        "cancel",
        "취소되지 않았고 대답도 오지 않습니다.",
        "Not cancelled, and no answer ever comes.",
        amount=900_034,
        manner=Manner(answers="silence", does=False),
    ),
    Scenario(
        "cancel_cut_done",
        "cancel",
        "취소 직후 연결이 끊어집니다.",
        "Cancelled, then the connection is cut.",
        amount=900_035,
        manner=Manner(answers="cut"),
    ),
    Scenario(
        "cancel_garbage",
        "cancel",
        "취소는 되었지만 알아볼 수 없는 대답이 옵니다.",
        "Cancelled, but the answer is garbage.",
        amount=900_036,
        manner=Manner(answers="garbage"),
    ),
    Scenario(
        "order_refused",
        "order",
        "주문에 대한 요청(발송, 반품, 주문상태 등)이 모두 거절됩니다.",
        "Whatever is told about the order (shipping, returns, its status) is refused.",
        amount=900_041,
        code="MAINTENANCE",
        message="점검 중입니다. 잠시 후 다시 시도해 주세요.",
    ),
    Scenario(
        "order_silent_done",
        "order",
        "주문에 대한 요청이 처리되지만 대답이 오지 않습니다.",
        "What is told about the order is done, but no answer ever comes.",
        amount=900_042,
        manner=Manner(answers="silence"),
    ),
    Scenario(
        "order_silent_undone",
        "order",
        "주문에 대한 요청이 처리되지 않고 대답도 오지 않습니다.",
        "What is told about the order is not done, and no answer ever comes.",
        amount=900_043,
        manner=Manner(answers="silence", does=False),
    ),
)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
BY_AMOUNT = {scenario.amount: scenario for scenario in SCENARIOS if scenario.amount is not None}

# A card that a member brings (key-in, billing keys): what its card company says of it. The number
# that is always refused has the words which i'mport's public documents show.
BAD_NUMBER = ("F113", "유효하지않은 카드번호를 입력하셨습니다.")
BAD_NUMBER_CHARGED = ("F113", "[F113]거래거절 카드번호틀림")
BAD_EXPIRY = ("F114", "[F114]유효기간 오류")
BAD_CVC = ("F115", "[F115]CVC 오류")
BAD_PASSWORD = ("F116", "[F116]비밀번호 오류")
FORGOTTEN_KEY = ("KEY_FORGOTTEN", "삭제된 빌링키입니다.")
UNKNOWN_KEY = ("F210", "등록되지 않은 빌링키입니다.")

# The first two digits of a card's password that cause something: of a key that is asked for, and of
# any card that is brought.
WRONG_PASSWORD = "99"  # noqa: S105
KEY_MANNERS = {
    "91": Manner(answers="silence"),
    "92": Manner(answers="silence", does=False),
    "93": Manner(answer_after_seconds=20),
    "94": Manner(answers="garbage"),
    "95": Manner(answers="cut"),
}


@dataclass(frozen=True, slots=True)
class MagicIdentifier:
    """A number that decides what happens: a phone number on a cash receipt, when it is issued or when it is
    cancelled; an invoice number of a shipment.

    What is acted out is acted out once: the same question asked again is answered with the truth.
    """

    identifier: str
    stage: Literal["receipt", "revoke", "shipment"]
    ko: str
    en: str
    code: str | None = None
    message: str = ""
    manner: Manner = PLAIN


IDENTIFIERS = {
    each.identifier: each
    for each in (
        MagicIdentifier(
            "01000000001",
            "receipt",
            "현금영수증 발급이 거절됩니다.",
            "The cash receipt is declined.",
            code="IDENTIFIER_UNKNOWN",
            message="국세청에 등록되지 않은 식별번호입니다.",
        ),
        MagicIdentifier(
            "01000000002",
            "receipt",
            "발급되었지만 대답이 오지 않습니다.",
            "Issued, but no answer ever comes.",
            manner=Manner(answers="silence"),
        ),
        MagicIdentifier(
            "01000000003",
            "receipt",
            "발급되지 않았고 대답도 오지 않습니다.",
            "Not issued, and no answer ever comes.",
            manner=Manner(answers="silence", does=False),
        ),
        MagicIdentifier(
            "01000000004",
            "receipt",
            "발급되었지만 알아볼 수 없는 대답이 옵니다.",
            "Issued, but the answer is garbage.",
            manner=Manner(answers="garbage"),
        ),
        MagicIdentifier(
            "01000000005",
            "receipt",
            "요청보다 10 큰 금액으로 발급되었다고 대답합니다.",
            "Answers that it was issued for 10 more than asked.",
            manner=Manner(amount_off=10),
        ),
        MagicIdentifier(
            "01000000011",
            "revoke",
            "발급되지만 취소가 거절됩니다.",
            "Issued, and every cancel of it is declined.",
            code="REVOKE_REFUSED",
            message="국세청 전송이 완료되어 취소할 수 없습니다.",
        ),
        MagicIdentifier(
            "01000000012",
            "revoke",
            "발급 후 취소하면, 취소는 되지만 대답이 오지 않습니다.",
            "Its cancel is done, but no answer ever comes.",
            manner=Manner(answers="silence"),
        ),
        MagicIdentifier(
            "01000000013",
            "revoke",
            "발급 후 취소하면, 취소되지 않고 대답도 오지 않습니다.",
            "Its cancel is not done, and no answer ever comes.",
            manner=Manner(answers="silence", does=False),
        ),
        MagicIdentifier(
            "900000000001",
            "shipment",
            "송장번호로 쓰면 배송정보 등록이 거절됩니다.",
            "As an invoice number: the shipment is declined.",
            code="INVOICE_UNKNOWN",
            message="택배사에 등록되지 않은 송장번호입니다.",
        ),
        MagicIdentifier(
            "900000000002",
            "shipment",
            "송장번호로 쓰면 배송정보가 등록되었지만 대답이 오지 않습니다.",
            "As an invoice number: the shipment is taken, but no answer ever comes.",
            manner=Manner(answers="silence"),
        ),
        MagicIdentifier(
            "900000000003",
            "shipment",
            "송장번호로 쓰면 배송정보가 등록되지 않았고 대답도 오지 않습니다.",
            "As an invoice number: the shipment is not taken, and no answer ever comes.",
            manner=Manner(answers="silence", does=False),
        ),
    )
}

# The window's own refusal of an expiry date that has passed uses the same words.
EXPIRED = BY_NAME["expired_card"]


def scenario_of(chosen: str | None, amount: int) -> Scenario | None:
    """What an order causes: what the buyer chose (or the card brought), else what its amount says."""
    return BY_NAME[chosen] if chosen else BY_AMOUNT.get(amount)


def manner_at(scenario: Scenario | None, stage: Stage) -> Manner:
    """How the PG behaves at this stage of an order."""
    if scenario is None:
        return PLAIN
    if scenario.stage == stage or (scenario.stage == "net_cancel" and stage == "approval"):
        return scenario.manner
    return PLAIN


def refusal_at(scenario: Scenario | None, stage: Stage) -> tuple[str, str] | None:
    """The code and the words of a refusal at this stage, or None."""
    if scenario is None or scenario.stage != stage or scenario.code is None:
        return None
    return scenario.code, scenario.message
