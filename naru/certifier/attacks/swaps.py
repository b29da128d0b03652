"""One payment, shown for another order."""

from random import Random

from naru.certifier.attacks.attack import Family, cheap, dear
from naru.certifier.steps import (
    Approve,
    Callback,
    Forge,
    Open,
    Place,
    Program,
    Redirect,
    Refund,
    Together,
    Webhook,
)

SWAPS = Family("주문 바꿔치기와 재사용", "Order swap and replay")


@SWAPS.attack(
    "order-swap",
    "싼 주문을 내고 비싼 주문을 알리기",
    "Pay the cheap order, report the dear one",
    "싼 주문을 결제한 뒤, 콜백에는 그 imp_uid와 비싼 주문의 merchant_uid를 보냅니다. "
    "공식 예제의 코드는 조회한 결제의 주문으로 금액을 비교하고 브라우저가 말한 주문을 결제됨으로 바꿉니다.",
)
def order_swap(chance: Random) -> Program:
    """The thief pays a cheap order and reports its imp_uid with the merchant_uid of a dear
    one. The printed sample compares one order and then updates the other.
    """
    return (
        Place("A", cheap(chance)),
        Place("B", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        Callback("a", claims="B"),
    )


@SWAPS.attack(
    "order-swap-redirect",
    "돌아오는 주소에서 주문 바꿔치기",
    "Order swap in the redirect's query",
    "m_redirect_url의 merchant_uid를 주소창에서 비싼 주문의 번호로 고칩니다.",
    needs="redirect",
)
def order_swap_redirect(chance: Random) -> Program:
    """The merchant_uid in the query of m_redirect_url is changed in the address bar."""
    return (
        Place("A", cheap(chance)),
        Place("B", dear(chance)),
        Open("a", "A", surface="mobile"),
        Approve("a"),
        Redirect("a", claims="B"),
    )


@SWAPS.attack(
    "order-swap-webhook",
    "웹훅을 흉내 내 주문 바꿔치기",
    "Order swap by a forged webhook",
    "실제로 결제한 싼 주문의 imp_uid에 비싼 주문의 merchant_uid를 붙여 웹훅 주소로 보냅니다.",
    needs="webhook",
)
def order_swap_webhook(chance: Random) -> Program:
    """A webhook with the true imp_uid of a cheap payment and the merchant_uid of a dear order."""
    return (
        Place("A", cheap(chance)),
        Place("B", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        Forge("a", claims="B"),
    )


@SWAPS.attack(
    "replay-same-price",
    "같은 값의 다른 주문에 다시 쓰기",
    "Replay for another order of the same price",
    "한 번 결제하고, 같은 금액의 다른 주문에도 그 imp_uid를 알립니다. 금액만 비교하는 상점은 속습니다.",
)
def replay_same_price(chance: Random) -> Program:
    """One payment, reported for two orders of one price. A shop that compares amounts alone is
    fooled.
    """
    price = dear(chance)
    return (
        Place("A", price),
        Place("B", price),
        Open("a", "A"),
        Approve("a"),
        Callback("a"),
        Callback("a", claims="B"),
    )


@SWAPS.attack(
    "replay-same-price-redirect",
    "같은 값의 다른 주문에 리디렉션으로 다시 쓰기",
    "Replay in the redirect's query",
    "한 번 결제해 돌아온 뒤, 주소창의 merchant_uid를 같은 금액의 다른 주문번호로 고쳐 다시 들어옵니다.",
    needs="redirect",
)
def replay_same_price_redirect(chance: Random) -> Program:
    """One payment comes back by redirect; then once more, with another order of that price in the
    query.
    """
    price = dear(chance)
    return (
        Place("A", price),
        Place("B", price),
        Open("a", "A", surface="mobile"),
        Approve("a"),
        Redirect("a"),
        Redirect("a", claims="B"),
    )


@SWAPS.attack(
    "replay-same-order",
    "같은 주문에 몇 번이고 알리기",
    "Replay for the same order",
    "같은 콜백을 여러 번 보냅니다. 물건은 한 번만 나가야 합니다.",
)
def replay_same_order(chance: Random) -> Program:
    """The same callback, again and again. Goods leave once."""
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        *(Callback("a") for _ in range(chance.randint(2, 4))),
    )


@SWAPS.attack(
    "replay-after-refund",
    "환불받은 뒤 다시 알리기",
    "Replay after the refund",
    "전액을 환불받고, 그 imp_uid를 원래 주문과 같은 값의 다른 주문에 다시 알립니다.",
    needs="callback webhook",
)
def replay_after_refund(chance: Random) -> Program:
    """All of the money goes back; then the imp_uid is reported again, for its order and for
    another.
    """
    price = dear(chance)
    return (
        Place("A", price),
        Place("B", price),
        Open("a", "A"),
        Approve("a"),
        Callback("a"),
        Webhook("a"),
        Refund("a"),
        Webhook("a"),
        Callback("a"),
        Callback("a", claims="B"),
    )


@SWAPS.attack(
    "replay-race",
    "두 주문에 동시에 쓰기",
    "One payment for two orders, at once",
    "같은 imp_uid를 두 주문에 같은 순간에 알립니다. 먼저 보고 나중에 쓰는 상점은 둘 다 내보냅니다.",
)
def replay_race(chance: Random) -> Program:
    """The same imp_uid for two orders in the same instant: look first, write later lets both go."""
    price = dear(chance)
    return (
        Place("A", price),
        Place("B", price),
        Open("a", "A"),
        Approve("a"),
        Together((Callback("a"), Callback("a", claims="B"), Callback("a", claims="B"))),
    )


@SWAPS.attack(
    "stranger-pays",
    "남의 결제로 내 주문을 알리기",
    "Somebody else's payment for my order",
    "다른 손님이 낸 결제의 imp_uid를 알아내(영수증, 화면 갈무리) 자기 주문에 붙여 알립니다.",
)
def stranger_pays(chance: Random) -> Program:
    """The thief learns another customer's imp_uid (a receipt, a screenshot) and reports it for an
    order of their own at the same price.
    """
    price = dear(chance)
    return (
        Place("A", price, by="victim"),
        Place("B", price, by="thief"),
        Open("a", "A"),
        Approve("a"),
        Callback("a", claims="B"),
        Webhook("a"),
    )


@SWAPS.attack(
    "other-merchant",
    "다른 가맹점의 결제를 알리기",
    "Another merchant's payment",
    "도둑이 자기 가맹점에서 같은 주문번호와 금액으로 결제하고, 그 imp_uid를 이 상점에 알립니다.",
)
def other_merchant(chance: Random) -> Program:
    """The thief pays themselves, at a merchant of their own, with the same order number and amount,
    and reports that imp_uid here.
    """
    return (Place("A", dear(chance)), Open("t", "A", at="thief"), Approve("t"), Callback("t"))


@SWAPS.attack(
    "other-merchant-webhook",
    "다른 가맹점의 결제를 웹훅으로 알리기",
    "Another merchant's payment, by webhook",
    "도둑의 가맹점에서 한 결제를 이 상점의 웹훅 주소로 보냅니다.",
    needs="webhook",
)
def other_merchant_webhook(chance: Random) -> Program:
    """A payment at the thief's own merchant, posted to this shop's webhook address."""
    return (Place("A", dear(chance)), Open("t", "A", at="thief"), Approve("t"), Forge("t"))
