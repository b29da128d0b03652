"""What PortOne's checklist before a launch asks, and no other attack tries (docs/reference/launch-checklist.md)."""

from random import Random
from typing import Literal

from naru.certifier.attacks.attack import Family, dear
from naru.certifier.steps import (
    Approve,
    Callback,
    CloseAccount,
    Deposit,
    Forge,
    Open,
    Place,
    Program,
    Refund,
    Reword,
    Together,
    Webhook,
)

LAUNCH = Family("출시 점검표", "The launch checklist")

# One of the addresses that i'mport sends webhooks from (protocol: webhook.md §2).
SENDERS_ADDRESS = "52.78.100.19"


@LAUNCH.attack(
    "launch-webhook-answer",
    "웹훅에 제때 200으로 답하기",
    "A webhook is answered 200, in time",
    "게이트웨이는 HTTP 200만 받은 것으로 치고, 늦은 대답은 실패로 칩니다. 가상계좌 발급과 입금, 결제, 취소를 차례로 알립니다.",
    needs="webhook",
)
def launch_webhook_answer(chance: Random) -> Program:
    """Only HTTP 200 means that the shop has it, and an answer that is late counts as none. A payment
    and its cancellation are told, then an account and its deposit.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        Webhook("a"),
        Refund("a"),
        Webhook("a"),
        Place("B", dear(chance)),
        Open("b", "B", method="vbank"),
        Approve("b"),
        Webhook("b"),
        Deposit("b"),
        Webhook("b"),
    )


@LAUNCH.attack(
    "launch-webhook-fields",
    "처음 보는 필드가 있는 웹훅",
    "A webhook with fields that nobody had heard of",
    "2024년 2월 23일에 cancellation_id가 늘었듯이 웹훅의 필드는 예고 없이 늘어납니다. 아는 것만 읽어야 합니다.",
    needs="webhook",
)
def launch_webhook_fields(chance: Random) -> Program:
    """Webhooks grow: cancellation_id came on 23 February 2024. Who refuses what it does not know loses
    a paid order.
    """
    return _reworded(chance, "fields")


@LAUNCH.attack(
    "launch-webhook-event",
    "이벤트 모양의 웹훅",
    "A webhook in the shape of an event",
    "에스크로 상태가 바뀌면 event와 extra가 함께 옵니다. imp_uid와 status는 그대로이니 다른 웹훅처럼 다시 물어보면 됩니다.",
    needs="webhook",
)
def launch_webhook_event(chance: Random) -> Program:
    """A change of escrow comes with `event` and `extra` around the same three fields: a tip like any
    other, to be looked into.
    """
    return _reworded(chance, "event")


@LAUNCH.attack(
    "launch-webhook-headers",
    "User-Agent와 charset이 다른 웹훅",
    "A webhook with other headers",
    "User-Agent는 약속된 적이 없고, Content-Type에 charset이 붙거나 헤더 이름의 대소문자가 바뀔 수 있습니다.",
    needs="webhook",
)
def launch_webhook_headers(chance: Random) -> Program:
    """Nobody promised a User-Agent; a charset may follow the Content-Type, and names of headers have no
    case.
    """
    return _reworded(chance, "headers")


@LAUNCH.attack(
    "launch-webhook-address",
    "X-Forwarded-For로 주소를 속인 가짜 웹훅",
    "A forged webhook that names i'mport's address",
    "웹훅의 발신 IP를 확인하더라도 X-Forwarded-For는 누구나 쓸 수 있습니다. 앞단의 프록시가 덮어쓰지 않으면 믿을 수 없고, "
    "주소가 맞아도 본문은 다시 물어봐야 합니다.",
    needs="webhook",
)
def launch_webhook_address(chance: Random) -> Program:
    """Anybody can write X-Forwarded-For. Unless a proxy of one's own puts it there it says nothing, and
    even a right address does not make the body true.
    """
    return (Place("A", dear(chance)), Open("a", "A"), Forge("a", address=SENDERS_ADDRESS))


@LAUNCH.attack(
    "launch-order-numbers",
    "한꺼번에 만든 주문의 번호",
    "Numbers of orders that are placed at once",
    "다섯 사람이 같은 순간에 주문합니다. 주문번호는 모두 달라야 하고, 40자를 넘지 않아야 모든 PG에서 쓸 수 있습니다. "
    "시각만으로 만든 번호는 겹칩니다.",
)
def launch_order_numbers(chance: Random) -> Program:
    """Five people order in one instant. Their numbers differ, and have at most 40 characters, which
    every PG takes. A number made of the time alone is given twice.
    """
    names = [f"A{number}" for number in range(1, 6)]
    price = dear(chance)
    return (
        Together(tuple(Place(name, price) for name in names)),
        Open("a", names[-1]),
        Approve("a"),
        Callback("a"),
    )


@LAUNCH.attack(
    "launch-methods",
    "카드가 아닌 결제수단",
    "Payments that are not by card",
    "계좌이체, 휴대폰 소액결제, 간편결제로 결제하고, 계좌이체는 환불까지 합니다. 카드에만 있는 값(승인번호, 카드사)에 기대면 "
    "멈춥니다.",
    needs="callback webhook",
)
def launch_methods(chance: Random) -> Program:
    """Paid by bank transfer, by phone and by a wallet; the transfer is given back. Who leans on what only
    cards have (an approval number, a company) stops here.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A", method="trans"),
        Approve("a"),
        Callback("a"),
        Place("B", dear(chance)),
        Open("b", "B", method="phone"),
        Approve("b"),
        Callback("b"),
        Place("C", dear(chance)),
        Open("c", "C", method="kakaopay"),
        Approve("c"),
        Webhook("c"),
        Refund("a"),
        Webhook("a"),
    )


@LAUNCH.attack(
    "launch-account-closed",
    "가상계좌를 닫고 카드로 결제하기",
    "The account is closed, and a card pays",
    "발급한 가상계좌를 직원이 닫으면 그 결제는 failed가 됩니다. 주문은 살아 있어 다른 수단으로 결제할 수 있어야 합니다.",
    needs="callback webhook",
)
def launch_account_closed(chance: Random) -> Program:
    """The staff close an account that was issued, and its payment becomes failed. The order lives on: it
    can be paid by other means.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A", method="vbank"),
        Approve("a"),
        Callback("a"),
        Webhook("a"),
        CloseAccount("a"),
        Callback("a"),
        Open("b", "A"),
        Approve("b"),
        Callback("b"),
        Webhook("b"),
    )


@LAUNCH.attack(
    "launch-deposit-refunded",
    "입금된 가상계좌를 환불하기",
    "A deposit is given back",
    "입금이 확인된 뒤 구매자의 계좌로 전액을 환불합니다. 카드 취소처럼 주문도 더는 결제됨이 아니어야 합니다.",
    needs="webhook",
)
def launch_deposit_refunded(chance: Random) -> Program:
    """The deposit is in; then all of it goes back to the buyer's account. The order is no longer paid, as
    after a card's cancel.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A", method="vbank"),
        Approve("a"),
        Webhook("a"),
        Deposit("a"),
        Webhook("a"),
        Refund("a"),
        Webhook("a"),
    )


def _reworded(chance: Random, how: Literal["fields", "event", "headers"]) -> Program:
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Reword("a", how),
        Approve("a"),
        Webhook("a"),
    )
