"""Nobody is evil here: news comes twice, too early, too late, all at once, or never."""

from itertools import permutations
from random import Random

from naru.certifier.attacks.attack import Family, dear
from naru.certifier.steps import (
    Advance,
    Approve,
    Callback,
    Deposit,
    Lose,
    Open,
    Place,
    Program,
    Redirect,
    Refund,
    Step,
    Sweep,
    Together,
    Webhook,
)

ACCIDENTS = Family("소식의 순서와 겹침", "News: order, overlap, loss")


@ACCIDENTS.attack(
    "news-every-order",
    "세 소식이 오는 모든 순서",
    "Three kinds of news in every order",
    "콜백, 리디렉션, 웹훅이 여섯 가지 순서로 도착합니다. 어느 순서에서도 물건은 한 번 나갑니다.",
    needs="callback redirect webhook",
)
def news_every_order(chance: Random) -> Program:
    """Callback, redirect and webhook arrive in each of six orders. Goods leave once in each."""
    price = dear(chance)
    program: list[Step] = []
    for number in range(1, 7):
        name = f"a{number}"
        news: tuple[Step, ...] = (Callback(name), Redirect(name), Webhook(name))
        program += [Place(f"A{number}", price), Open(name, f"A{number}"), Approve(name)]
        program += list(permutations(news))[number - 1]
    return tuple(program)


@ACCIDENTS.attack(
    "news-all-at-once",
    "세 소식이 한꺼번에",
    "All news at once",
    "콜백, 리디렉션, 웹훅이 같은 순간에 도착합니다. 모두 '아직 결제 전'인 주문을 읽습니다.",
    needs="callback redirect webhook",
)
def news_all_at_once(chance: Random) -> Program:
    """Callback, redirect and webhook arrive in the same instant; each of them reads an order that
    is not paid yet.
    """
    program: list[Step] = []
    for number in range(1, 6):
        name = f"a{number}"
        program += [
            Place(f"A{number}", dear(chance)),
            Open(name, f"A{number}"),
            Approve(name),
            Together(
                (
                    Callback(name),
                    Webhook(name, status="paid"),
                    Redirect(name),
                    Webhook(name, status="paid"),
                )
            ),
        ]
    return tuple(program)


@ACCIDENTS.attack(
    "webhook-before-callback",
    "콜백보다 먼저 온 웹훅",
    "The webhook before the callback",
    "웹훅이 콜백보다 먼저 오는 일은 흔합니다.",
    needs="callback webhook",
)
def webhook_before_callback(chance: Random) -> Program:
    """The webhook is often faster than the callback."""
    return (Place("A", dear(chance)), Open("a", "A"), Approve("a"), Webhook("a"), Callback("a"))


@ACCIDENTS.attack(
    "webhook-repeated",
    "되풀이되는 웹훅",
    "A webhook that repeats",
    "같은 웹훅이 다섯 번 옵니다. 대답이 늦거나 잃어버린 것으로 보이면 다시 보냅니다.",
    needs="webhook",
)
def webhook_repeated(chance: Random) -> Program:
    """The same webhook comes five times, as it does when an answer seems lost."""
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        Webhook("a", times=chance.randint(3, 6)),
    )


@ACCIDENTS.attack(
    "webhook-twins",
    "동시에 두 번 온 웹훅",
    "Twin webhooks",
    "같은 웹훅이 두 서버에 동시에 도착합니다.",
    needs="webhook",
)
def webhook_twins(chance: Random) -> Program:
    """The same webhook arrives in two processes at once."""
    program: list[Step] = []
    for number in range(1, 6):
        name = f"a{number}"
        twins = tuple(Webhook(name, status="paid") for _ in range(3))
        program += [
            Place(f"A{number}", dear(chance)),
            Open(name, f"A{number}"),
            Approve(name),
            Together(twins),
        ]
    return tuple(program)


@ACCIDENTS.attack(
    "double-submit",
    "버튼을 여러 번 누른 콜백",
    "Double submit",
    "느린 화면에서 구매자가 새로고침하고, 같은 콜백이 동시에 여러 번 갑니다.",
)
def double_submit(chance: Random) -> Program:
    """An impatient buyer sends the same callback several times at once."""
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        Together(tuple(Callback("a") for _ in range(chance.randint(4, 6)))),
    )


@ACCIDENTS.attack(
    "two-windows",
    "탭 두 개에서 같은 주문을 결제하기",
    "One order in two tabs",
    "탭 두 개에 결제창을 열고 둘 다 결제합니다.",
    needs="callback webhook",
)
def two_windows(chance: Random) -> Program:
    """Two windows for one order, and both are paid."""
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Open("b", "A"),
        Approve("a"),
        Approve("b"),
        Callback("b"),
        Callback("a"),
        Webhook("a"),
        Webhook("b"),
    )


@ACCIDENTS.attack(
    "card-then-deposit",
    "카드로 낸 주문에 또 입금하기",
    "A card pays, and then the account as well",
    "가상계좌를 발급받고 카드로 결제해 주문이 끝난 뒤, 그 계좌에도 입금합니다. 직원이 두 번째 돈을 환불해도 카드로 낸 주문은 그대로여야 합니다.",
    needs="callback webhook",
)
def card_then_deposit(chance: Random) -> Program:
    """An account is issued, the order is paid by card and finished, and then the account is paid
    into. Staff give the second money back: the order that the card paid stays paid.
    """
    return (
        Place("A", dear(chance)),
        Open("v", "A", method="vbank"),
        Approve("v"),
        Webhook("v"),
        Open("a", "A"),
        Approve("a"),
        Callback("a"),
        Webhook("a"),
        Deposit("v"),
        Webhook("v"),
        Refund("v"),
        Webhook("v"),
    )


@ACCIDENTS.attack(
    "callback-lost",
    "오지 않는 콜백",
    "The callback never comes",
    "결제 직후 휴대폰 배터리가 나갑니다. 웹훅이 한 시간 뒤에 옵니다.",
    needs="webhook",
)
def callback_lost(chance: Random) -> Program:
    """The phone dies after paying; the webhook comes an hour later."""
    return (Place("A", dear(chance)), Open("a", "A"), Approve("a"), Advance("1h"), Webhook("a"))


@ACCIDENTS.attack(
    "webhook-lost",
    "오지 않는 웹훅",
    "The webhook never comes",
    "방화벽이 웹훅을 막습니다. 콜백만으로 주문이 끝나야 합니다.",
)
def webhook_lost(chance: Random) -> Program:
    """A firewall drops the webhook; the callback alone finishes the order."""
    return (Place("A", dear(chance)), Open("a", "A"), Approve("a"), Lose("a"), Callback("a"))


@ACCIDENTS.attack(
    "everything-lost",
    "아무 소식도 오지 않는 결제",
    "No news at all",
    "콜백도 웹훅도 오지 않습니다. 정리 작업(cron)이 찾아내야 하고, 두 번 돌아도 한 번만 나가야 합니다.",
    needs="sweep",
)
def everything_lost(chance: Random) -> Program:
    """Neither callback nor webhook comes. The sweep finds it; run twice, it still sends goods once."""
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        Lose("a"),
        Sweep(),
        Together((Sweep(), Sweep())),
    )


@ACCIDENTS.attack(
    "deposit-lost",
    "아무 소식도 오지 않는 입금",
    "A deposit without news",
    "가상계좌를 발급받고 나중에 입금했는데 웹훅이 오지 않습니다. 입금할 때는 브라우저도 없습니다. 정리 작업(cron)이 찾아내야 합니다.",
    needs="sweep",
)
def deposit_lost(chance: Random) -> Program:
    """An account is issued and paid into later, and no webhook comes; there is no browser then,
    either. The sweep finds it.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A", method="vbank"),
        Approve("a"),
        Callback("a"),
        Lose("a"),
        Deposit("a"),
        Sweep(),
        Together((Sweep(), Sweep())),
    )


@ACCIDENTS.attack(
    "deposit-before-issue",
    "발급보다 먼저 온 입금 웹훅",
    "The deposit's webhook before the account's",
    "입금 웹훅(paid)이 먼저 오고 발급 웹훅(ready)이 뒤늦게 옵니다. 늦은 ready가 결제를 되돌리면 안 됩니다.",
    needs="webhook",
)
def deposit_before_issue(chance: Random) -> Program:
    """The deposit's webhook (paid) comes first, the account's (ready) later: it must not take the
    order back.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A", method="vbank"),
        Approve("a"),
        Deposit("a"),
        Webhook("a", status="paid"),
        Webhook("a", status="ready"),
    )


@ACCIDENTS.attack(
    "refund-seen",
    "전액 환불을 알게 되는 상점",
    "A full refund is seen",
    "관리자 화면에서 전액을 환불하고 웹훅이 알립니다. 주문은 더는 결제됨이 아닙니다.",
    needs="callback webhook",
)
def refund_seen(chance: Random) -> Program:
    """Staff give all of the money back at the console, and the webhook says so. The order is no
    longer paid.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        Callback("a"),
        Webhook("a"),
        Refund("a"),
        Webhook("a"),
    )


@ACCIDENTS.attack(
    "refund-reordered",
    "환불보다 늦게 온 결제 웹훅",
    "The refund's webhook before the payment's",
    "환불 웹훅이 먼저, 결제 웹훅이 나중에 옵니다. 늦은 소식이 주문을 되살리면 안 됩니다.",
    needs="callback webhook",
)
def refund_reordered(chance: Random) -> Program:
    """The refund's webhook comes first, the payment's later: the late one must not revive the
    order.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        Callback("a"),
        Refund("a"),
        Webhook("a", status="cancelled"),
        Webhook("a", status="paid"),
        Callback("a"),
    )


@ACCIDENTS.attack(
    "refund-partial",
    "부분 환불을 전액 환불로 보지 않기",
    "A partial refund is no full refund",
    "일부만 환불합니다. 게이트웨이의 status는 cancelled가 될 수 있지만, 돈은 남아 있고 주문도 살아 있습니다.",
    needs="callback webhook",
)
def refund_partial(chance: Random) -> Program:
    """A part goes back. The gateway's status may read cancelled, but the rest of the money is
    there, and so is the order.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        Callback("a"),
        Webhook("a"),
        Refund("a", 1_000),
        Webhook("a"),
        Callback("a"),
    )


@ACCIDENTS.attack(
    "refund-in-parts",
    "나누어 전액을 환불하기",
    "Given back in parts, to the last won",
    "두 번에 나누어 전액을 환불합니다. 마지막에는 주문이 결제됨으로 남으면 안 됩니다.",
    needs="callback webhook",
)
def refund_in_parts(chance: Random) -> Program:
    """All of the money goes back in two parts. In the end the order is no longer paid."""
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        Callback("a"),
        Webhook("a"),
        Refund("a", 30_000),
        Webhook("a"),
        Refund("a"),
        Webhook("a"),
    )
