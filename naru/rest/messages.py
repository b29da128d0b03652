"""Sentences of V1, byte for byte where a client of i'mport was seen to compare them (REST §1.3), else our own."""

from __future__ import annotations

# V1's own words.
UNAUTHORIZED = "Unauthorized"
PAIR_MISSING = "imp_key, imp_secret 파라메터가 누락되었습니다."
PAIR_WRONG = "인증에 실패하였습니다. API키와 secret을 확인하세요."
NO_PAYMENT = "존재하지 않는 결제정보입니다."
BAD_STATUS = "지원되지 않는 상태값입니다."
NOTHING_TO_CANCEL = "취소할 결제건이 존재하지 않습니다."
NOT_PREPARED = "사전등록된 결제정보가 존재하지 않습니다."

# Ours: V1 has an answer here, but no source tells its words (unknowns A7).
PAGE_PAST_THE_END = "요청하신 page 가 마지막 페이지를 초과하였습니다."
TOO_MANY_IDS = "imp_uid 와 merchant_uid 는 합하여 100개까지 조회할 수 있습니다."
BAD_SORTING = "지원되지 않는 sorting 값입니다."
BAD_WINDOW = "from 은 to 보다 이전이어야 하며, 조회 기간은 최대 90일입니다."
NO_BALANCE = "결제 상세내역을 제공하지 않는 결제건입니다."
NO_CODE = "존재하지 않는 코드입니다."
NOT_A_WAITING_ACCOUNT = "입금 대기중인 가상계좌 결제건이 아닙니다."
ACCOUNT_CHANGE_UNSUPPORTED = "가상계좌 정보 수정을 지원하지 않는 PG사입니다."
FIXED_ACCOUNT_UNSUPPORTED = "고정식 가상계좌(vbank_num, vbank_key) 발급을 지원하지 않는 PG사입니다."

# Ours: tiers.
NO_TIER = "등록되지 않은 하위 상점(tier_code)입니다."

# Ours: convenience stores.
NOT_A_WAITING_BARCODE = "수납 대기중인 편의점 결제건이 아닙니다."
PG_REFUSED_REVOKING = "PG사에서 수납번호 말소를 거절하였습니다."

# subscribe, subscribe.customer
BAD_CARD = "카드정보 인증에 실패하였습니다."
KEY_NOT_ISSUED = "카드정보 인증 및 빌키 발급에 실패하였습니다."
NO_CHANNEL_GROUP = "등록 된 채널 그룹(스마트 라우팅) 정보를 찾을 수 없습니다."
CUSTOMERS_MAX = "customer_uid 는 100개까지 조회할 수 있습니다."

# Ours: look-ups on old paths.
NO_HOLDER = "해당 계좌의 예금주를 찾을 수 없습니다."
NO_HOLDER_LOOKUP = "예금주 조회를 지원하지 않는 PG사입니다."
NO_KAKAO_LOOKUP = "카카오페이 주문내역 조회를 지원하지 않는 PG사입니다."
NO_LOOKUP_ANSWER = "PG사가 응답하지 않아 조회할 수 없습니다. 잠시 후 다시 시도해주세요."

# Ours: quick pay.
NO_MEMBER = "유효하지 않은 member_id 입니다."
NO_QUICK_CHANNEL = "KCP 퀵페이 채널을 찾을 수 없습니다."
NO_QUICK_KEY = "등록된 자동결제 키를 찾을 수 없습니다."
QUICK_PREPARED_ALREADY = "이미 사전등록된 merchant_uid 입니다."
QUICK_NOT_PREPARED = "사전등록 정보를 찾을 수 없습니다."
QUICK_AMOUNT_DIFFERS = "사전등록된 선불머니 결제금액과 요청금액이 일치하지 않습니다."

# Schedules: V1's words for who cannot be scheduled; the others are ours.
NO_CUSTOMER_TO_SCHEDULE = "등록된 고객정보가 없습니다."
BAD_CARD_TO_SCHEDULE = "카드정보 확인에 실패하였습니다."
NO_SCHEDULE = "존재하지 않는 예약결제입니다."
BAD_SCHEDULE_WINDOW = (
    "schedule_from 은 schedule_to 보다 이전이어야 하며, 조회 기간은 최대 3개월입니다."
)
CARD_CHECK_NAME = "카드 확인"

# Receipts, partners.
RECEIPT_UNSUPPORTED = "현금영수증을 지원하지 않는 PG사입니다."
RECEIPT_TWICE = "이미 현금영수증이 발급된 merchant_uid 입니다."
NO_EXTERNAL_RECEIPT = "해당 merchant_uid 로 현금영수증을 발급한 내역이 존재하지 않습니다."
SLIP_UNSUPPORTED = "하위 상점 거래 등록을 지원하지 않는 PG사입니다."

# Escrow.
NOT_ESCROW = "에스크로 결제건이 아닙니다."
NO_SHIPMENT = "등록된 배송정보가 존재하지 않습니다."
ALREADY_SHIPPED = "이미 배송정보가 등록된 결제건입니다."
NOT_SHIPPABLE = "배송정보를 등록(수정)할 수 없는 결제건입니다."
ESCROW_UNSUPPORTED = "에스크로 배송정보 등록(수정)을 지원하지 않는 PG사입니다."

# Ours: orders at a mall.
NO_PRODUCT_ORDER = "존재하지 않는 네이버페이 상품주문입니다."
NOT_NAVERCO = "네이버페이 주문형 결제건이 아닙니다."
NOT_NAVERPAY = "네이버페이 결제형 결제건이 아닙니다."
NO_NAVERCO_CHANNEL = "네이버페이 주문형 채널을 찾을 수 없습니다. channel_key 를 확인해주세요."
NOT_PAYCO = "페이코 결제건이 아닙니다."
NOT_PAYMENTWALL = "페이먼트월 결제건이 아닙니다."
OTHER_ORDER_NUMBER = "merchant_uid 가 결제건의 주문번호와 일치하지 않습니다."
NOT_ANSWERED = "PG사로부터 응답을 받지 못하였습니다. 잠시 후 다시 시도해주세요."

# Ours: the transport.
NO_OPERATION = "존재하지 않는 API입니다."
WRONG_VERB = "허용되지 않는 HTTP METHOD 입니다."
BODY_TOO_LARGE = "요청 본문이 허용된 크기(1MB)를 초과하였습니다."
BODY_TOO_SLOW = "요청 본문을 제한 시간 안에 받지 못하였습니다."
BODY_OF_ANOTHER_KIND = (
    "요청 본문은 application/json 또는 application/x-www-form-urlencoded 형식이어야 합니다."
)
BODY_UNREADABLE = "요청 본문을 해석할 수 없습니다."
NO_STORE = "일시적으로 요청을 처리할 수 없습니다. 잠시 후 다시 시도해주세요."
TEXT_UNREADABLE = "요청에 사용할 수 없는 문자가 포함되어 있습니다."

TOO_OFTEN = "인증 실패가 너무 많습니다. 잠시 후 다시 시도해주세요."

# Ours: Idempotency-Key, which V1 does not have (docs/decisions/0011-idempotency.md).
KEY_MALFORMED = "Idempotency-Key 는 공백 없는 ASCII 문자 1~255자여야 합니다."
KEY_OF_ANOTHER_REQUEST = "같은 Idempotency-Key 로 다른 내용의 요청이 이미 접수되었습니다. 새로운 요청에는 새로운 Idempotency-Key 를 사용해주세요."
KEY_UNDER_WAY = (
    "같은 Idempotency-Key 의 요청을 처리하고 있습니다. 잠시 후 같은 요청을 다시 보내주세요."
)
PG_REFUSED_CANCEL = "PG사에서 취소를 거절하였습니다."
PG_REFUSED_CLOSING = "PG사에서 가상계좌 말소를 거절하였습니다."


# certifications. The first is V1's own.
NO_CERTIFICATION = "인증결과가 존재하지 않습니다."
TOO_MANY_CODES = "본인인증 요청이 너무 많습니다. 잠시 후 다시 시도해주세요."


def no_receipt(imp_uid: str) -> str:
    """V1's own words (REST §1.3): no receipt was ever issued for this payment."""
    return f"해당 아임포트 고유 번호({imp_uid})로 현금영수증을 발급 한 내역이 존재하지 않습니다."


def missing(name: str) -> str:
    """A required parameter did not come, or came empty."""
    return f"{name} 파라메터가 누락되었습니다."


def malformed(name: str) -> str:
    """A parameter came in a type or form that it cannot have."""
    return f"{name} 파라메터의 형식이 올바르지 않습니다."


def too_long(name: str, length: int) -> str:
    """A parameter is longer than the protocol allows."""
    return f"{name} 파라메터는 {length}자를 초과할 수 없습니다."


def internal(reference: str) -> str:
    """The last net: `reference` is also in the log, beside what really happened."""
    return f"일시적인 오류가 발생하였습니다. 잠시 후 다시 시도해주세요. (참조번호 : {reference})"


def no_customer(customer_uid: str) -> str:
    """V1's words for a customer_uid that names no billing key; a long one is cut."""
    return f"요청하신 customer_uid({customer_uid[:80]})로 등록된 정보를 찾을 수 없습니다."
