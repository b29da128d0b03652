"""What must hold for every order after every attack: the shop's own books beside the gateway's truth."""

from __future__ import annotations

import time
from collections.abc import Iterator

from naru.certifier.result import Breach, OrderSeen, Rule, Words
from naru.certifier.stage import Order, Scene, Stage, Try, left_of
from naru.kit.types import Payment

# A shop that hands goods to a queue needs a moment; one that never will costs this much once.
PATIENCE_SECONDS = 1.0
LOOK_SECONDS = 0.05

PAID_IN_FULL = Rule(
    "paid-in-full",
    Words("돈을 다 받아야 물건이 나간다", "Goods leave only when the whole price was paid"),
    Words(
        "주문이 결제됨이 되거나 물건이 나가려면, 그 주문번호로 이 가맹점에 그 금액·그 통화의 결제가 실제로 "
        "완료되어 있어야 합니다. 그것을 아는 곳은 게이트웨이뿐이므로 서버가 직접 물어보고, "
        "주문은 브라우저가 말한 번호가 아니라 조회한 결제의 merchant_uid로 찾고, 금액·통화·상태를 비교합니다.",
        "An order is paid when the gateway, asked by the server itself, has a payment for this very "
        "order number at this merchant, with the order's amount and currency and the status paid. "
        "The order is found by the gateway's merchant_uid, never by the browser's.",
    ),
    """\
-payment = ask_gateway(body["imp_uid"])
-if payment.amount == find(payment.merchant_uid).amount:
-    mark_paid(body["merchant_uid"])      # the browser's number: another order
+match till.finalise(body["imp_uid"], body["merchant_uid"]):
+    case Paid():                         # asked, found by the gateway's number, compared,
+        return {"status": "success"}     # written, and fulfil() has run: all in one transaction
+    case Forged():
+        return {"status": "forgery"}, 400
""",
)
ONCE = Rule(
    "once",
    Words("물건은 한 번만 나간다", "Goods leave once"),
    Words(
        "콜백·리디렉션·웹훅은 겹치고 되풀이됩니다. 주문을 결제됨으로 바꾸는 일과 물건을 내보내는 일을 한 "
        "트랜잭션에서, 조건부 UPDATE 하나로 이긴 쪽만 하게 합니다.",
        "Callback, redirect and webhook overlap and repeat. One conditional update decides who makes "
        "the order paid, and goods leave in that same transaction.",
    ),
    """\
-if order.status == "placed":             # two of us read this at the same time
-    order.status = "paid"
-    send_goods(order)
+won = session.execute(
+    update(Order).where(
+        Order.merchant_uid == number, Order.status == "placed", Order.amount == payment.amount
+    ).values(status="paid", imp_uid=imp_uid)
+).rowcount == 1                          # the kit's order stores do this for you
+if won:
+    session.add(Parcel(merchant_uid=number))
""",
)
MONEY_GETS_GOODS = Rule(
    "money-gets-goods",
    Words("돈을 낸 사람은 물건을 받는다", "Who paid gets the goods"),
    Words(
        "구매자가 주문 금액을 다 냈고 상점이 그 소식을 들었다면 주문은 결제됨이 되어야 합니다. "
        "물어볼 수 없었으면 2xx로 답하지 말아야 다시 알려 옵니다. 부분 환불은 주문을 끝내지 않습니다.",
        "When the buyer paid the whole price and the shop was told, the order is paid. A shop that "
        "could not ask must not answer 2xx, so that it is told again. A partial refund ends no order.",
    ),
    """\
-except RequestException:
-    return "ok"                          # 200: nobody will ever tell us again
+match till.finalise(imp_uid):
+    case Unknown():
+        return "later", 503              # the gateway tells us again
+till.sweep()                             # from cron: what nobody told us of
""",
)
GIVEN_BACK = Rule(
    "given-back",
    Words("돌려준 돈으로 물건이 나가지 않는다", "Money that went back pays for nothing"),
    Words(
        "전액이 취소되었고 상점이 그 소식을 들었다면 주문은 더는 결제됨이 아닙니다. "
        "취소된 결제로 주문이 새로 완료되어서도 안 됩니다.",
        "When all of the money went back and the shop was told, the order is no longer paid; and a "
        "payment that was given back completes no order.",
    ),
    """\
-if payment.status in ("paid", "cancelled") and payment.amount == order.amount:
-    mark_paid(order)                     # amount stays what it was after a refund
+case Cancelled(payment):                 # status and cancel_amount were looked at
+    ...                                  # note() runs in the transaction: take the goods back
""",
)
PAID_AMOUNT = Rule(
    "paid-amount",
    Words("장부의 금액은 실제 금액이다", "The books show the true amount"),
    Words(
        "상점 장부의 결제 금액은 게이트웨이가 가진 금액과 같아야 합니다. 브라우저가 말한 금액을 적지 않습니다.",
        "The paid amount in the shop's books is the gateway's, never the browser's.",
    ),
    """\
-order.paid_amount = body["paid_amount"]  # the browser's word
+order.paid_amount = payment.amount       # the gateway's
""",
)
RULES = (PAID_IN_FULL, ONCE, MONEY_GETS_GOODS, GIVEN_BACK, PAID_AMOUNT)


def judge(stage: Stage, scene: Scene) -> tuple[list[OrderSeen], list[Breach]]:
    """Every order of a performance, and every rule that was broken. Raises ShopTrouble."""
    if stage.adapter.settles_within_seconds:
        time.sleep(stage.adapter.settles_within_seconds)
    seen, breaches = [], []
    for order in scene.orders.values():
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            state = stage.see(order)
            found = list(_breaches(stage, scene, order, state))
            late = all(breach.rule in (MONEY_GETS_GOODS, GIVEN_BACK) for breach in found)
            if not found or not late or time.monotonic() > deadline:
                break
            time.sleep(LOOK_SECONDS)
        seen.append(state)
        breaches.extend(found)
    return seen, breaches


def _breaches(stage: Stage, scene: Scene, order: Order, seen: OrderSeen) -> Iterator[Breach]:
    payments = stage.payments_of(order)
    paying = [payment for payment in payments if _pays(payment, order)]
    tries = [each for each in scene.tries.values() if _is_of(each, paying)]
    called = stage.adapter.words[seen.status]
    price, got = f"{order.amount:,}원", f"{seen.received:,}원"

    if not paying and (seen.fulfilled or called == "paid"):
        why = _unpaid(order, seen, payments)
        yield Breach(PAID_IN_FULL, order.name, why, max(0, order.amount - seen.received))
        return
    if seen.fulfilled > 1:
        yield Breach(
            ONCE,
            order.name,
            Words(
                f"주문 {order.name}: {price}을 한 번 받고 물건이 {seen.fulfilled}번 나갔습니다.",
                f"Order {order.name}: paid once, {order.amount:,} KRW, and its goods left {seen.fulfilled} times.",
            ),
            order.amount * (seen.fulfilled - 1),
        )
    if not paying:
        return
    left = sum(left_of(payment) for payment in paying)
    # An order follows one payment. Where several were for it, the one that went back may have been
    # that one, and has ended the order: then it is for a person to say what the others are for.
    # The first that the shop heard of while it was the only one is the one that it follows.
    followed = tries if order.follows is None else [order.follows]
    ended = any(each.truth.cancel_amount and not _keeps(each) for each in followed if each.truth)
    if left > 0 and any(each.heard_paid for each in tries) and not ended:
        if not seen.fulfilled or called != "paid":
            state = "물건이 나가지 않았고" if not seen.fulfilled else "물건은 나갔지만"
            said = "no goods left" if not seen.fulfilled else "the goods left"
            kept = f"{price}을 모두" if seen.received == order.amount else f"{price} 가운데 {got}을"
            yield Breach(
                MONEY_GETS_GOODS,
                order.name,
                Words(
                    f"주문 {order.name}: {kept} 받았는데, {state} 상점은 주문을 {seen.status!r}라고 "
                    "합니다.",
                    f"Order {order.name}: the merchant keeps {seen.received:,} KRW of it, {said}, and "
                    f"the shop calls it {seen.status!r}.",
                ),
                seen.received,
            )
    elif left == 0:
        if called == "paid" and all(each.told_returned for each in tries):
            yield Breach(
                GIVEN_BACK,
                order.name,
                Words(
                    f"주문 {order.name}: {price}을 모두 돌려주었는데 상점은 아직 {seen.status!r}라고 합니다.",
                    f"Order {order.name}: all of its {order.amount:,} KRW went back, and the shop "
                    f"still calls it {seen.status!r}.",
                ),
                order.amount,
            )
        elif seen.fulfilled and not any(each.told_paid for each in tries):
            yield Breach(
                GIVEN_BACK,
                order.name,
                Words(
                    f"주문 {order.name}: {price}을 돌려준 뒤에야 소식을 들었는데 물건이 나갔습니다.",
                    f"Order {order.name}: its goods left although the money had gone back before the "
                    "shop heard of it.",
                ),
                order.amount,
            )
        elif any(_left_later(each, seen) for each in tries):
            yield Breach(
                GIVEN_BACK,
                order.name,
                Words(
                    f"주문 {order.name}: 전액 환불을 알고도 그 뒤에 물건이 나갔습니다.",
                    f"Order {order.name}: its goods left after the shop had taken the news that all of "
                    "the money went back.",
                ),
                order.amount,
            )
    books = seen.paid_amount
    least = min(left_of(payment) for payment in paying)
    if called == "paid" and books is not None and not least <= books <= order.amount:
        yield Breach(
            PAID_AMOUNT,
            order.name,
            Words(
                f"주문 {order.name}: 장부에는 {books:,}원, 실제로는 {got}입니다.",
                f"Order {order.name}: the books say {books:,} KRW, the gateway {seen.received:,}.",
            ),
            abs(books - min(left, order.amount)),
        )


def _left_later(each: Try, seen: OrderSeen) -> bool:
    """Did goods leave after the shop had taken the refund's webhook?"""
    return each.left_when_returned is not None and seen.fulfilled > each.left_when_returned


def _keeps(each: Try) -> bool:
    """Must its order still be paid, if it is the one that the order follows?"""
    return each.heard_paid and each.truth is not None and left_of(each.truth) > 0


def _pays(payment: Payment, order: Order) -> bool:
    """Was this order's whole price paid by it, at some time?"""
    return (
        payment.merchant_uid == order.merchant_uid
        and payment.currency == "KRW"
        and payment.amount == order.amount
        and payment.paid_at is not None
        and payment.status in ("paid", "cancelled")
    )


def _is_of(each: Try, payments: list[Payment]) -> bool:
    return any(payment.imp_uid == each.window.imp_uid for payment in payments)


def _unpaid(order: Order, seen: OrderSeen, payments: list[Payment]) -> Words:
    foreign = [
        f"{payment.amount} {payment.currency}"
        for payment in payments
        if payment.status == "paid" and payment.currency != "KRW"
    ]
    paid = ", ".join(
        [f"{seen.received:,}원", *foreign] if seen.received or not foreign else foreign
    )
    if seen.received >= order.amount:
        mine = [each for each in payments if each.currency == "KRW" and left_of(each) > 0]
        if not any(each.status in ("paid", "cancelled") for each in mine):
            return Words(
                f"주문 {order.name}: 게이트웨이에는 다른 주문번호로 된 결제뿐인데 {seen.status!r}가 되었습니다.",
                f"Order {order.name} is called {seen.status!r}, and the gateway has a payment under "
                "another number only.",
            )
        return Words(
            f"주문 {order.name}의 값은 {order.amount:,}원인데, 그 금액의 결제 없이 {seen.status!r}가 되었습니다 "
            f"(받은 돈 {seen.received:,}원).",
            f"Order {order.name} costs {order.amount:,} KRW and is called {seen.status!r} without a payment "
            f"of that amount ({seen.received:,} KRW were received).",
        )
    if seen.fulfilled:
        return Words(
            f"주문 {order.name} {order.amount:,}원어치가 {paid}에 나갔습니다.",
            f"Order {order.name}: goods for {order.amount:,} KRW left for {paid.replace('원', ' KRW')}.",
        )
    return Words(
        f"주문 {order.name} {order.amount:,}원이 {paid}에 {seen.status!r}가 되었습니다.",
        f"Order {order.name}: {order.amount:,} KRW, called {seen.status!r} for "
        f"{paid.replace('원', ' KRW')}.",
    )
