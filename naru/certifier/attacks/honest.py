"""Honest buyers: a shop that refuses everybody is no shop."""

from random import Random

from naru.certifier.attacks.attack import Family, dear
from naru.certifier.steps import (
    Approve,
    Callback,
    Close,
    Decline,
    Deposit,
    Open,
    Place,
    Program,
    Redirect,
    Webhook,
)

HONEST = Family("정직한 구매자", "Honest buyers")


@HONEST.attack(
    "honest-callback",
    "콜백으로 알린 결제",
    "A payment reported by the callback",
    "PC에서 카드로 결제하고 페이지의 콜백이 서버에 알립니다. 웹훅은 나중에 옵니다.",
)
def honest_callback(chance: Random) -> Program:
    """A card payment on a PC; the page's callback tells the server, the webhook comes later."""
    return (Place("A", dear(chance)), Open("a", "A"), Approve("a"), Callback("a"), Webhook("a"))


@HONEST.attack(
    "honest-redirect",
    "리디렉션으로 돌아온 결제",
    "A payment that comes back by redirect",
    "휴대폰에서 결제하면 콜백은 없고 m_redirect_url로 돌아옵니다.",
    needs="redirect",
)
def honest_redirect(chance: Random) -> Program:
    """On a phone there is no callback: the browser comes to m_redirect_url."""
    return (
        Place("A", dear(chance)),
        Open("a", "A", surface="mobile"),
        Approve("a"),
        Redirect("a"),
        Webhook("a"),
    )


@HONEST.attack(
    "honest-webhook",
    "웹훅으로만 알린 결제",
    "A payment that only the webhook reports",
    "구매자가 결제 직후 창을 닫아 콜백이 오지 않습니다. 웹훅만이 알려 줍니다.",
    needs="webhook",
)
def honest_webhook(chance: Random) -> Program:
    """The buyer closes the tab right after paying, so no callback comes. Only the webhook tells."""
    return (Place("A", dear(chance)), Open("a", "A"), Approve("a"), Webhook("a"))


@HONEST.attack(
    "honest-deposit",
    "가상계좌에 입금한 결제",
    "A virtual account, paid by deposit",
    "가상계좌를 발급받아(ready) 알리고, 나중에 입금하면 웹훅이 paid를 알립니다.",
    needs="callback webhook",
)
def honest_deposit(chance: Random) -> Program:
    """An account is issued (ready) and reported; the deposit comes later, and the webhook says
    paid.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A", method="vbank"),
        Approve("a"),
        Callback("a"),
        Webhook("a"),
        Deposit("a"),
        Webhook("a"),
    )


@HONEST.attack(
    "honest-second-try",
    "한 번 거절되고 다시 낸 결제",
    "Declined once, then paid",
    "첫 카드는 한도 초과로 거절되고 같은 주문을 다른 카드로 결제합니다. 늦은 실패 소식이 성공을 덮으면 안 됩니다.",
    needs="callback webhook",
)
def honest_second_try(chance: Random) -> Program:
    """The first card is declined, the second pays the same order. The late news of the failure must
    not undo the success.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Decline("a"),
        Open("b", "A"),
        Approve("b"),
        Callback("b"),
        Webhook("b"),
        Callback("a"),
        Webhook("a"),
    )


@HONEST.attack(
    "honest-closed-window",
    "창을 닫은 구매자",
    "A buyer who closes the window",
    "구매자가 결제창을 그냥 닫습니다. 주문은 그대로 남아 나중에 결제할 수 있어야 합니다.",
)
def honest_closed_window(chance: Random) -> Program:
    """The buyer closes the window. The order stays, and can be paid later."""
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Close("a"),
        Callback("a"),
        Open("b", "A"),
        Approve("b"),
        Callback("b"),
        Webhook("b"),
    )
