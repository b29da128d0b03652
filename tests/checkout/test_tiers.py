"""`IMP.agency(code, tier)`: a page opens payments for a tier of its agency, and for no other."""

from __future__ import annotations

import dataclasses

import pytest
from yarl import URL

from naru.domain.merchant import Merchant
from tests.checkout.gate import SHOP, Gate

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def add_tier(gate: Gate, code: str, *, origin: str = SHOP) -> Merchant:
    """A merchant that is this tier of the gate's, with a channel at the same PG."""
    agency, channel = gate.house.merchant, gate.house.channel
    async with gate.house.gateway.store.begin() as tx:
        tier_id = await tx.merchants.add(
            f"tier {code}", [f"{agency.user_code}-{code}"], live=False, webhook_secret=None
        )
        await tx.tiers.add(tier_id, agency.id, code)
        added = await tx.merchants.get(tier_id)
        assert added is not None
        tier = dataclasses.replace(added, allowed_origins=(origin,))
        await tx.merchants.change(tier)
        await tx.channels.add(
            tier.id,
            f"channel-of-{agency.user_code}-{code}",
            "kcp",
            channel.mid,
            "sandbox",
            test=True,
            settings=channel.settings,
            is_default=True,
        )
    return tier


async def test_a_payment_belongs_to_the_tier_that_the_page_named(gate: Gate) -> None:
    tier = await add_tier(gate, "ABC")

    opened = await gate.open(tier_code="ABC")
    payment = await gate.payment(opened)
    assert payment.merchant_id == tier.id
    form = await gate.authenticate(opened)
    await gate.come_back(form)
    assert (await gate.payment(opened)).paid_at is not None

    # The same order of the agency itself is another order.
    own = await gate.open({"merchant_uid": payment.merchant_uid})
    assert (await gate.payment(own)).merchant_id == gate.house.merchant.id


async def test_a_page_opens_nothing_for_a_tier_that_does_not_know_it(gate: Gate) -> None:
    await add_tier(gate, "DEF", origin="https://elsewhere.example")

    status, answer, _ = await gate.post(gate.body(tier_code="DEF"))

    assert status == 403
    assert answer["error"]["success"] is False


async def test_an_unknown_tier_is_told_in_a_sentence(gate: Gate) -> None:
    for code in ("ZZZ", "abc", "ABCD", ""):
        error = await gate.refuse(None, tier_code=code)
        assert "등록되지 않은 하위 가맹점" in error["error_msg"]


async def test_the_channels_of_a_tier_are_listed(gate: Gate) -> None:
    tier = await add_tier(gate, "GHI")
    agency = gate.house.merchant.user_code
    async with gate.http.get(f"{gate.url}/users/pg/{agency}?tier=GHI") as answer:
        content = await answer.json()
    assert content["code"] == 0
    assert [each["store_id"] for each in content["data"]] == [tier.user_code]
    for unknown in (f"{agency}?tier=ZZZ", f"{agency}?tier=%00", f"{agency}?tier="):
        async with gate.http.get(URL(f"{gate.url}/users/pg/{unknown}", encoded=True)) as answer:
            assert answer.status == 404
