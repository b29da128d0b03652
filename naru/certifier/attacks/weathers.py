"""The way between shop and gateway is bad: who could not ask must not answer as if it had."""

from random import Random

from naru.certifier.attacks.attack import Family, dear
from naru.certifier.steps import (
    Advance,
    Approve,
    Callback,
    Calm,
    Open,
    Place,
    Program,
    Refund,
    Step,
    Together,
    Weather,
    Webhook,
)

WEATHERS = Family("장애와 토큰", "Outages and tokens")


def _through(chance: Random, weather: Weather, *news: Step) -> Program:
    """A payment whose first news meets this weather, and comes again when it is fine."""
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        weather,
        *news,
        Calm(),
        Webhook("a"),
    )


@WEATHERS.attack(
    "gateway-down",
    "승인 뒤에 끊긴 게이트웨이",
    "Down after the approval",
    "결제는 되었는데 상점이 물어볼 때 연결이 끊깁니다. 웹훅에 200으로 답하면 다시는 알려 오지 않습니다.",
    needs="webhook",
)
def gateway_down(chance: Random) -> Program:
    """The payment was approved, and the line breaks when the shop asks. A 200 to the webhook means
    that nobody tells it again.
    """
    return _through(chance, Weather("down"), Webhook("a"))


@WEATHERS.attack(
    "gateway-error",
    "500을 주는 게이트웨이",
    "The gateway answers 500",
    "조회에 500이 돌아옵니다. 모르는 것은 실패가 아닙니다.",
    needs="callback webhook",
)
def gateway_error(chance: Random) -> Program:
    """The question is answered 500. Not to know is not to have failed."""
    return _through(chance, Weather("error"), Callback("a"), Webhook("a"))


@WEATHERS.attack(
    "gateway-busy",
    "429를 주는 게이트웨이",
    "The gateway answers 429",
    "너무 많이 물었다고 거절당합니다.",
    needs="callback webhook",
)
def gateway_busy(chance: Random) -> Program:
    """Too many questions: the gateway refuses for a while."""
    return _through(chance, Weather("busy"), Callback("a"), Webhook("a"))


@WEATHERS.attack(
    "gateway-slow",
    "느린 게이트웨이",
    "The gateway is slow",
    "조회가 3초 걸립니다. 그사이 같은 웹훅이 또 옵니다.",
    needs="callback webhook",
)
def gateway_slow(chance: Random) -> Program:
    """An answer takes three seconds; meanwhile the same webhook comes again."""
    news = Together((Webhook("a", status="paid"), Callback("a"), Webhook("a", status="paid")))
    return _through(chance, Weather("slow", path="/payments/", seconds=3.0), news)


@WEATHERS.attack(
    "gateway-garbage",
    "깨진 대답을 주는 게이트웨이",
    "The gateway answers garbage",
    "200이지만 JSON이 아닌 본문이 돌아옵니다.",
    needs="callback webhook",
)
def gateway_garbage(chance: Random) -> Program:
    """A 200 whose body is no JSON."""
    return _through(chance, Weather("garbage", path="/payments/"), Callback("a"), Webhook("a"))


@WEATHERS.attack(
    "gateway-answer-lost",
    "대답이 도중에 사라지는 게이트웨이",
    "Answers get lost",
    "게이트웨이는 대답했지만 도중에 끊깁니다.",
    needs="webhook",
)
def gateway_answer_lost(chance: Random) -> Program:
    """The gateway answers, and the line breaks on the way back."""
    return _through(chance, Weather("lost", path="/payments/"), Webhook("a"))


@WEATHERS.attack(
    "token-refused",
    "토큰을 받지 못할 때",
    "No token to be had",
    "조회는 되지만 토큰 발급만 실패합니다.",
    needs="callback webhook",
)
def token_refused(chance: Random) -> Program:
    """Only the token cannot be had."""
    return _through(chance, Weather("error", path="/users/getToken"), Callback("a"), Webhook("a"))


@WEATHERS.attack(
    "token-expired",
    "도중에 만료된 토큰",
    "The token expires mid-flow",
    "한 번 조회한 뒤 31분이 지나 토큰이 만료되고, 다음 결제의 소식이 옵니다. 401을 받으면 새 토큰으로 다시 물어야 합니다.",
    needs="callback webhook",
)
def token_expired(chance: Random) -> Program:
    """After one payment 31 minutes pass and the token dies; then the next payment is reported. A
    401 means: ask with a new token.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        Callback("a"),
        Advance("31m"),
        Place("B", dear(chance)),
        Open("b", "B"),
        Approve("b"),
        Callback("b"),
        Webhook("b"),
    )


@WEATHERS.attack(
    "refund-while-down",
    "환불 소식이 장애와 겹칠 때",
    "A refund while the gateway is down",
    "환불 웹훅이 올 때 게이트웨이에 물어볼 수 없습니다. 다시 알려 올 때 환불을 알아야 합니다.",
    needs="callback webhook",
)
def refund_while_down(chance: Random) -> Program:
    """The refund's webhook comes while nobody can be asked; when it comes again, the shop must see
    it.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        Callback("a"),
        Webhook("a"),
        Refund("a"),
        Weather("down"),
        Webhook("a"),
        Calm(),
        Webhook("a"),
    )
