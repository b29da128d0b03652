"""Naver Pay over the real door and the real sandbox PG: product orders, and the money that follows them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from naru.connectors.sandbox.goods import products_of
from naru.domain.channel import Channel
from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.payment import Payment, Step, Surface
from naru.domain.window import Redirect
from naru.payments.approve import approve
from naru.payments.reconcile import reconcile
from naru.payments.start import Opening, enter_window, start
from tests.rest.conftest import NUMBERS, Answered, Desk, House, Shop

NO_PAYMENT = "존재하지 않는 결제정보입니다."
PARCEL = {"delivery_method": "DELIVERY", "delivery_company": "CJGLS", "tracking_number": "1234"}
SHIP = {**PARCEL, "dispatched_at": 1_700_000_000}
TWO = (
    {"id": "carrot", "name": "당근 10kg", "basePrice": 3_000, "quantity": 2},
    {"id": "radish", "name": "무 5kg", "basePrice": 4_000, "quantity": 1},
)


async def channel_of(desk: Desk, pg_code: str, shop: Shop | None = None) -> Channel:
    """Another channel of this shop at the running PG, with its own contract."""
    shop = shop or desk.shop
    mid = f"{pg_code}{next(NUMBERS)}"
    settings = {**shop.channel.settings, "secret": f"{mid}-" + "s" * 40}
    async with desk.gateway.store.begin() as tx:
        await tx.channels.add(
            shop.merchant.id,
            f"channel-key-{mid}",
            pg_code,
            mid,
            "sandbox",
            test=True,
            settings=settings,
            is_default=False,
            name=mid,
        )
        channels = await tx.channels.of_merchant(shop.merchant.id)
    body = {"secret": settings["secret"], "name": shop.merchant.name, "profile": pg_code}
    async with desk.http.put(f"{settings['url']}/v1/members/{mid}", json=body) as answer:
        assert answer.status == 200
    return next(each for each in channels if each.mid == mid)


async def buy(
    desk: Desk,
    channel: Channel,
    amount: int = 10_000,
    products: tuple[dict[str, Any], ...] = TWO,
    shop: Shop | None = None,
) -> Payment:
    """A payment by this channel that went the whole way: window, wallet, approval."""
    shop = shop or desk.shop
    opened, _ = await start(
        desk.gateway,
        Opening(
            merchant=shop.merchant,
            channel=channel,
            merchant_uid=MerchantUid(f"order_{next(NUMBERS)}"),
            amount=Money(amount),
            surface=Surface.PC,
            pay_method="naverpay",
            name="채소",
            request={"naverProducts": list(products)} if products else {},
        ),
    )
    window = await enter_window(desk.gateway, opened, shop.merchant)
    assert isinstance(window, Redirect)
    origin = "/".join(window.url.split("/")[:3])
    async with desk.http.post(
        f"{window.url}/wallet", json={}, headers={"Origin": origin}
    ) as answer:
        said = await answer.json()
    paid = await approve(desk.gateway, opened.imp_uid, said["return_form"]["fields"])
    assert paid is not None
    assert paid.step is Step.PAID
    return paid


async def as_buyer(desk: Desk, product_order_id: str, tail: str = "", **body: Any) -> None:
    """The buyer does something on the mall's own page."""
    pg = str(desk.shop.channel.settings["url"])
    path = f"{pg}/mall/product-orders/{product_order_id}{tail}"
    async with desk.http.post(path, json=body, headers={"Origin": pg}) as answer:
        said = await answer.json()
        assert answer.status == 200, said


async def orders(desk: Desk, payment: Payment) -> list[dict[str, Any]]:
    """The product orders of a payment, as the merchant reads them."""
    answer = await desk.ask("GET", f"/payments/{payment.imp_uid}/naver/product-orders")
    assert answer.verdict == (200, 0, None)
    return list(answer.response)


async def act(desk: Desk, payment: Payment, tail: str, **said: Any) -> Answered:
    headers = said.pop("headers", None)
    return await desk.ask(
        "POST", f"/payments/{payment.imp_uid}/naver/{tail}", json=said, headers=headers
    )


async def stored(desk: Desk, payment: Payment) -> Payment:
    async with desk.gateway.store.direct() as session:
        found = await session.payments.get(payment.imp_uid)
    assert found is not None
    return found


async def told_about(desk: Desk, payment: Payment) -> list[tuple[str, str, str | None]]:
    """What the journal says: act, state and code, in order."""
    async with desk.gateway.store.direct() as session:
        rows = await session._connection.raw.fetch(
            "SELECT act, state, code FROM order_acts WHERE imp_uid = $1 ORDER BY id",
            payment.imp_uid,
        )
    return [tuple(row) for row in rows]


@pytest.mark.operation("GET /payments/{imp_uid}/naver/product-orders")
@pytest.mark.operation("GET /naver/product-orders/{product_order_id}")
async def test_a_payment_has_one_product_order_for_each_product(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "naverco"))
    first, second = await orders(desk, payment)
    assert (first["product_id"], first["quantity"], first["product_amount"]) == ("carrot", 2, 6_000)
    assert (second["product_id"], second["product_amount"]) == ("radish", 4_000)
    assert {first["product_order_status"], second["product_order_status"]} == {"PAYED"}
    assert first["claim_type"] is None
    assert first["shipping_address"]["base"]
    path = f"/naver/product-orders/{second['product_order_id']}"
    one = await desk.ask("GET", path)
    assert one.response == second

    for theirs in (path, f"/payments/{payment.imp_uid}/naver/product-orders"):
        foreign = await desk.ask("GET", theirs, token=desk.stranger.token)
        assert (foreign.status, foreign.body["code"]) == (404, -1)
    unknown = await desk.ask("GET", "/naver/product-orders/00000000000000000000")
    assert unknown.verdict == (404, -1, "존재하지 않는 네이버페이 상품주문입니다.")


@pytest.mark.operation("POST /payments/{imp_uid}/naver/cancel")
async def test_a_cancelled_product_order_gives_back_what_it_cost(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "naverco"))
    carrot, radish = (each["product_order_id"] for each in await orders(desk, payment))

    answer = await act(desk, payment, "cancel", product_order_id=[radish], reason="SOLD_OUT")
    assert answer.verdict == (200, 0, None)
    [done] = answer.response
    assert (done["product_order_status"], done["claim_type"], done["claim_status"]) == (
        "CANCELED",
        "CANCEL",
        "CANCEL_DONE",
    )
    after = await stored(desk, payment)
    assert after.cancelled == Money(4_000)
    [one] = after.cancellations
    assert (one.amount, one.reason) == (Money(4_000), "SOLD_OUT")

    # Once more: the PG has nothing left of it, and no won moves.
    again = await act(desk, payment, "cancel", product_order_id=[radish])
    assert again.status == 500
    assert again.body["message"] == "현재 상태에서 처리할 수 없는 상품주문입니다."
    # All of them: one of two succeeds.
    rest = await act(desk, payment, "cancel", reason="NO_SUCH_WORD")
    assert rest.status == 207
    assert [each["product_order_id"] for each in rest.response] == [carrot]
    after = await stored(desk, payment)
    assert (after.step, after.cancelled) == (Step.CANCELLED, payment.amount)
    assert after.cancellations[-1].reason == "PRODUCT_UNSATISFIED"


async def test_a_plain_cancel_takes_every_product_order_or_none(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "naverco"))
    body: dict[str, Any] = {"imp_uid": payment.imp_uid, "amount": 1_000}
    part = await desk.ask("POST", "/payments/cancel", json=body)
    assert part.body["code"] == -1
    assert (await stored(desk, payment)).cancelled == Money(0)
    whole = await desk.ask("POST", "/payments/cancel", json={"imp_uid": payment.imp_uid})
    assert whole.verdict == (200, 0, None)
    assert {each["claim_type"] for each in await orders(desk, payment)} == {"ADMIN_CANCEL"}


@pytest.mark.operation("POST /payments/{imp_uid}/naver/place")
@pytest.mark.operation("POST /payments/{imp_uid}/naver/approve-cancel")
async def test_the_buyer_wants_to_cancel_and_the_merchant_agrees(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "naverco"))
    carrot, radish = (each["product_order_id"] for each in await orders(desk, payment))
    placed = await act(desk, payment, "place")
    assert (placed.status, len(placed.response)) == (200, 2)
    assert (await act(desk, payment, "place")).status == 500

    early = await act(desk, payment, "approve-cancel")
    assert early.status == 500
    await as_buyer(desk, carrot, act="ask_cancel")
    assert (await orders(desk, payment))[0]["claim_status"] == "CANCEL_REQUEST"
    # While the buyer waits for a word, it is not shipped.
    assert (await act(desk, payment, "ship", product_order_id=[carrot], **SHIP)).status == 500
    agreed = await act(desk, payment, "approve-cancel")
    assert agreed.status == 207
    assert [each["product_order_id"] for each in agreed.response] == [carrot]
    assert (await stored(desk, payment)).cancelled == Money(6_000)
    assert (await orders(desk, payment))[1]["product_order_id"] == radish


@pytest.mark.operation("POST /payments/{imp_uid}/naver/ship")
@pytest.mark.operation("POST /payments/{imp_uid}/naver/request-return")
@pytest.mark.operation("POST /payments/{imp_uid}/naver/withhold-return")
@pytest.mark.operation("POST /payments/{imp_uid}/naver/resolve-return")
@pytest.mark.operation("POST /payments/{imp_uid}/naver/approve-return")
@pytest.mark.operation("POST /payments/{imp_uid}/naver/reject-return")
async def test_goods_are_sent_back(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "naverco"))
    carrot, radish = (each["product_order_id"] for each in await orders(desk, payment))
    # As PHP's http_build_query writes a list.
    form = {**{name: str(value) for name, value in SHIP.items()}, "product_order_id[0]": carrot}
    path = f"/payments/{payment.imp_uid}/naver/ship"
    shipped = await desk.ask("POST", path, data=form)
    assert shipped.verdict == (200, 0, None)
    assert shipped.response[0]["product_order_status"] == "DELIVERING"
    assert (await act(desk, payment, "ship", product_order_id=[radish], **SHIP)).status == 200
    await as_buyer(desk, carrot, act="receive")

    way = {"delivery_method": "RETURN_INDIVIDUAL", "reason": "BROKEN"}
    wanted = await act(desk, payment, "request-return", **way)
    assert (wanted.status, len(wanted.response)) == (200, 2)
    held = await act(
        desk,
        payment,
        "withhold-return",
        product_order_id=[carrot],
        memo="배송비를 보내주세요",
        extra_charge=3_000,
    )
    assert held.status == 200
    refused = await act(desk, payment, "approve-return", product_order_id=[carrot])
    assert (refused.status, refused.body["message"]) == (500, "반품이 보류된 상품주문입니다.")
    assert (await act(desk, payment, "resolve-return", product_order_id=[carrot])).status == 200
    back = await act(desk, payment, "approve-return", product_order_id=[carrot], memo="감사합니다")
    assert back.response[0]["product_order_status"] == "RETURNED"
    assert (await stored(desk, payment)).cancelled == Money(6_000)
    no = await act(desk, payment, "reject-return", product_order_id=[radish], memo="사용한 상품")
    assert no.response[0]["claim_status"] == "RETURN_REJECT"
    assert (await stored(desk, payment)).cancelled == Money(6_000)


@pytest.mark.operation("POST /payments/{imp_uid}/naver/collect-exchanged")
@pytest.mark.operation("POST /payments/{imp_uid}/naver/ship-exchanged")
@pytest.mark.operation("GET /naver/reviews")
async def test_goods_are_exchanged_and_reviewed(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    channel = await channel_of(desk, "naverco")
    payment = await buy(desk, channel, 3_000, ())
    [only] = await orders(desk, payment)
    goods = only["product_order_id"]
    assert (only["product_name"], only["product_amount"]) == ("채소", 3_000)
    assert (await act(desk, payment, "collect-exchanged")).status == 500
    assert (await act(desk, payment, "ship", **SHIP)).status == 200
    await as_buyer(desk, goods, act="ask_exchange")
    collected = await act(desk, payment, "collect-exchanged")
    assert collected.response[0]["claim_status"] == "COLLECT_DONE"
    sent = await act(desk, payment, "ship-exchanged", **PARCEL)
    assert sent.response[0]["claim_status"] == "EXCHANGE_REDELIVERING"
    await as_buyer(desk, goods, act="receive_exchanged")
    assert (await orders(desk, payment))[0]["product_order_status"] == "EXCHANGED"
    assert (await stored(desk, payment)).cancelled == Money(0)

    await as_buyer(desk, goods, "/reviews", kind="premium", score=3, title="좋아요", content="달다")
    now = int(desk.clock().timestamp())
    asked = {
        "channel_key": channel.channel_key,
        "from": str(now - 60),
        "to": str(now + 60),
        "review_type": "premium",
    }
    answer = await desk.ask("GET", "/naver/reviews", params=asked)
    [review] = answer.response
    assert (review["score"], review["title"], review["content"]) == ("13", "좋아요", "달다")
    assert review["product_order_id"] == goods
    general = await desk.ask("GET", "/naver/reviews", params={**asked, "review_type": "general"})
    assert general.response == []
    for changes in ({"review_type": "all"}, {"from": str(now + 61)}, {"channel_key": "nobody's"}):
        wrong = await desk.ask("GET", "/naver/reviews", params={**asked, **changes})
        assert wrong.status == 400
    theirs = await desk.ask("GET", "/naver/reviews", params=asked, token=desk.stranger.token)
    assert theirs.status == 400


MALFORMED: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("ship", {"dispatched_at": 1}, "delivery_method"),
    ("ship", {**PARCEL}, "dispatched_at"),
    ("ship", {**SHIP, "delivery_method": "TELEPORT"}, "delivery_method"),
    ("ship", {**SHIP, "delivery_company": "NOBODY"}, "delivery_company"),
    ("ship", {**SHIP, "tracking_number": ""}, "tracking_number"),
    ("ship", {**SHIP, "dispatched_at": -5}, "dispatched_at"),
    ("request-return", {"delivery_method": "DELIVERY"}, "delivery_method"),
    ("request-return", {"delivery_method": "RETURN_DELIVERY"}, "delivery_company"),
    ("reject-return", {}, "memo"),
    ("withhold-return", {}, "memo"),
    ("withhold-return", {"memo": "x", "extra_charge": -1}, "extra_charge"),
)


async def test_what_is_missing_or_malformed_is_named(desk_with_pg: Desk) -> None:
    for tail, said, named in MALFORMED:
        path = f"/payments/imp_000000000000/naver/{tail}"
        answer = await desk_with_pg.ask("POST", path, json=said)
        assert (answer.status, answer.body["code"]) == (400, -1)
        assert named in answer.body["message"]


async def test_nobody_acts_on_the_orders_of_others(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "naverco"))
    theirs = await buy(desk, await channel_of(desk, "naverco", desk.stranger), shop=desk.stranger)
    foreign = await desk.ask(
        "POST", f"/payments/{payment.imp_uid}/naver/cancel", json={}, token=desk.stranger.token
    )
    assert foreign.verdict == (404, -1, NO_PAYMENT)
    unknown = await desk.ask(
        "POST", "/payments/imp_000000000000/naver/cancel", json={}, token=desk.stranger.token
    )
    assert unknown.verdict == foreign.verdict
    desk.shop, desk.stranger = desk.stranger, desk.shop
    [some, _] = await orders(desk, theirs)
    desk.shop, desk.stranger = desk.stranger, desk.shop
    # A product order of somebody else, named beside one's own payment.
    answer = await act(desk, payment, "cancel", product_order_id=[some["product_order_id"]])
    assert (answer.status, answer.body["message"]) == (
        500,
        "존재하지 않는 네이버페이 상품주문입니다.",
    )
    assert (await stored(desk, theirs)).cancelled == Money(0)


async def test_only_naverco_has_product_orders(desk_with_pg: Desk) -> None:
    payment = await desk_with_pg.buy(10_000)
    answer = await act(desk_with_pg, payment, "place")
    assert answer.verdict == (404, -1, "네이버페이 주문형 결제건이 아닙니다.")
    answer = await desk_with_pg.ask("GET", f"/payments/{payment.imp_uid}/naver/cash-amount")
    assert answer.verdict == (400, -1, "네이버페이 결제형 결제건이 아닙니다.")


@pytest.mark.operation("GET /payments/{imp_uid}/naver/cash-amount")
@pytest.mark.operation("POST /payments/{imp_uid}/naver/point")
@pytest.mark.operation("POST /payments/{imp_uid}/naver/confirm")
async def test_points_and_the_decision_of_an_order(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "naverpay"), 11_000)
    cash = await desk.ask("GET", f"/payments/{payment.imp_uid}/naver/cash-amount")
    assert cash.response == {
        "amount_by_npoint": 0,
        "amount_by_primary": 11_000,
        "amount_supply": 10_000,
        "amount_total": 11_000,
        "amount_vat": 1_000,
    }
    for tail, said in (("confirm", {"requester": "customer"}), ("point", {})):
        assert (await act(desk, payment, tail, **said)).verdict == (200, 0, None)
        # It is done once: the same request is told so, and another one is refused.
        again = await act(desk, payment, tail, **({"requester": "admin"} if said else {}))
        assert again.verdict == (500, -1, "이미 처리된 요청입니다.")
    foreign = await desk.ask(
        "POST", f"/payments/{payment.imp_uid}/naver/point", token=desk.stranger.token
    )
    assert foreign.verdict == (404, -1, NO_PAYMENT)


@pytest.mark.fault("F2_DU")
async def test_a_key_has_one_effect_and_one_answer(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "naverco"))
    key = {"Idempotency-Key": "once"}
    first, second = await asyncio.gather(
        act(desk, payment, "cancel", headers=key), act(desk, payment, "cancel", headers=key)
    )
    assert first.body == second.body
    assert (first.status, len(first.response)) == (200, 2)
    after = await stored(desk, payment)
    assert [one.amount for one in after.cancellations] != []
    assert sum(one.amount.minor for one in after.cancellations) == 10_000
    assert len(after.cancellations) == 2


async def test_five_cancel_the_same_goods_at_once(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "naverco"))
    carrot = (await orders(desk, payment))[0]["product_order_id"]
    answers = await asyncio.gather(
        *(act(desk, payment, "cancel", product_order_id=[carrot]) for _ in range(5))
    )
    assert {each.status for each in answers} <= {200, 500}
    assert 200 in {each.status for each in answers}
    after = await stored(desk, payment)
    assert [one.amount for one in after.cancellations] == [Money(6_000)]


@pytest.mark.parametrize(("amount", "done"), [(900_042, True), (900_043, False)])
async def test_silence_is_found_out_by_the_number_of_the_act(
    house: House, desk_with_pg: Desk, amount: int, done: bool
) -> None:
    """The PG says nothing to `place`; asked about it, it was done or never will be."""
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "naverco"), amount, ())
    answer = await act(desk, payment, "place")
    assert answer.status == (200 if done else 500)
    told = await told_about(desk, payment)
    assert told == ([("place", "done", None)] if done else [("place", "refused", "NEVER_ARRIVED")])


async def test_a_refusal_of_the_pg_is_passed_on(desk_with_pg: Desk) -> None:
    payment = await buy(desk_with_pg, await channel_of(desk_with_pg, "naverco"), 900_041, ())
    answer = await act(desk_with_pg, payment, "place")
    assert answer.verdict == (500, -1, "점검 중입니다. 잠시 후 다시 시도해 주세요.")


@pytest.mark.parametrize(("amount", "done"), [(900_033, True), (900_034, False)])
@pytest.mark.fault("F2_LR", "F2_LQ")
async def test_a_silent_cancel_of_goods_is_a_doubt_and_ends_with_the_pgs_word(
    desk_with_pg: Desk, amount: int, done: bool
) -> None:
    """The money goes back once, whatever is asked meanwhile; while nobody knows, it stays reserved."""
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "naverco"), amount, ())
    answer = await act(desk, payment, "cancel")
    assert (answer.status, answer.body["code"]) == (200, 1)
    # The doubt holds: a second try begins nothing, and another act is not told before it ends.
    second = await act(desk, payment, "cancel")
    assert (second.status, second.body["code"]) == (200, 1)
    assert (await act(desk, payment, "place")).body["code"] == 1
    assert await told_about(desk, payment) == [("cancel", "asking", None)]
    desk.clock.advance(60)
    await reconcile(desk.gateway, payment.imp_uid)
    after = await stored(desk, payment)
    [only] = await orders(desk, payment)
    third = await act(desk, payment, "cancel")
    if done:
        assert [one.amount.minor for one in after.cancellations] == [amount]
        assert (only["product_order_status"], only["claim_status"]) == ("CANCELED", "CANCEL_DONE")
        # The same request once more is answered by what became of the first one.
        assert (third.status, third.body["code"]) == (200, 0)
    else:
        # This PG never does it, however often it is asked: nothing is told as if it had ended.
        assert after.cancellations == ()
        assert only["product_order_status"] == "PAYED"
        assert (third.status, third.body["code"]) == (200, 1)
    async with desk.gateway.store.direct() as session:
        rows = await session._connection.raw.fetch(
            "SELECT number FROM intents WHERE imp_uid = $1 AND kind = 'cancel'", payment.imp_uid
        )
    assert len(rows) == 1


def hostile(products: Any) -> list[dict[str, Any]]:
    number = next(NUMBERS)
    return products_of(
        Payment(
            imp_uid=f"imp_{number:012d}",  # type: ignore[arg-type]
            merchant_id=1,
            merchant_uid=MerchantUid("o"),
            channel_id=1,
            pg_code="naverco",
            mid="m",
            sandbox=True,
            surface=Surface.PC,
            pay_method="naverpay",
            step=Step.OPENED,
            version=1,
            amount=Money(1_000),
            cancelled=Money(0),
            tax_free=Money(0),
            vat=None,
            pg_order_no="n" * 25,
            started_at=None,  # type: ignore[arg-type]
            request={"naverProducts": products},
        )
    )


@pytest.mark.parametrize(
    "products",
    [None, "text", 7, [], [None, 1, "x"], {"id": "a"}, [{"options": "x", "shipping": 3}]],
)
def test_what_a_browser_makes_up_is_left_out(products: Any) -> None:
    assert all(line["quantity"] == 1 and line["amount"] is None for line in hostile(products))


def test_options_are_products_of_their_own_and_one_group_ships_once() -> None:
    shipping = {"groupId": "a", "baseFee": 2_500, "feePayType": "PREPAYED"}
    option = {
        "optionQuantity": 3,
        "optionPrice": 100,
        "selectionCode": "R_L",
        "selections": [{"value": "빨강"}, {"value": "L"}],
    }
    lines = hostile(
        [
            {
                "id": "shirt",
                "name": "셔츠",
                "basePrice": 1_000,
                "options": [option],
                "shipping": shipping,
            },
            {
                "id": "sock",
                "name": "양말",
                "basePrice": "500",
                "quantity": "2",
                "shipping": shipping,
            },
        ]
    )
    assert [(each["amount"], each["quantity"], each["delivery_amount"]) for each in lines] == [
        (3_300, 3, 2_500),
        (1_000, 2, 0),
    ]
    assert lines[0]["option_name"] == "빨강 / L"
