"""What else people call an operation, and what the search of `/docs` finds it by.

The keys are tags and operations (`POST /payments/cancel`). Korean shops say 정기결제 and 환불 where the
tables of V1 say 비인증 결제 and 결제 취소; both find the same.
"""

from __future__ import annotations

OF_TAG = {
    "authenticate": "로그인 액세스 토큰 API 키 시크릿",
    "payments": "결제 거래 주문",
    "payments.validation": "사전검증 금액 위변조 결제금액",
    "subscribe": "정기결제 구독 자동결제 반복결제 API 결제",
    "subscribe.customer": "정기결제 구독 자동결제 카드 등록 정기결제 키",
    "vbanks": "무통장입금 입금계좌 계좌발급",
    "certifications": "휴대폰 인증 성인인증 통합인증 본인확인",
    "receipts": "소득공제 지출증빙 국세청",
    "partners": "입점사 마켓 서브몰",
    "escrow.logis": "택배 송장 운송장 구매안전",
    "cvs": "편의점 바코드 수납",
    "naver": "네이버페이 발주 교환 반품",
    "kcpquick": "간편결제 선불머니 충전",
    "benepia": "복지 포인트 복지몰",
    "payco": "페이코 간편결제",
    "paymentwall": "해외결제 배송",
    "kakao": "카카오페이 간편결제",
    "codes": "표준코드",
    "users": "채널 가맹점 식별코드 상점아이디 MID",
    "tiers": "하위가맹점 대행사 에이전시 Tier",
}
WEBHOOKS = "웹훅 노티 알림 콜백 입금통보 webhook notice notice_url"
_CHARGE = "정기결제 구독 바로 결제"
_LOOK = "결제 확인 검증 웹훅 webhook"
_PLAN = "정기결제 구독 스케줄 예약결제"
OF_OPERATION = {
    "POST /users/getToken": "액세스 토큰 발급 인증",
    "GET /payments/{imp_uid}": f"{_LOOK} 금액 대조",
    "GET /payments/find/{merchant_uid}": f"{_LOOK} 주문번호",
    "GET /payments/findAll/{merchant_uid}": "주문번호 재시도 이력",
    "GET /payments/{imp_uid}/balance": "잔액 취소 가능 금액 면세 과세",
    "POST /payments/cancel": "환불 전액환불 부분환불 부분취소 전체취소 refund",
    "POST /payments/prepare": "사전등록 위변조 방지",
    "POST /subscribe/payments/onetime": f"{_CHARGE} 키인 수기결제 웹훅 webhook",
    "POST /subscribe/payments/again": f"{_CHARGE} 재결제 웹훅 webhook",
    "POST /subscribe/payments/schedule": f"{_PLAN} 웹훅 webhook",
    "POST /subscribe/payments/unschedule": f"{_PLAN} 해지 취소",
    "GET /subscribe/payments/schedule": _PLAN,
    "POST /subscribe/customers/{customer_uid}": "빌링키 발급 카드 등록",
    "DELETE /subscribe/customers/{customer_uid}": "빌링키 삭제 카드 해지 구독 해지",
    "POST /vbanks": "무통장입금 웹훅 webhook",
    "POST /certifications/otp/request": "인증번호 문자 발송",
    "POST /certifications/otp/confirm/{imp_uid}": "인증번호 확인",
    "POST /payments/{imp_uid}/naver/cancel": "환불",
    "POST /payments/{imp_uid}/naver/approve-return": "환불",
}


def words_of(method: str, path: str, tag: str) -> str:
    """What this operation is found by beside its own words."""
    return f"{OF_TAG.get(tag, '')} {OF_OPERATION.get(f'{method} {path}', '')}".strip()
