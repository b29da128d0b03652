"""Programs nobody thought of: several payments of several orders at once, and their news in any order.

A storm is a riffle: every payment has a life of its own, in its own order, and the lives are dealt
together by chance. Only what can happen to a shop is dealt, so that a correct one holds in all of them.
"""

from __future__ import annotations

from random import Random

from naru.certifier.attacks.attack import Family, cheap, dear
from naru.certifier.steps import (
    Approve,
    Callback,
    Calm,
    Change,
    Close,
    Decline,
    Deposit,
    Forge,
    Lose,
    Open,
    Place,
    Program,
    Redirect,
    Refund,
    Step,
    Sweep,
    Together,
    Weather,
    Webhook,
)

STORMS = Family("폭풍: 무작위로 섞은 사건", "Storms: events dealt by chance")
STORMS_COUNT = 12
# Prices that no order has at first: who has paid the old price has not paid the new one.
OTHER_PRICES = (71_300, 45_600, 99_100, 83_700)
_NEWS = (Callback, Redirect, Webhook, Together, Forge)
_SPELLS = (
    Weather("down"),
    Weather("error"),
    Weather("busy", times=1),
    Weather("garbage", path="/payments/"),
    Weather("lost", path="/payments/"),
    Weather("error", path="/users/getToken"),
    Weather("slow", path="/payments/", seconds=0.3),
)


def storm(chance: Random) -> Program:
    """Some orders, some payments, and news both true and false, in an order that the seed decides.

    What breaks is shown as the shortest sequence that still breaks.
    """
    orders = "ABC"[: chance.choice((1, 2, 2, 3, 3))]
    places = [Place(order, dear(chance)) for order in orders]
    if chance.random() < 0.6:  # one price for all: then an amount alone tells no order from another
        places = [Place(order, places[0].amount) for order in orders]
    payments = "abcd"[: chance.choice((1, 2, 3, 3, 3, 4))]
    lives = [_life(chance, name, orders, honest=name == "a") for name in payments]
    program = [*places, *_riffled(chance, lives)]
    if chance.random() < 0.25:
        there = range(len(places), len(program) + 1)
        amount = chance.choice(OTHER_PRICES)
        program.insert(chance.choice(there), Change(chance.choice(orders), amount))
    if chance.random() < 0.35:
        sweep = chance.choice((Sweep(), Together((Sweep(), Sweep()))))
        program.insert(chance.randint(len(places), len(program)), sweep)
    if chance.random() < 0.4:
        _spoil_weather(chance, program)
    return tuple(program)


def _life(chance: Random, name: str, orders: str, *, honest: bool) -> list[Step]:
    """A payment from its window to its last news. `honest`: all is well until it is approved."""
    order = orders[0] if honest else chance.choice(orders)
    kind = chance.choices(
        ("card", "mobile", "vbank", "less", "cheap", "dong", "thief"), (4, 2, 3, 2, 2, 2, 1)
    )[0]
    if honest:
        kind = chance.choice(("card", "card", "mobile", "vbank"))
    quiet = chance.random() < 0.25
    life: list[Step] = [_window(chance, name, order, kind)]
    if not honest and chance.random() < 0.25:
        life += [chance.choice((Decline(name), Close(name)))]
        return life + _news(chance, name, orders, quiet, chance.randint(1, 2))
    life.append(Approve(name))
    if kind == "vbank":
        life += _news(chance, name, orders, quiet, chance.randint(0, 2))
        if not honest and chance.random() < 0.3:
            life.append(Deposit(name, cheap(chance)))
            life += _news(chance, name, orders, quiet, 1)
        if honest or chance.random() < 0.5:
            life.append(Deposit(name))
    life += _news(chance, name, orders, quiet, chance.choice((0, 1, 1, 2, 2, 3)))
    for refund in chance.choices(
        ((), (Refund(name),), (Refund(name, 1_000),), (Refund(name, 900), Refund(name))),
        (9, 4, 5, 2),
    )[0]:
        life.append(refund)
        life += _news(chance, name, orders, quiet, chance.randint(0, 2))
    if chance.random() < 0.15:
        life.insert(chance.randint(1, len(life)), Lose(name))
    return life


def _window(chance: Random, name: str, order: str, kind: str) -> Open:
    match kind:
        case "mobile":
            return Open(name, order, surface="mobile")
        case "vbank":
            return Open(name, order, method="vbank")
        case "less":
            return Open(name, order, amount=64_899)
        case "cheap":
            return Open(name, order, amount=cheap(chance))
        case "dong":
            return Open(name, order, currency="VND")
        case "thief":
            return Open(name, order, at="thief")
    return Open(name, order)


def _news(chance: Random, name: str, orders: str, quiet: bool, count: int) -> list[Step]:
    return [_word(chance, name, orders, quiet, together=True) for _ in range(count)]


def _word(chance: Random, name: str, orders: str, quiet: bool, *, together: bool) -> Step:
    """One piece of news about this payment, true or a lie; of a `quiet` one the browser tells none."""
    if together and chance.random() < 0.25:
        count = chance.randint(2, 4)
        return Together(
            tuple(_word(chance, name, orders, quiet, together=False) for _ in range(count))
        )
    another = chance.choice(orders)  # its own, sometimes: a lie that happens to be true
    words: tuple[Step, ...] = (
        Callback(name),
        Redirect(name),
        Webhook(name),
        Webhook(name, status="paid"),
        Webhook(name, status="paid", times=2),
        Callback(name, claims=another),
        Redirect(name, claims=another),
        Redirect(name, success=False),
        Callback(name, says="{ORDER}"),
        Callback(name, says=" {order}"),
        Forge(name),
        Forge(name, claims=another, signature="wrong"),
        Forge(name, status="cancelled", signature="stolen"),
    )
    weights = (6, 3, 6, 2, 1, 3, 3, 1, 1, 1, 1, 1, 1)
    if quiet:
        weights = (0, 0, 6, 2, 1, 0, 0, 0, 0, 0, 1, 1, 1)
    return chance.choices(words, weights)[0]


def _riffled(chance: Random, lives: list[list[Step]]) -> list[Step]:
    """One of all, each in its own order."""
    turns = [number for number, life in enumerate(lives) for _ in life]
    chance.shuffle(turns)
    going = [iter(life) for life in lives]
    return [next(going[number]) for number in turns]


def _spoil_weather(chance: Random, program: list[Step]) -> None:
    """Bad weather over one to three pieces of news that follow each other, if there are any."""
    starts = [number for number, step in enumerate(program) if isinstance(step, _NEWS)]
    if not starts:
        return
    start = chance.choice(starts)
    end = start + 1
    while end < len(program) and end - start < 3 and isinstance(program[end], _NEWS):
        end += 1
    program.insert(end, Calm())
    program.insert(start, chance.choice(_SPELLS))


for _number in range(1, STORMS_COUNT + 1):
    STORMS.attack(
        f"storm-{_number}",
        f"폭풍 {_number}",
        f"Storm {_number}",
        "주문 몇 개, 결제 몇 건, 참말과 거짓말이 섞인 소식을 시드가 정한 순서로 겪게 합니다. "
        "깨지면 깨지는 가장 짧은 순서까지 줄여서 보여 줍니다.",
        needs="",
    )(storm)
