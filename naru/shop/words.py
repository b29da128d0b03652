"""Every sentence of the shop's pages, Korean first and English second."""

from __future__ import annotations

from typing import Literal, cast

Language = Literal["ko", "en"]

_WORDS: dict[str, tuple[str, str]] = {
    "shop": ("나루 상점", "Naru Market"),
    "tagline": ("강가의 작은 가게", "A small shop by the river"),
    "hero": ("오래 쓰는 것, 오늘 캔 것", "Things that last, and things dug today"),
    "hero_about": (
        "좋은 물건을 조금만 팝니다. 결제는 나루 게이트웨이로 안전하게.",
        "Few goods, good ones. Paid through your own Naru gateway.",
    ),
    "demo": (
        "시연용 가게입니다. 실제로 결제되거나 배송되지 않습니다.",
        "A demonstration: no money moves and nothing is shipped.",
    ),
    "goods": ("상품", "Goods"),
    "my_orders": ("내 주문", "My orders"),
    "inbox": ("문자함", "Text messages"),
    "samples": ("문서 예제", "Samples"),
    "other_language": ("English", "한국어"),
    "skip": ("본문으로 건너뛰기", "Skip to the content"),
    "quantity": ("수량", "Quantity"),
    "buy": ("바로 구매", "Buy now"),
    "free_shipping": ("무료 배송", "Free shipping"),
    "step_form": ("주문서 작성", "Your details"),
    "step_pay": ("결제", "Payment"),
    "step_done": ("완료", "Done"),
    "buyer": ("주문하시는 분", "Buyer"),
    "name": ("이름", "Name"),
    "tel": ("휴대폰 번호", "Mobile number"),
    "email": ("이메일", "E-mail"),
    "addr": ("주소", "Address"),
    "postcode": ("우편번호", "Postcode"),
    "optional": ("선택", "optional"),
    "order_now": ("주문하고 결제하기", "Place the order"),
    "total": ("결제 금액", "Total"),
    "order_number": ("주문번호", "Order number"),
    "method": ("결제 수단", "Payment method"),
    "pay": ("결제하기", "Pay"),
    "paying": ("결제창에서 진행해 주세요…", "Please go on in the payment window…"),
    "confirming": ("결제를 확인하고 있습니다…", "Checking the payment…"),
    "sdk_missing": (
        "결제 모듈을 불러오지 못했습니다. 잠시 후 새로 고침해 주세요.",
        "The payment module could not be loaded. Please reload in a moment.",
    ),
    "try_failed": ("결제가 완료되지 않았습니다", "The payment did not go through"),
    "try_failed_about": (
        "주문은 그대로 있습니다. 결제 수단을 바꾸거나 다시 시도해 주세요.",
        "Your order is still here. Choose another way to pay, or try again.",
    ),
    "forged": ("결제 내용이 주문과 다릅니다", "The payment does not match the order"),
    "forged_about": (
        "이 결제는 주문에 반영되지 않았습니다. 고객센터로 문의해 주세요.",
        "It was not counted for the order. Please contact us.",
    ),
    "already_paid": (
        "이미 결제하셨나요? 결제 확인하기",
        "Paid already? Check the payment",
    ),
    "checking": ("결제 결과를 확인하고 있습니다", "We are checking the payment"),
    "checking_about": (
        "다시 결제하지 마세요. 확인되면 이 화면이 저절로 바뀝니다.",
        "Do not pay again. This page changes by itself as soon as we know.",
    ),
    "check_now": ("지금 확인하기", "Check now"),
    "paid": ("결제가 완료되었습니다", "Thank you, it is paid"),
    "paid_about": (
        "곧 정성껏 포장해 보내 드리겠습니다.",
        "We will pack it with care and send it soon.",
    ),
    "paid_at": ("결제 시각", "Paid at"),
    "paid_by": ("결제처", "Paid by"),
    "receipt": ("영수증 보기", "Receipt"),
    "given_back": ("환불된 금액", "Given back"),
    "cancelled": ("결제가 취소되었습니다", "The payment was cancelled"),
    "cancelled_about": ("결제 금액은 환불됩니다.", "Your money goes back."),
    "waiting": ("입금을 기다리고 있습니다", "Waiting for your deposit"),
    "waiting_about": (
        "아래 계좌로 정확한 금액을 입금하시면 이 화면이 저절로 바뀝니다. 안내 문자도 보내 드렸습니다.",
        "Send exactly this amount to the account below; this page changes by itself. "
        "We also sent a text message.",
    ),
    "waiting_rule": (
        "금액이 다르거나 기한이 지나면 입금되지 않습니다.",
        "Another amount, or money after the due time, is not accepted.",
    ),
    "bank": ("은행", "Bank"),
    "account": ("계좌번호", "Account number"),
    "holder": ("예금주", "Holder"),
    "due": ("입금 기한", "Due"),
    "copy": ("복사", "Copy"),
    "copied": ("복사했습니다", "Copied"),
    "status_placed": ("결제 대기", "Not paid yet"),
    "status_waiting_deposit": ("입금 대기", "Waiting for deposit"),
    "status_paid": ("결제 완료", "Paid"),
    "status_cancelled": ("취소", "Cancelled"),
    "no_orders": ("아직 주문이 없습니다.", "No orders yet."),
    "go_shopping": ("상품 보러 가기", "See the goods"),
    "inbox_about": (
        "시연용 문자함입니다. 가상계좌가 발급되면 안내 문자가 여기에 도착합니다.",
        "Where the demonstration's text messages arrive: one for each virtual account.",
    ),
    "no_messages": ("아직 문자가 없습니다.", "No messages yet."),
    "samples_about": (
        "연동 문서의 예제를 쓰인 그대로 옮긴 페이지입니다.",
        "The samples of the integration document, as they are written there.",
    ),
    "not_found": ("찾으시는 페이지가 없습니다", "There is no such page"),
    "busy": ("잠시 후 다시 시도해 주세요", "Please try again in a moment"),
    "busy_about": (
        "결제 결과를 아직 확인하지 못했습니다. 다시 결제하지 마시고 잠시 후 확인해 주세요.",
        "We could not ask about the payment yet. Do not pay again; check in a moment.",
    ),
    "bad_request": ("요청을 이해하지 못했습니다", "We did not understand the request"),
    "home": ("처음으로", "To the front page"),
    "to_order": ("주문으로 돌아가기", "Back to the order"),
    "privacy": (
        "다른 브라우저에서 열어 주문자 정보는 가렸습니다.",
        "Opened in another browser, so the buyer's details are hidden.",
    ),
    "error_summary": ("확인이 필요한 항목이 있습니다", "Please look at these again"),
    "error_name": ("이름을 16자 이내로 적어 주세요.", "A name of at most 16 characters."),
    "error_tel": ("전화번호를 숫자와 -로 적어 주세요.", "A phone number of digits and hyphens."),
    "error_email": ("이메일 주소를 확인해 주세요.", "Please check the e-mail address."),
    "error_addr": ("주소를 128자 이내로 적어 주세요.", "An address of at most 128 characters."),
    "error_postcode": ("우편번호는 8자 이내입니다.", "A postcode has at most 8 characters."),
}


def read_language(value: str | None) -> Language | None:
    """The language of this code, or None when the shop does not speak it."""
    return cast("Language", value) if value in ("ko", "en") else None


def word(key: str, language: Language) -> str:
    """One sentence. Raises KeyError for a key that does not exist."""
    return _WORDS[key][0 if language == "ko" else 1]
