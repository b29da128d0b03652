"""naru/rest/tiers.py and the `Tier` header: an agency's token acts for its sub-merchants, and for nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

from naru.domain.payment import Payment
from tests.rest.conftest import NUMBERS, Desk, House, Shop, make_desk, new_shop
from tests.rest.test_authenticate import UNAUTHORIZED

NO_TIER = (404, -1, "등록되지 않은 하위 상점(tier_code)입니다.")
NO_PAYMENT = (404, -1, "존재하지 않는 결제정보입니다.")


async def new_tier(
    house: House, agency: Shop, code: str, pg_url: str = "http://127.0.0.1:9"
) -> Shop:
    """A merchant that is the tier `code` of this agency."""
    tier = await new_shop(house.store, pg_url)
    async with house.store.begin() as tx:
        await tx.tiers.add(tier.merchant.id, agency.merchant.id, code)
    return tier


async def acting_for(desk: Desk, code: str, method: str, path: str, **how: Any) -> Any:
    return await desk.ask(method, path, headers={"Tier": code}, **how)


@pytest.mark.operation("GET /tiers/{tier_code}")
async def test_an_agency_reads_its_tiers_and_nobody_elses(desk: Desk, house: House) -> None:
    tier = await new_tier(house, desk.shop, "ABC")
    await new_tier(house, desk.stranger, "XYZ")

    answer = await desk.ask("GET", "/tiers/ABC")
    assert answer.status == 200
    assert answer.response == {"tier_code": "ABC", "tier_name": tier.merchant.name}

    assert (await acting_for(desk, "ABC", "GET", "/tiers/ABC")).response == answer.response
    for unknown in ("XYZ", "ZZZ", "abc", "ABCD", "%00", "가나다"):
        assert (await desk.ask("GET", f"/tiers/{unknown}")).status in (400, 404)
    assert (await desk.ask("GET", "/tiers/XYZ")).verdict == NO_TIER
    foreign = await desk.ask("GET", "/tiers/ABC", token=desk.stranger.token)
    assert foreign.verdict == NO_TIER


async def test_a_token_acts_for_a_tier_of_its_own_agency_only(desk: Desk, house: House) -> None:
    tier = await new_tier(house, desk.shop, "A1B")
    await new_tier(house, desk.stranger, "XYZ")

    channels = await acting_for(desk, "A1B", "GET", "/users/pg")
    assert [each["channel_key"] for each in channels.response] == [tier.channel.channel_key]
    for other in ("XYZ", "ZZZ", "a1b", "A1B1", "A1", "é".encode().decode("latin-1")):
        assert (await acting_for(desk, other, "GET", "/users/pg")).verdict == UNAUTHORIZED, other
    assert (await acting_for(desk, "", "GET", "/users/pg")).response != channels.response
    assert (await acting_for(desk, " A1B ", "GET", "/users/pg")).response == channels.response


async def test_payments_belong_to_the_tier(desk: Desk, house: House) -> None:
    tier = await new_tier(house, desk.shop, "ABC")
    other = await new_tier(house, desk.shop, "DEF")
    order = f"tier-order-{next(NUMBERS)}"
    of_tier = await desk.pay(tier, channel_id=tier.channel.id, merchant_uid=order)
    of_agency = await desk.pay(desk.shop, channel_id=desk.shop.channel.id, merchant_uid=order)

    async def seen(code: str | None, payment: Payment) -> int:
        headers = {} if code is None else {"Tier": code}
        answers = [
            await desk.ask("GET", f"/payments/{payment.imp_uid}", headers=headers),
            await desk.ask("GET", f"/payments?imp_uid[]={payment.imp_uid}", headers=headers),
        ]
        [status] = {answer.status for answer in answers}
        listed = await desk.ask("GET", "/payments/status/paid", headers=headers)
        ids = [each["imp_uid"] for each in listed.response["list"]]
        assert (payment.imp_uid in ids) == (status == 200)
        return status

    assert (await seen("ABC", of_tier), await seen("ABC", of_agency)) == (200, 404)
    # D8: without the header the agency sees its own only.
    assert (await seen(None, of_tier), await seen(None, of_agency)) == (404, 200)
    assert (await seen("DEF", of_tier), await seen("DEF", of_agency)) == (404, 404)
    assert other.merchant.id != tier.merchant.id
    found = await acting_for(desk, "ABC", "GET", f"/payments/find/{order}")
    assert found.response["imp_uid"] == of_tier.imp_uid


async def test_what_is_changed_is_changed_for_the_tier(house: House) -> None:
    """prepare, cancel and an Idempotency-Key: each merchant's own, and the agency's own is another."""
    desk = await make_desk(house, house.pg_url)
    await new_tier(house, desk.shop, "ABC")
    order = f"tier-order-{next(NUMBERS)}"
    body = {"merchant_uid": order, "amount": 1004}

    for code in ("ABC", ""):
        answer = await desk.ask(
            "POST",
            "/payments/prepare",
            json=body,
            headers={"Tier": code, "Idempotency-Key": "one and the same".replace(" ", "-")},
        )
        assert (answer.status, answer.body["code"]) == (200, 0)
    again = await acting_for(desk, "ABC", "POST", "/payments/prepare", json=body)
    assert again.body["code"] == 1
    stranger = await desk.ask(
        "GET", f"/payments/prepare/{order}", token=desk.stranger.token, headers={"Tier": "ABC"}
    )
    assert stranger.verdict == UNAUTHORIZED


async def test_an_agency_cancels_for_its_tier(house: House) -> None:
    desk = await make_desk(house, house.pg_url)
    tier = await new_tier(house, desk.shop, "ABC", house.pg_url)
    await desk_joins(desk, tier)
    agency, desk.shop = desk.shop, tier
    paid = await desk.buy(3000)
    desk.shop = agency
    body = {"imp_uid": paid.imp_uid, "amount": 1000, "reason": "변심"}

    refused = await desk.ask("POST", "/payments/cancel", json=body)
    assert refused.verdict == (200, 1, "취소할 결제건이 존재하지 않습니다.")
    cancelled = await acting_for(desk, "ABC", "POST", "/payments/cancel", json=body)
    assert (cancelled.status, cancelled.body["code"]) == (200, 0)
    assert cancelled.response["cancel_amount"] == 1000


async def desk_joins(desk: Desk, shop: Shop) -> None:
    """This shop becomes a member of the sandbox PG."""
    body = {
        "secret": shop.channel.settings["secret"],
        "name": shop.merchant.name,
        "profile": shop.channel.pg_code,
    }
    url = f"{shop.channel.settings['url']}/v1/members/{shop.channel.mid}"
    async with desk.http.put(url, json=body) as answer:
        assert answer.status == 200


async def test_whose_tier_it_is_never_changes(desk: Desk, house: House) -> None:
    tier = await new_tier(house, desk.shop, "ABC")
    for statement in (
        "UPDATE tiers SET agency_id = $1 WHERE merchant_id = $2",
        "DELETE FROM tiers WHERE agency_id <> $1 AND merchant_id = $2",
    ):
        async with house.store.direct() as session:
            with pytest.raises(Exception, match="rows of tiers are never changed"):
                await session._connection.raw.execute(
                    statement, desk.stranger.merchant.id, tier.merchant.id
                )
