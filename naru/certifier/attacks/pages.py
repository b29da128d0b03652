"""The shop's own page, in a real browser: what its script says, and what becomes of it on the way."""

from random import Random

from naru.certifier.attacks.attack import Family, cheap, dear
from naru.certifier.steps import Place, Press, Program, Webhook

PAGES = Family("상점의 페이지", "The shop's own page")


@PAGES.attack(
    "page-honest",
    "PC에서 버튼을 눌러 결제하기",
    "The button, pressed on a PC",
    "진짜 브라우저로 주문 페이지를 열고 버튼을 눌러 레이어에서 결제합니다. 페이지의 콜백이 서버에 알려야 합니다.",
    needs="page",
)
def page_honest(chance: Random) -> Program:
    """A real browser opens the order's page, presses the button and pays in the layer. The page's
    own callback has to tell the server.
    """
    return (Place("A", dear(chance)), Press("a", "A"))


@PAGES.attack(
    "page-honest-phone",
    "휴대폰에서 버튼을 눌러 결제하기",
    "The button, pressed on a phone",
    "휴대폰에서는 페이지가 떠나고 콜백은 불리지 않습니다. m_redirect_url로 돌아온 것만으로 주문이 끝나야 합니다.",
    needs="page redirect",
)
def page_honest_phone(chance: Random) -> Program:
    """On a phone the page goes away and no callback runs. Coming back to m_redirect_url has to be
    enough.
    """
    return (Place("A", dear(chance)), Press("a", "A", surface="mobile"))


@PAGES.attack(
    "page-amount-changed",
    "페이지의 스크립트를 감싸 금액 고치기",
    "The page's amount, changed by a script",
    "확장 프로그램 하나면 window.IMP.request_pay를 감싸 금액만 바꿀 수 있습니다. 나머지는 페이지가 하던 대로 합니다.",
    needs="page",
)
def page_amount_changed(chance: Random) -> Program:
    """A browser extension wraps window.IMP.request_pay and changes the amount. Everything else is
    the page's own doing.
    """
    return (Place("A", dear(chance)), Press("a", "A", amount=cheap(chance)))


@PAGES.attack(
    "page-currency-changed",
    "페이지의 스크립트를 감싸 통화 고치기",
    "The page's currency, changed by a script",
    "금액의 숫자는 그대로 두고 통화만 동(VND)으로 바꿉니다.",
    needs="page",
)
def page_currency_changed(chance: Random) -> Program:
    """The number stays, the currency becomes dong."""
    return (Place("A", dear(chance)), Press("a", "A", currency="VND"))


@PAGES.attack(
    "page-order-cheaper",
    "비싼 주문의 페이지에서 싼 주문을 결제하기",
    "At the dear order's page, the cheap one is paid",
    "비싼 주문의 페이지에서 merchant_uid와 금액을 싼 주문의 것으로 바꿔 결제합니다. 페이지는 자기가 아는 비싼 주문이 "
    "결제되었다고 알립니다.",
    needs="page",
)
def page_order_cheaper(chance: Random) -> Program:
    """At the page of a dear order, number and amount of a cheap one are put in. The page then
    reports the dear order, which is the one it knows.
    """
    price = cheap(chance)
    return (
        Place("A", dear(chance)),
        Place("B", price),
        Press("a", "A", amount=price, pays_for="B"),
    )


@PAGES.attack(
    "page-order-dearer",
    "싼 주문의 페이지에서 비싼 주문번호로 결제하기",
    "At the cheap order's page, the dear one's number",
    "싼 주문의 페이지에서 merchant_uid만 비싼 주문의 것으로 바꿉니다. 게이트웨이에는 비싼 주문번호로 싼 결제가 남습니다.",
    needs="page",
)
def page_order_dearer(chance: Random) -> Program:
    """At the page of a cheap order only the number is changed: the gateway has a cheap payment
    under the dear order's number.
    """
    return (
        Place("A", cheap(chance)),
        Place("B", dear(chance)),
        Press("a", "A", pays_for="B"),
    )


@PAGES.attack(
    "page-double-click",
    "결제 버튼을 두 번 누르기",
    "The button, pressed twice",
    "버튼을 두 번 누릅니다. 창이 두 번 열려도 결제와 물건은 한 번입니다.",
    needs="page",
)
def page_double_click(chance: Random) -> Program:
    """A double click. Two windows may open; one payment is made, and goods leave once."""
    return (Place("A", dear(chance)), Press("a", "A", times=2))


@PAGES.attack(
    "page-gone",
    "승인 직후 닫힌 브라우저",
    "The browser is gone right after the approval",
    "PG가 승인한 순간 탭이 닫혀 페이지는 아무것도 알리지 못합니다. 웹훅만 옵니다.",
    needs="page webhook",
)
def page_gone(chance: Random) -> Program:
    """The tab closes in the moment of the approval, and the page tells nothing. Only the webhook
    comes.
    """
    return (Place("A", dear(chance)), Press("a", "A", ending="leaves"), Webhook("a"))


@PAGES.attack(
    "page-closed-window",
    "창을 닫고 다시 결제하기",
    "Closed, then paid after all",
    "결제창을 닫으면 콜백은 실패를 알립니다. 같은 페이지에서 다시 눌러 결제할 수 있어야 합니다.",
    needs="page",
)
def page_closed_window(chance: Random) -> Program:
    """A closed window is reported as a failure. At the same page the buyer presses again, and pays."""
    return (Place("A", dear(chance)), Press("a", "A", ending="closes"), Press("b", "A"))
