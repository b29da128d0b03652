"""Less money than the order costs."""

from random import Random

from naru.certifier.attacks.attack import Family, cheap, dear
from naru.certifier.steps import (
    Approve,
    Callback,
    Calm,
    Change,
    Lose,
    Open,
    Place,
    Program,
    Redirect,
    Step,
    Sweep,
    Together,
    Weather,
    Webhook,
)

AMOUNTS = Family("금액과 통화", "Amount and currency")


@AMOUNTS.attack(
    "amount-changed",
    "페이지에서 금액을 고치기",
    "The amount is changed in the page",
    "개발자 도구로 IMP.request_pay의 amount를 싼 값으로 고쳐 비싼 주문을 결제합니다. 주문번호는 맞고 결제는 진짜입니다.",
)
def amount_changed(chance: Random) -> Program:
    """The amount in IMP.request_pay is made a small one. The order number is right, the payment
    true.
    """
    price = dear(chance)
    return (Place("A", price), Open("a", "A", amount=cheap(chance)), Approve("a"), Callback("a"))


@AMOUNTS.attack(
    "amount-changed-redirect",
    "휴대폰에서 금액을 고치기",
    "The amount is changed on a phone",
    "금액을 고친 결제가 콜백이 아니라 m_redirect_url로 돌아옵니다. 두 길이 다른 코드인 상점은 한쪽만 확인합니다.",
    needs="redirect",
)
def amount_changed_redirect(chance: Random) -> Program:
    """The changed payment comes back by redirect. Where the two ways are two pieces of code, one of
    them checks.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A", amount=cheap(chance), surface="mobile"),
        Approve("a"),
        Redirect("a"),
    )


@AMOUNTS.attack(
    "amount-changed-webhook",
    "금액을 고친 결제를 웹훅만이 알리기",
    "A changed amount that only the webhook reports",
    "금액을 고쳐 결제하고 창을 닫습니다. 진짜 웹훅이 진짜 서명으로 옵니다. 서명만 확인하는 상점은 속습니다.",
    needs="webhook",
)
def amount_changed_webhook(chance: Random) -> Program:
    """The changed payment is reported by a true webhook with a true signature: the signature says
    nothing about the price.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A", amount=cheap(chance)),
        Approve("a"),
        Webhook("a"),
    )


@AMOUNTS.attack(
    "amount-changed-sweep",
    "금액을 고친 결제를 정리 작업이 찾기",
    "A changed amount that the sweep finds",
    "금액을 고쳐 결제하고 모든 소식을 막습니다. 밤에 도는 정리 작업도 금액을 비교해야 합니다.",
    needs="sweep webhook",
)
def amount_changed_sweep(chance: Random) -> Program:
    """The changed payment is reported by nobody; the nightly sweep finds it, and must compare as
    well.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A", amount=cheap(chance)),
        Approve("a"),
        Lose("a"),
        Sweep(),
    )


@AMOUNTS.attack(
    "amount-one-less",
    "1원 덜 내기",
    "One won less",
    "1원만 덜 냅니다. 반올림하거나 '거의 같으면' 받아 주는 비교를 찾아냅니다.",
)
def amount_one_less(chance: Random) -> Program:
    """One won less finds comparisons that round, or that are content with nearly."""
    price = dear(chance)
    return (Place("A", price), Open("a", "A", amount=price - 1), Approve("a"), Callback("a"))


@AMOUNTS.attack(
    "amount-digit-less",
    "숫자 하나를 빼고 내기",
    "A digit less",
    "금액에서 끝자리 하나를 뺀 값을 냅니다. 금액을 글자로 견주어 앞부분만 맞으면 받아 주는 상점은 속습니다.",
)
def amount_digit_less(chance: Random) -> Program:
    """The price without its last digit: who compares the amount as text, by its beginning, is fooled."""
    price = dear(chance)
    return (Place("A", price), Open("a", "A", amount=price // 10), Approve("a"), Callback("a"))


@AMOUNTS.attack(
    "amount-in-parts",
    "반씩 두 번 내기",
    "Half and half",
    "창 두 개를 열어 반값씩 냅니다. 어느 결제도 주문 금액이 아닙니다.",
)
def amount_in_parts(chance: Random) -> Program:
    """Two windows, half the price in each. Neither payment is the order's price."""
    price = dear(chance)
    return (
        Place("A", price),
        Open("a", "A", amount=price // 2),
        Open("b", "A", amount=price // 2),
        Approve("a"),
        Approve("b"),
        Callback("a"),
        Callback("b"),
    )


@AMOUNTS.attack(
    "currency-dong",
    "같은 숫자를 동으로 내기",
    "The same number, in dong",
    "원 대신 같은 숫자의 동을 냅니다. 숫자는 같고 통화만 다릅니다.",
)
def currency_dong(chance: Random) -> Program:
    """As many dong as the order costs won: the number is right, the currency is not."""
    return (Place("A", dear(chance)), Open("a", "A", currency="VND"), Approve("a"), Callback("a"))


@AMOUNTS.attack(
    "currency-dong-redirect",
    "통화를 바꾼 결제가 리디렉션으로 돌아오기",
    "Another currency, by redirect",
    "휴대폰에서 통화를 바꿔 결제하고 m_redirect_url로 돌아옵니다. 콜백에서만 통화를 비교하는 상점은 속습니다.",
    needs="redirect",
)
def currency_dong_redirect(chance: Random) -> Program:
    """The payment in another currency comes back by redirect, where a shop may not compare it."""
    return (
        Place("A", dear(chance)),
        Open("a", "A", currency="VND", surface="mobile"),
        Approve("a"),
        Redirect("a"),
    )


@AMOUNTS.attack(
    "currency-dong-webhook",
    "통화를 바꾼 결제를 웹훅만이 알리기",
    "Another currency, by webhook",
    "통화를 바꾼 결제를 진짜 웹훅이 알립니다.",
    needs="webhook",
)
def currency_dong_webhook(chance: Random) -> Program:
    """The payment in another currency is reported by a true webhook."""
    return (Place("A", dear(chance)), Open("a", "A", currency="VND"), Approve("a"), Webhook("a"))


@AMOUNTS.attack(
    "currency-dong-sweep",
    "통화를 바꾼 결제를 정리 작업이 찾기",
    "Another currency that the sweep finds",
    "통화를 바꿔 결제하고 모든 소식을 막습니다. 정리 작업도 금액뿐 아니라 통화까지 비교해야 합니다.",
    needs="sweep",
)
def currency_dong_sweep(chance: Random) -> Program:
    """The payment in another currency is reported by nobody; the sweep finds it, and must compare
    the currency as well.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A", currency="VND"),
        Approve("a"),
        Lose("a"),
        Sweep(),
    )


@AMOUNTS.attack(
    "price-raised-before-pay",
    "창을 연 뒤에 주문을 늘리기",
    "The order grows while the window is open",
    "싼 주문으로 결제창을 열어 두고 장바구니에 물건을 더 담은 뒤, 열려 있던 창에서 처음 값을 냅니다.",
    needs="callback change",
)
def price_raised_before_pay(chance: Random) -> Program:
    """A window is opened for a cheap order; then the order grows; then the old price is paid in that
    window.
    """
    return (
        Place("A", cheap(chance)),
        Open("a", "A"),
        Change("A", dear(chance)),
        Approve("a"),
        Callback("a"),
    )


@AMOUNTS.attack(
    "price-raised-before-news",
    "돈을 낸 뒤 알리기 전에 주문을 늘리기",
    "The order grows between payment and news",
    "싼 값을 낸 다음, 상점이 소식을 듣기 전에 주문을 늘리고 나서 알립니다.",
    needs="callback change",
)
def price_raised_before_news(chance: Random) -> Program:
    """A small price is paid; before the shop hears of it, the order grows."""
    return (
        Place("A", cheap(chance)),
        Open("a", "A"),
        Approve("a"),
        Change("A", dear(chance)),
        Callback("a"),
        Webhook("a"),
    )


@AMOUNTS.attack(
    "price-raised-while-asking",
    "상점이 조회하는 사이에 주문을 늘리기",
    "The order grows while the shop asks",
    "싼 값을 내고 알린 순간, 상점이 게이트웨이의 대답을 기다리는 동안 주문을 늘립니다. "
    "조회하기 전에 읽어 둔 금액과 비교하는 상점은 비싼 주문을 내보냅니다.",
    needs="callback change",
)
def price_raised_while_asking(chance: Random) -> Program:
    """A small price is paid and reported, and the orders grow while the shop waits for the gateway's
    answer: who compares with the price as it was read before sends the dear goods.
    """
    # Which of the two a shop hears first is chance: of five orders, one will do.
    numbers = range(1, 6)
    placed: list[Step] = []
    for number in numbers:
        name = f"a{number}"
        placed += [Place(f"A{number}", cheap(chance)), Open(name, f"A{number}"), Approve(name)]
    told = tuple(Callback(f"a{number}") for number in numbers)
    raised = tuple(Change(f"A{number}", dear(chance)) for number in numbers)
    return (
        *placed,
        Weather("slow", path="/payments/", seconds=2),
        Together((*told, *raised)),
        Calm(),
    )


@AMOUNTS.attack(
    "announcement-failed",
    "금액을 사전 등록하지 못한 주문",
    "The announcement of the amount failed",
    "주문할 때 게이트웨이의 사전 등록(/payments/prepare)이 500으로 답합니다. 도둑은 금액을 고쳐 결제합니다. "
    "사전 등록이 막아 줄 것으로 믿고 금액을 비교하지 않는 상점은 속습니다.",
)
def announcement_failed(chance: Random) -> Program:
    """The gateway answers 500 when the order's amount is announced, and the amount is changed in
    the page. Who goes on, and counts on the announcement to compare, is fooled.
    """
    return (
        Weather("error", path="/payments/prepare"),
        Place("A", dear(chance)),
        Calm(),
        Open("a", "A", amount=cheap(chance)),
        Approve("a"),
        Callback("a"),
    )
