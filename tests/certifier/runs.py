"""An invented run against an invented shop, as rich as a true one: what the reports are shown with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from naru.certifier.result import (
    AttackNamed,
    Breach,
    Exchange,
    OrderSeen,
    Outcome,
    Party,
    Rule,
    Run,
    Words,
)

PAID_IN_FULL = Rule(
    "paid-in-full",
    Words("제값을 받은 주문만 내보낸다", "Only an order that was paid in full leaves"),
    Words(
        "상품이 나간 주문은 반드시, 바로 그 주문으로, 그 값 전부가, 그 통화로, 이 가맹점에 결제되어 있어야 합니다.",
        "For every order whose goods left, its whole price was paid, in its currency, for this "
        "order, at this merchant.",
    ),
    """\
-payment = imp.find(request.json["imp_uid"])
-if payment["status"] == "paid":
-    ship(request.json["merchant_uid"])
+from naru.kit import Paid
+
+# 주문은 게이트웨이가 말하는 merchant_uid로 찾고, 금액과 통화를 맞춰 봅니다.
+verdict = till.finalise(request.json["imp_uid"])
+if isinstance(verdict, Paid):
+    return {"status": "paid"}""",
)
ONCE = Rule(
    "once",
    Words("한 주문은 한 번만 내보낸다", "An order leaves once"),
    Words(
        "콜백, 리다이렉트, 웹훅이 몇 번을 어떤 순서로 겹쳐 와도 상품은 한 번만 나갑니다.",
        "However often and in whatever order the news arrives, goods leave once.",
    ),
    """\
def fulfil(order, payment, session):
    # 주문을 paid로 바꾸는 트랜잭션 안에서 한 번만 불립니다.
    session.add(Parcel(merchant_uid=order.merchant_uid))""",
)
MONEY_GETS_GOODS = Rule(
    "money-gets-goods",
    Words("돈을 받았으면 내보낸다", "Money gets its goods"),
    Words(
        "구매자가 제값을 냈고 상점이 그 소식을 들었다면, 그 주문은 결제된 것으로 끝나야 합니다.",
        "When the buyer paid and the shop was told, the order ends as paid.",
    ),
    "till.sweep()  # cron에서 5분마다",
)
GIVEN_BACK = Rule(
    "given-back",
    Words("돌려준 돈에 상품을 붙이지 않는다", "No goods for money that went back"),
    Words(
        "전액이 환불되었고 상점이 들었다면, 주문은 더는 결제됨이 아닙니다.",
        "When the whole money went back and the shop was told, the order is paid no longer.",
    ),
    "till.finalise(imp_uid)  # Cancelled",
)

SWAP = Words("바꿔치기", "Swaps")
AMOUNT = Words("금액과 통화", "Amount and currency")
STATUS = Words("안 된 결제", "Payments that are none")
WEBHOOK = Words("웹훅 위조", "Forged webhooks")
INPUT = Words("이상한 입력", "Hostile input")
ORDER = Words("순서와 동시성", "Order and overlap")
WEATHER = Words("게이트웨이 장애", "A sick gateway")
ACCOUNT = Words("가상계좌", "Virtual accounts")
REFUND = Words("환불", "Refunds")
LAUNCH = Words("오픈 점검표", "Launch checklist")

NAMED: list[tuple[Words, str, str, str]] = [
    (SWAP, "order-swap", "싼 결제로 비싼 주문 끝내기", "A dear order with a cheap payment"),
    (SWAP, "replay-other-order", "쓴 imp_uid로 다른 주문 끝내기", "A used imp_uid, another order"),
    (SWAP, "replay-same-order", "같은 imp_uid를 다시 보내기", "The same imp_uid again"),
    (SWAP, "replay-after-refund", "환불받은 imp_uid 다시 쓰기", "An imp_uid after its refund"),
    (SWAP, "other-merchant", "남의 가맹점 imp_uid 가져오기", "Another merchant's imp_uid"),
    (AMOUNT, "amount-in-page", "결제창에 넘기는 금액 고치기", "Change the amount in the page"),
    (AMOUNT, "currency", "원 대신 달러로 내기", "Pay in another currency"),
    (AMOUNT, "price-changed", "결제창을 띄운 뒤 주문 늘리기", "Change the order while paying"),
    (AMOUNT, "amount-zero", "0원으로 결제하기", "Pay nothing"),
    (STATUS, "failed-as-paid", "실패한 결제를 성공이라 하기", "A failed payment as paid"),
    (STATUS, "cancelled-as-paid", "취소된 결제를 성공이라 하기", "A cancelled payment as paid"),
    (STATUS, "ready-as-paid", "끝나지 않은 결제를 성공이라 하기", "A ready payment as paid"),
    (STATUS, "redirect-tampered", "리다이렉트 주소 고치기", "A tampered redirect"),
    (STATUS, "made-up-imp-uid", "없는 imp_uid 지어내기", "An invented imp_uid"),
    (WEBHOOK, "webhook-forged", "웹훅 지어내기", "A forged webhook"),
    (WEBHOOK, "webhook-wrong-signature", "서명이 틀린 웹훅", "A wrong signature"),
    (WEBHOOK, "webhook-old", "며칠 전 웹훅 다시 보내기", "An old webhook again"),
    (WEBHOOK, "webhook-form-under-json", "JSON 머리말에 폼 본문", "A form under a JSON header"),
    (INPUT, "uid-nul", "merchant_uid 속 NUL", "NUL in merchant_uid"),
    (INPUT, "uid-unicode", "모양만 같은 merchant_uid", "A look-alike merchant_uid"),
    (INPUT, "uid-long", "10만 자짜리 imp_uid", "An imp_uid of 100,000 letters"),
    (INPUT, "json-nested", "만 겹짜리 JSON", "JSON of ten thousand levels"),
    (INPUT, "array-for-text", "글자 자리에 배열", "An array where text belongs"),
    (ORDER, "webhook-first", "콜백보다 먼저 온 웹훅", "The webhook comes first"),
    (ORDER, "all-at-once", "콜백·리다이렉트·웹훅 동시에", "All three at once"),
    (ORDER, "duplicates", "웹훅 다섯 번", "Five webhooks"),
    (ORDER, "double-submit", "결제 버튼 두 번", "Pay pressed twice"),
    (ORDER, "callback-lost", "콜백이 사라짐", "The callback is lost"),
    (ORDER, "all-lost", "콜백도 웹훅도 사라짐", "Callback and webhook are lost"),
    (ORDER, "late", "하루 뒤에 온 웹훅", "A webhook a day late"),
    (WEATHER, "gateway-500", "조회가 500", "The lookup answers 500"),
    (WEATHER, "gateway-429", "조회가 429", "The lookup answers 429"),
    (WEATHER, "gateway-slow", "조회가 30초", "The lookup takes 30 s"),
    (WEATHER, "gateway-down", "승인 뒤 게이트웨이가 죽음", "Down after the approval"),
    (WEATHER, "token-expired", "도중에 만료된 토큰", "The token expires"),
    (ACCOUNT, "account-issued", "계좌만 받고 입금 안 함", "An account, no deposit"),
    (ACCOUNT, "account-under", "모자란 입금", "Too little"),
    (ACCOUNT, "account-over", "넘치는 입금", "Too much"),
    (ACCOUNT, "account-late", "기한 지난 입금", "Too late"),
    (ACCOUNT, "account-twice", "두 번 입금", "Twice"),
    (REFUND, "refund-whole", "전액 환불", "The whole goes back"),
    (REFUND, "refund-part", "부분 환불을 전액으로 봄", "A partial refund seen as full"),
    (LAUNCH, "webhook-answers", "웹훅에 200으로 답함", "Webhooks are answered 200"),
    (LAUNCH, "phone-redirect", "모바일 리다이렉트로 끝남", "A phone's redirect finishes"),
]  # fmt: skip

URL = "http://127.0.0.1:8000"


def good_run() -> Run:
    """Every attack held, but one that the adapter names no way to try."""
    return Run(
        shop="나루 데모 상점",
        url=URL,
        seed=20261123,
        version="0.1.0",
        began=datetime(2026, 11, 23, 6, 34, 25, tzinfo=UTC),
        seconds=71.42,
        outcomes=tuple(_held(*named) for named in NAMED),
    )


def bad_run() -> Run:
    """A shop that was written after the sample: it is robbed, in several ways."""
    changed = {
        each.attack.name: each for each in (_swap(), _at_once(), _refund(), _twice(), _down())
    }
    held = good_run()
    return replace(
        held,
        shop="우리집 문구점",
        seconds=83.07,
        outcomes=tuple(changed.get(each.attack.name, each) for each in held.outcomes),
    )


def hostile_run() -> Run:
    """A shop and a thief who write what breaks reports."""
    ugly = "\x00\x1b[2J</script><script>alert(1)</script>]]>&quot;\ud800\ufffe\u202egnp.exe\"'\r\n--><!--"
    words = Words(f"주문 {ugly}", f"order {ugly}")
    rule = Rule(f"rule {ugly}", words, words, f"```\n{ugly}\n````")
    outcome = replace(
        _swap(),
        attack=AttackNamed(f"swap {ugly}", words, words, words),
        breaches=(Breach(rule, ugly, words, 10**15),),
        warnings=(words,),
        orders=(OrderSeen(ugly, ugly, -1, ugly, 2, None, 0),),
        steps=(words,),
        tape=(
            Exchange(1, "thief", "shop", ugly, ugly, 500, "가<b>" * 400_000, 1.5),
            Exchange(2, "shop", "shop", ugly, ugly, None, "", 0.0, 1),
            Exchange(3, "certifier", "buyer", "x" * 5_000, ugly, 1, ugly, 0.0, 1),
        ),
        repeat=f"naru certify {ugly}",
    )
    skipped = replace(outcome, verdict="skipped", breaches=(), why=words)
    trouble = replace(
        outcome,
        attack=AttackNamed("nameless", words, words, words),
        verdict="trouble",
        breaches=(),
        why=words,
        tape=(),
    )
    return Run(
        ugly, f"javascript:{ugly}", -1, ugly, good_run().began, 0.0, (outcome, skipped, trouble)
    )


def _named(name: str, story: Words | None = None) -> AttackNamed:
    family, _, ko, en = next(named for named in NAMED if named[1] == name)
    told = story or Words(
        f"{ko}: 상점이 브라우저의 말을 믿는지, 게이트웨이에 다시 물어보는지를 봅니다.",
        f"{en}: does the shop believe the browser, or does it ask the gateway?",
    )
    return AttackNamed(name, family, Words(ko, en), told)


def _held(family: Words, name: str, ko: str, en: str) -> Outcome:
    attack = _named(name)
    if name == "price-changed":
        why = Words(
            "어댑터에 [change]가 없어 주문 금액을 바꿔 볼 수 없습니다.",
            "The adapter has no [change], so that no order can change its price.",
        )
        return Outcome(attack, "skipped", why=why)
    weak: tuple[Words, ...] = ()
    if name == "json-nested":
        weak = (
            Words(
                "POST /payments/complete 에 만 겹짜리 JSON을 보내자 500으로 답했습니다.",
                "POST /payments/complete was answered 500 for JSON of ten thousand levels.",
            ),
        )
    return Outcome(
        attack,
        "held",
        warnings=weak,
        orders=(OrderSeen("A", f"order_{name}", 19_900, "paid", 1, 19_900, 19_900),),
        steps=(
            Words("주문 A를 19,900원에 만든다.", "Orders A for 19,900 KRW."),
            Words("구매자가 19,900원을 낸다.", "The buyer pays 19,900 KRW."),
            Words("콜백을 보낸다.", "The callback tells the server."),
        ),
        tape=(_http(1, "buyer", "shop", "POST /payments/complete", 200),),
        seconds=1.3,
        repeat=repeat(name),
    )


def repeat(name: str) -> str:
    """The command that does this attack again."""
    return f"naru certify {URL} --adapter shop.toml --seed 20261123 --attack {name}"


def _http(
    number: int,
    sender: Party,
    receiver: Party,
    title: str,
    status: int | None,
    sent: str = '{"imp_uid": "imp_448280090638"}',
    answered: str = '{"status": "paid"}',
    *,
    seconds: float = 0.018,
    at_once: int = 0,
) -> Exchange:
    request = (
        f"{title} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Type: application/json\r\n"
        f"User-Agent: Mozilla/5.0\r\n\r\n{sent}"
    )
    answer = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\r\n{answered}"
    return Exchange(
        number,
        sender,
        receiver,
        title,
        request,
        status,
        answer if status is not None else "",
        seconds,
        at_once,
    )


def _swap() -> Outcome:
    lookup = (
        '{"code": 0, "message": null, "response": {"imp_uid": "imp_448280090638", '
        '"merchant_uid": "order_0192", "status": "paid", "amount": 1000, "currency": "KRW", '
        '"sandbox": true}}'
    )
    story = Words(
        "도둑이 주문 A(1,000원)와 주문 B(64,900원)를 만들고, A만 결제합니다. 그리고 그 imp_uid를 주문 B의 "
        "merchant_uid와 함께 보고합니다. 결제가 paid인지만 보고 주문 번호를 브라우저에서 받는 상점은 B를 내보냅니다.",
        "The thief makes order A (1,000 won) and order B (64,900 won), pays only A, and reports that "
        "imp_uid with the merchant_uid of B. A shop that only looks whether it is paid, and takes the order from "
        "the browser, ships B.",
    )
    return Outcome(
        _named("order-swap", story),
        "broken",
        breaches=(
            Breach(
                PAID_IN_FULL,
                "B",
                Words(
                    "주문 B 64,900원어치가 1,000원에 나갔습니다.",
                    "Order B, worth ₩64,900, left for ₩1,000.",
                ),
                63_900,
            ),
        ),
        orders=(
            OrderSeen("A", "order_0192", 1_000, "waiting", 0, None, 1_000),
            OrderSeen("B", "order_0193", 64_900, "paid", 1, 64_900, 0),
        ),
        steps=(
            Words("도둑이 주문 A를 1,000원에 만든다.", "The thief orders A for 1,000 KRW."),
            Words("도둑이 주문 B를 64,900원에 만든다.", "The thief orders B for 64,900 KRW."),
            Words("도둑이 A를 1,000원에 결제한다.", "The thief pays 1,000 KRW for A."),
            Words("도둑이 A의 imp_uid와 B의 merchant_uid를 콜백으로 보낸다.", "The thief reports A's imp_uid with B's merchant_uid."),
        ),
        tape=(
            _http(1, "thief", "shop", "POST /certify/orders", 200, '{"amount": 1000}', '{"merchant_uid": "order_0192"}'),
            _http(2, "thief", "shop", "POST /certify/orders", 200, '{"amount": 64900}', '{"merchant_uid": "order_0193"}'),
            Exchange(3, "thief", "gateway", "pays 1,000 KRW for A"),
            _http(4, "thief", "shop", "POST /payments/complete", 200, '{"imp_uid": "imp_448280090638", "merchant_uid": "order_0193"}', seconds=0.041),
            _http(5, "shop", "gateway", "GET /payments/imp_448280090638", 200, "", lookup, seconds=0.009),
            _http(6, "certifier", "shop", "GET /certify/orders/order_0193", 200, "", '{"status": "paid", "fulfilled": 1, "paid_amount": 64900}'),
        ),
        shrunk_from=11,
        seconds=2.1,
        repeat=repeat("order-swap"),
    )  # fmt: skip


def _at_once() -> Outcome:
    return Outcome(
        _named("all-at-once"),
        "broken",
        breaches=(
            Breach(
                ONCE,
                "A",
                Words("주문 A 39,000원어치가 3번 나갔습니다.", "Order A, worth ₩39,000, left 3 times."),
                78_000,
            ),
        ),
        orders=(OrderSeen("A", "order_0240", 39_000, "paid", 3, 39_000, 39_000),),
        steps=(Words("구매자가 A를 39,000원에 결제한다.", "The buyer pays 39,000 KRW for A."), Words("콜백, 리다이렉트, 웹훅이 동시에 도착한다.", "Callback, redirect and webhook arrive at once.")),
        tape=(
            _http(1, "buyer", "shop", "POST /certify/orders", 200),
            Exchange(2, "buyer", "gateway", "pays 39,000 KRW for A"),
            _http(3, "buyer", "shop", "POST /payments/complete", 200, at_once=1),
            _http(4, "buyer", "shop", "GET /payments/complete?imp_uid=imp_448280090700&merchant_uid=order_0240&imp_success=true", 302, at_once=1),
            _http(5, "gateway", "shop", "POST /payments/webhook", 200, at_once=1),
            _http(6, "shop", "gateway", "GET /payments/imp_448280090700", 200, at_once=1),
            _http(7, "certifier", "shop", "GET /certify/orders/order_0240", 200),
        ),
        seconds=1.9,
        repeat=repeat("all-at-once"),
    )  # fmt: skip


def _refund() -> Outcome:
    return Outcome(
        _named("replay-after-refund"),
        "broken",
        breaches=(
            Breach(
                PAID_IN_FULL,
                "B",
                Words(
                    "돌려준 돈으로 주문 B 25,000원어치가 나갔습니다.",
                    "Order B, worth ₩25,000, left for money that had gone back.",
                ),
                25_000,
            ),
            Breach(
                GIVEN_BACK,
                "A",
                Words(
                    "주문 A의 25,000원은 모두 환불됐는데 주문은 아직 결제됨입니다.",
                    "All ₩25,000 of order A went back, but the order is still called paid.",
                ),
                25_000,
            ),
        ),
        orders=(
            OrderSeen("A", "order_0301", 25_000, "paid", 1, 25_000, 0),
            OrderSeen("B", "order_0302", 25_000, "paid", 1, 25_000, 0),
        ),
        steps=(Words("도둑이 A를 25,000원에 결제한다.", "The thief pays 25,000 KRW for A."), Words("직원이 A를 전액 환불한다.", "The staff give back all of A."), Words("도둑이 같은 imp_uid로 B를 보고한다.", "The thief reports the same imp_uid for B.")),
        tape=(
            Exchange(1, "thief", "gateway", "pays 25,000 KRW for A"),
            _http(2, "thief", "shop", "POST /payments/complete", 200),
            Exchange(3, "staff", "gateway", "gives 25,000 KRW back"),
            _http(4, "gateway", "shop", "POST /payments/webhook", 500),
            _http(5, "thief", "shop", "POST /payments/complete", 200),
        ),
        seconds=2.4,
        repeat=repeat("replay-after-refund"),
    )  # fmt: skip


def _twice() -> Outcome:
    return Outcome(
        _named("gateway-down"),
        "broken",
        breaches=(
            Breach(
                MONEY_GETS_GOODS,
                "A",
                Words(
                    "구매자가 52,000원을 냈고 웹훅도 받았지만 주문 A는 waiting에 머물러 있습니다.",
                    "The buyer paid ₩52,000 and the webhook came, but order A stays “waiting”.",
                ),
                52_000,
            ),
        ),
        orders=(OrderSeen("A", "order_0355", 52_000, "waiting", 0, None, 52_000),),
        steps=(
            Words("구매자가 A를 52,000원에 결제한다.", "The buyer pays 52,000 KRW for A."),
            Words("게이트웨이가 대답하지 않는다.", "The gateway does not answer."),
            Words("웹훅이 온다.", "The webhook comes."),
        ),
        tape=(
            Exchange(1, "buyer", "gateway", "pays 52,000 KRW for A"),
            _http(2, "shop", "gateway", "GET /payments/imp_448280090801", None, seconds=10.0),
            _http(3, "gateway", "shop", "POST /payments/webhook", 200),
        ),
        seconds=12.2,
        repeat=repeat("gateway-down"),
    )


def _down() -> Outcome:
    return Outcome(
        _named("phone-redirect"),
        "trouble",
        why=Words(
            "GET /orders/order_0400 에 #pay 버튼이 없어 결제창을 열지 못했습니다.",
            "GET /orders/order_0400 shows no button #pay, so that no window could be opened.",
        ),
        steps=(
            Words(
                "구매자가 휴대폰으로 주문 A의 페이지를 연다.",
                "The buyer opens A's page on a phone.",
            ),
        ),
        tape=(_http(1, "buyer", "shop", "GET /orders/order_0400", 404),),
        seconds=5.0,
        repeat=repeat("phone-redirect"),
    )
