"""Words of strangers: webhooks, queries, and numbers that nobody has."""

from random import Random

from naru.certifier.attacks.attack import Family, cheap, dear
from naru.certifier.steps import (
    Approve,
    Callback,
    Door,
    Forge,
    Open,
    Place,
    Program,
    Redirect,
    Throw,
    Webhook,
)

FORGERIES = Family("위조와 잘못된 입력", "Forgery and hostile input")


@FORGERIES.attack(
    "webhook-forged",
    "서명 없는 가짜 웹훅",
    "A webhook without a signature",
    "결제하지 않은 주문에 paid 웹훅을 보냅니다. 웹훅 주소는 누구나 알아낼 수 있습니다.",
    needs="webhook",
)
def webhook_forged(chance: Random) -> Program:
    """A webhook says paid for an order that nobody paid. The address is no secret."""
    return (Place("A", dear(chance)), Open("a", "A"), Forge("a"))


@FORGERIES.attack(
    "webhook-wrong-key",
    "다른 열쇠로 서명한 웹훅",
    "A webhook signed by another key",
    "도둑의 열쇠로 서명한 웹훅입니다. 서명이 있는지만 보는 상점은 속습니다.",
    needs="webhook",
)
def webhook_wrong_key(chance: Random) -> Program:
    """Signed, but by the thief's own key."""
    return (Place("A", dear(chance)), Open("a", "A"), Forge("a", signature="wrong"))


@FORGERIES.attack(
    "webhook-stolen-signature",
    "다른 웹훅의 서명을 붙이기",
    "Another webhook's signature",
    "진짜 웹훅의 서명 헤더를 그대로 가져다 본문만 바꿉니다.",
    needs="webhook",
)
def webhook_stolen_signature(chance: Random) -> Program:
    """The signature of a true webhook over another body."""
    return (Place("A", dear(chance)), Open("a", "A"), Forge("a", signature="stolen"))


@FORGERIES.attack(
    "webhook-unknown-payment",
    "세상에 없는 결제의 웹훅",
    "A webhook of a payment that nobody has",
    "존재하지 않는 imp_uid로 주문이 결제됐다고 알립니다.",
    needs="webhook",
)
def webhook_unknown_payment(chance: Random) -> Program:
    """An imp_uid that does not exist is said to have paid the order."""
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Forge("a", imp_uid=f"imp_{chance.randrange(10**12):012}"),
    )


@FORGERIES.attack(
    "webhook-forged-cancel",
    "남의 주문을 취소하는 가짜 웹훅",
    "A forged webhook cancels somebody's order",
    "결제된 주문에 cancelled 웹훅을 흉내 내 보냅니다. 돈은 그대로인데 주문만 취소되면 안 됩니다.",
    needs="callback webhook",
)
def webhook_forged_cancel(chance: Random) -> Program:
    """A webhook says cancelled for a paid order. The money has not moved, and neither may the
    order.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        Callback("a"),
        Webhook("a"),
        Forge("a", status="cancelled"),
        Forge("a", status="failed"),
    )


@FORGERIES.attack(
    "callback-unknown-payment",
    "세상에 없는 결제를 알리기",
    "A payment that nobody has",
    "아무렇게나 지은 imp_uid를 콜백으로 알립니다.",
)
def callback_unknown_payment(chance: Random) -> Program:
    """An invented imp_uid is reported by the callback."""
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Callback("a", imp_uid=f"imp_{chance.randrange(10**12):012}"),
    )


@FORGERIES.attack(
    "redirect-failure-forged",
    "성공한 결제를 실패로 돌려보내기",
    "A success that comes back as a failure",
    "결제는 성공했는데 주소의 imp_success가 false입니다. 주소만 믿으면 돈을 낸 주문이 실패로 남습니다.",
    needs="redirect webhook",
)
def redirect_failure_forged(chance: Random) -> Program:
    """The payment succeeded, but the query says imp_success=false. Who believes it keeps the money
    and no order.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A", surface="mobile"),
        Approve("a"),
        Redirect("a", says="{order}", success=False),
        Webhook("a"),
    )


@FORGERIES.attack(
    "imp-uid-disguised",
    "imp_uid를 변장시켜 다시 쓰기",
    "One imp_uid in disguise",
    "imp_uid 뒤에 ?, /, # 따위를 붙이면 조회 주소는 같은 결제를 가리키지만 글자는 다릅니다. "
    "글자만 비교해 재사용을 막는 상점은 속습니다.",
)
def imp_uid_disguised(chance: Random) -> Program:
    """With a ?, a / or a # behind it the address asks for the same payment, while the text is
    another one: who guards against replay by the text alone is fooled.
    """
    price = dear(chance)
    return (
        Place("A", price),
        Place("B", price),
        Open("a", "A"),
        Approve("a"),
        Callback("a"),
        *(
            Callback("a", claims=claims, imp_uid="{imp_uid}" + tail)
            for tail in ("?", "/", "#", "?x=1", " ", "%00")
            for claims in (None, "B")
        ),
    )


@FORGERIES.attack(
    "imp-uid-path",
    "imp_uid로 다른 주소를 부르기",
    "An imp_uid that is a path",
    "조회 주소에 그대로 이어 붙이면 'find/주문번호'나 '../'가 전혀 다른 것을 조회합니다. 결제한 싼 주문을 비싼 주문에 붙입니다.",
)
def imp_uid_path(chance: Random) -> Program:
    """Put into the address as it is, `find/NUMBER` or `../` asks for something else altogether."""
    return (
        Place("A", cheap(chance)),
        Place("B", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        *(
            Callback("a", claims="B", imp_uid=path)
            for path in ("find/{order}", "../payments/{imp_uid}", "{imp_uid}/balance", ".", "")
        ),
    )


@FORGERIES.attack(
    "number-lookalike",
    "닮은 주문번호로 결제하기",
    "A number that looks like the order's",
    "대소문자를 바꾸거나 빈칸을 붙인 주문번호로 결제합니다. 데이터베이스가 둘을 같다고 여기면 게이트웨이에 없는 주문이 완료됩니다.",
    needs="callback webhook",
)
def number_lookalike(chance: Random) -> Program:
    """Paid under the number in another case, or with a space behind it. Where the database takes
    them for one, an order is finished that the gateway has no payment for.
    """
    return (
        Place("A", dear(chance)),
        Open("upper", "A", merchant_uid="{ORDER}"),
        Approve("upper"),
        Callback("upper", says="{order}"),
        Webhook("upper"),
        Place("B", dear(chance)),
        Open("space", "B", merchant_uid="{order} "),
        Approve("space"),
        Callback("space", says="{order}"),
        Webhook("space"),
    )


@FORGERIES.attack(
    "number-hostile",
    "망가진 주문번호",
    "Order numbers that are none",
    "NUL, 짝 없는 서로게이트, 이모지, 따옴표, 10만 자짜리 주문번호를 알립니다. 상점은 거절하고 멀쩡해야 합니다.",
)
def number_hostile(chance: Random) -> Program:
    """NUL, lone surrogates, emoji, quotes, a hundred thousand characters. The shop refuses and
    stays up.
    """
    numbers = (
        "\x00",
        "{order}\x00",
        "\ud800",
        "🦀" * 40,
        "' OR '1'='1",
        "％",
        "9" * 100_000,
        "../" * 20,
    )
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        *(Callback("a", says=number) for number in numbers),
        *(Redirect("a", says=number) for number in numbers[:4]),
        Callback("a"),
        Webhook("a"),
    )


@FORGERIES.attack(
    "body-hostile",
    "망가진 본문",
    "Bodies that are none",
    "JSON이 아닌 JSON, 배열, null, 깊은 중첩, 빈 본문, 다른 Content-Type을 보냅니다. 상점은 4xx로 거절하고 멀쩡해야 합니다.",
)
def body_hostile(chance: Random) -> Program:
    """JSON that is none, arrays, null, deep nesting, nothing at all, another Content-Type. A 4xx,
    and the shop stays up.
    """
    bodies = (
        "",
        "{",
        "[]",
        "null",
        '"imp_uid"',
        '{"imp_uid": 1, "merchant_uid": 2}',
        '{"imp_uid": ["a"], "merchant_uid": {"$gt": ""}}',
        '{"imp_uid": null, "merchant_uid": null}',
        '{"imp_uid": "\\u0000", "merchant_uid": "\\ud800"}',
        "[" * 20_000,
        "x" * 200_000,
    )
    doors: tuple[Door, ...] = ("callback", "webhook")
    return (
        Place("A", dear(chance)),
        *(Throw(door, body) for body in bodies for door in doors),
        *(
            Throw(door, "imp_uid=%00&merchant_uid=%ff", "application/x-www-form-urlencoded")
            for door in doors
        ),
        *(Throw(door, '{"imp_uid":"a"}', "text/plain") for door in doors),
        *(Throw("redirect", text) for text in ("", "\x00", "\ud800", "a" * 8_000)),
        Open("a", "A"),
        Approve("a"),
        Callback("a"),
        Webhook("a"),
    )
