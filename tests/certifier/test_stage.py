"""What is done on the stage is done to a true shop, and what the shop can know of it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from naru.certifier.adapter import read_adapter
from naru.certifier.judge import judge
from naru.certifier.result import OrderSeen
from naru.certifier.shop import Shop, free_origin
from naru.certifier.stage import Scene, Stage, Try
from naru.certifier.steps import (
    Approve,
    Callback,
    Calm,
    Change,
    Close,
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
    Throw,
    Together,
    Weather,
    Webhook,
)
from naru.certifier.tape import Tape
from naru.testing.private_gateway import PrivateGateway
from tests.certifier.shops import HERE

PRICE = 64_900
PAID: Program = (Place("A", PRICE), Open("a", "A"), Approve("a"))


@contextmanager
def stage_for(name: str, gateway: PrivateGateway) -> Iterator[Stage]:
    """One of the small shops, up, at a merchant of its own."""
    gateway.start()
    imp = gateway.open_shop(name)
    imp.webhooks.hold()
    names = {
        "imp_url": imp.url,
        "imp_key": imp.imp_key,
        "imp_secret": imp.imp_secret,
        "user_code": imp.user_code,
        "webhook_secret": imp.webhook_secret,
    }
    tape = Tape([imp.imp_secret, imp.webhook_secret])
    shop = Shop(read_adapter(HERE / name / "shop.toml"), free_origin(), names, tape)
    stage = Stage(gateway, imp, shop, tape)
    try:
        shop.start()
        yield stage
    finally:
        shop.stop()
        stage.close()


@pytest.fixture(scope="module")
def stage(private_gateway: PrivateGateway) -> Iterator[Stage]:
    """A correct shop, for one test after the other, as for one attack after the other."""
    with stage_for("by_hand_flask", private_gateway) as stage:
        yield stage


Perform = Callable[..., tuple[Scene, dict[str, OrderSeen]]]


@pytest.fixture
def perform(stage: Stage) -> Perform:
    """Perform these steps; the shop is correct, so that nothing is broken whatever they are."""

    def perform(*program: Step) -> tuple[Scene, dict[str, OrderSeen]]:
        scene = stage.perform(program)
        orders, breaches = judge(stage, scene)
        assert breaches == []
        return scene, {order.name: order for order in orders}

    return perform


def told(payment: Try) -> tuple[bool, bool, bool]:
    return payment.told_paid, payment.heard_paid, payment.told_returned


def test_an_honest_payment_is_heard(perform: Perform) -> None:
    scene, orders = perform(*PAID, Callback("a"))
    assert told(scene.tries["a"]) == (True, True, False)
    assert (orders["A"].status, orders["A"].fulfilled, orders["A"].received) == ("paid", 1, PRICE)
    assert scene.warnings == []


def test_webhooks_that_nobody_named_are_told_in_the_end(perform: Perform) -> None:
    scene, orders = perform(*PAID)
    assert told(scene.tries["a"]) == (True, True, False)
    assert list(scene.tries["a"].brought.values()) == [200]
    assert orders["A"].fulfilled == 1


LIES: tuple[Step, ...] = (
    Callback("a", claims="B"),
    Callback("a", says="{ORDER}"),
    Redirect("a", claims="B"),
    Redirect("a", success=False),
    Forge("a"),
    Forge("a", signature="wrong"),
    Forge("a", claims="B", signature="stolen"),
)


def test_who_is_told_a_lie_owes_nothing(stage: Stage) -> None:
    """It may look into it, and find out; it must do nothing. Seen before everything true is told."""
    stage.perform((Place("B", PRICE), *PAID))
    payment = stage._scene.tries["a"]
    payment.told_paid = payment.heard_paid = False
    for lie in LIES:
        stage._do(lie)
        assert not payment.heard_paid, lie
    assert payment.told_paid
    stage._do(Redirect("a"))  # the control: the truth by the same door
    assert payment.heard_paid
    orders, breaches = judge(stage, stage._scene)
    assert breaches == []
    assert {order.name: order.fulfilled for order in orders} == {"A": 1, "B": 0}


def test_money_that_came_and_went_before_any_news(perform: Perform) -> None:
    scene, orders = perform(*PAID, Refund("a"), Callback("a"))
    assert told(scene.tries["a"]) == (False, False, True)  # by the webhook, at the very end
    assert (orders["A"].fulfilled, orders["A"].received) == (0, 0)
    scene, orders = perform(*PAID, Refund("a", 900), Callback("a"))
    assert told(scene.tries["a"]) == (False, False, False)
    assert orders["A"].received == PRICE - 900


def test_a_price_that_has_changed_is_not_paid(perform: Perform) -> None:
    scene, orders = perform(*PAID, Change("A", 71_300), Callback("a"))
    assert told(scene.tries["a"]) == (False, False, False)
    assert (orders["A"].amount, orders["A"].fulfilled) == (71_300, 0)
    scene, orders = perform(*PAID, Callback("a"), Change("A", 71_300))
    assert told(scene.tries["a"]) == (True, True, False)
    assert (orders["A"].amount, orders["A"].fulfilled) == (PRICE, 1)


def test_a_price_that_has_changed_and_changed_back_is_paid(perform: Perform) -> None:
    """What was told in between was no payment of this price: nobody had to finish it."""
    scene, _ = perform(*PAID, Lose("a"), Change("A", 71_300), Callback("a"), Change("A", PRICE))
    assert scene.tries["a"].is_paid


def test_bad_weather_excuses_until_it_is_fine(perform: Perform, stage: Stage) -> None:
    scene, orders = perform(*PAID, Weather("error"), Callback("a"), Webhook("a"))
    assert told(scene.tries["a"]) == (True, True, False)
    assert orders["A"].fulfilled == 1
    stage.perform((*PAID, Lose("a")))
    payment = stage._scene.tries["a"]
    payment.heard_paid = False
    stage._do(Weather("error"))
    stage._do(Callback("a"))
    assert not payment.heard_paid
    stage._calm()


def test_staff_and_banks_stand_in_the_weather_too(perform: Perform) -> None:
    """A refund, a deposit in bad weather: whatever comes of it, it is no trouble of the certifier."""
    scene, _ = perform(
        Place("A", PRICE),
        Open("a", "A", method="vbank"),
        Approve("a"),
        Weather("error"),
        Deposit("a"),
        Refund("a"),
        Callback("a"),
        Calm(),
        Deposit("a"),
    )
    truth = scene.tries["a"].truth
    assert truth is not None
    assert truth.status == "paid"


def test_a_refund_that_is_swallowed_in_bad_weather_was_told(
    private_gateway: PrivateGateway,
) -> None:
    """Who answers 200 to the refund's webhook and could not ask is not told again, and knew."""
    program = (*PAID, Callback("a"), Webhook("a"), Refund("a"), Weather("down"), Webhook("a"))
    with stage_for("swallows", private_gateway) as stage:
        scene = stage.perform(program)
        _, breaches = judge(stage, scene)
    assert told(scene.tries["a"]) == (True, True, True)
    assert [breach.rule.id for breach in breaches] == ["given-back"]


def test_lost_webhooks_are_swept(perform: Perform) -> None:
    scene, orders = perform(*PAID, Lose("a"))
    assert scene.tries["a"].brought == {}
    assert told(scene.tries["a"]) == (True, True, False)
    assert orders["A"].fulfilled == 1


def test_a_step_about_nothing_is_passed_over(perform: Perform) -> None:
    steps: Program = (
        Open("x", "nobody's"),
        Approve("x"),
        Close("x"),
        Deposit("x"),
        Refund("x"),
        Callback("x"),
        Webhook("x"),
        Forge("x"),
        Lose("x"),
        Change("nobody's", 1),
        Calm(),
        Together((Callback("x"), Sweep())),
    )
    scene, orders = perform(*steps)
    assert (scene.tries, orders) == ({}, {})
    scene, orders = perform(
        Place("A", PRICE), Open("a", "A"), Deposit("a"), Refund("a"), Close("a")
    )
    assert orders["A"].received == 0


def test_together_is_at_once_and_told_as_such(perform: Perform, stage: Stage) -> None:
    perform(*PAID, Together((Callback("a"), Webhook("a", status="paid"), Redirect("a"))))
    tape = stage.tape.take()
    groups = {each.at_once for each in tape if each.receiver == "shop" and each.at_once}
    assert len(groups) == 1
    assert sum(1 for each in tape if each.at_once) == 3
    assert stage.imp.imp_secret not in repr(tape)


def test_what_is_thrown_is_answered(perform: Perform) -> None:
    scene, _ = perform(
        Throw("callback", '{"imp_uid": '),
        Throw("webhook", "\x00"),
        Throw("redirect", "x" * 5_000),
    )
    assert scene.warnings == []


def test_of_a_refund_its_webhook_tells_and_nothing_else_must(stage: Stage) -> None:
    scene = stage.perform((*PAID, Callback("a"), Refund("a"), Lose("a"), Callback("a"), Sweep()))
    assert told(scene.tries["a"]) == (True, True, False)
    scene = stage.perform((*PAID, Callback("a"), Refund("a"), Webhook("a", status="cancelled")))
    assert told(scene.tries["a"]) == (True, True, True)


def test_a_shop_that_asks_by_itself_sent_in_time(stage: Stage) -> None:
    """Its own cron found the payment before anybody told it; then the money went back."""
    stage._scene = scene = Scene()
    for step in PAID:
        stage._do(step)
    stage.shop.sweep()
    assert not scene.tries["a"].told_paid
    stage._do(Refund("a"))
    assert scene.tries["a"].told_paid
    orders, breaches = judge(stage, scene)
    assert [(order.status, order.fulfilled) for order in orders] == [("paid", 1)]
    assert breaches == []
    # The control: goods that leave only when the money has gone back.
    scene.tries["a"].told_paid = False
    assert [breach.rule.id for breach in judge(stage, scene)[1]] == ["given-back"]
