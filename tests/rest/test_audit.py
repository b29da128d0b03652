"""Every changing operation of the REST API leaves its row in the merchant's audit log (P20).

Generated over the whole table of operations. A new one is here by being in the table: `ABOUT` says
which table its row is of, and the world of tests/contract has the things that it changes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from naru.rest import operations
from naru.rest.operation import Operation
from naru.store.audit_log import Entry
from tests.contract.examples import IDENTIFIERS, right_request
from tests.contract.world import World, give_things, make_world, own_channel
from tests.rest.cash import add_channel, transfer
from tests.rest.conftest import NUMBERS, Answered, Desk, House, make_desk
from tests.rest.test_benepia import ACCOUNT
from tests.rest.test_certifications import NARU, Company
from tests.rest.test_subscribe_schedule import DECLINED, LATER, item, keep_card, plan, run
from tests.rest.test_vbanks import issue

pytestmark = pytest.mark.promise("P20")

# What they change: nothing.
READ_ONLY = {"POST /users/getToken", "POST /benepia/point"}


def name(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


CHANGING = [each for each in operations() if each.method != "GET" and name(each) not in READ_ONLY]
# The table of the row that tells it, by the beginning of the path: the longest one counts.
ABOUT = {
    "/benepia/payment": "intents",
    "/certifications": "certifications",
    "/cvs": "intents",
    "/escrows": "errands",
    "/kcpquick/autopay": "billing_keys",
    "/kcpquick/members": "quick_questions",
    "/kcpquick/payment": "intents",
    "/kcpquick/prepare": "quick_prepared",
    "/partners": "errands",
    "/payco": "order_acts",
    "/payments/cancel": "intents",
    "/payments/prepare": "prepared",
    "/payments/{imp_uid}/naver": "order_acts",
    "/paymentwall": "order_acts",
    "/receipts": "cash_receipts",
    "/subscribe/customers": "billing_keys",
    "/subscribe/payments": "intents",
    "/subscribe/payments/schedule": "schedules",
    "/subscribe/payments/unschedule": "schedules",
    "/vbanks": "intents",
}
# What begins something new takes an identifier that nobody has.
NEW = {
    "POST /benepia/payment": "merchant_uid",
    "POST /certifications/otp/request": "merchant_uid",
    "POST /cvs": "merchant_uid",
    "POST /kcpquick/payment/autopay": "merchant_uid",
    "POST /kcpquick/payment/money": "merchant_uid",
    "POST /kcpquick/prepare/{merchant_uid}": "merchant_uid",
    "POST /payments/prepare": "merchant_uid",
    "POST /receipts/external/{merchant_uid}": "merchant_uid",
    "POST /subscribe/customers/{customer_uid}": "customer_uid",
    "POST /subscribe/payments/again": "merchant_uid",
    "POST /subscribe/payments/foreign": "merchant_uid",
    "POST /subscribe/payments/onetime": "merchant_uid",
    "POST /subscribe/payments/schedule": "merchant_uid",
    "POST /vbanks": "merchant_uid",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(house: House) -> World:
    return await make_world(house, await make_desk(house, house.pg_url))


# What must be there first, and has been used up by the operations before: its identifiers.


async def _transfer(world: World) -> dict[str, str]:
    return {"imp_uid": (await transfer(world.desk)).imp_uid}


async def _parcel(world: World) -> dict[str, str]:
    return {"imp_uid": (await transfer(world.desk, escrow=True)).imp_uid}


async def _slip(world: World) -> dict[str, str]:
    channel = await add_channel(world.desk, world.house, "html5_inicis")
    return {"imp_uid": (await transfer(world.desk, 10_000, channel=channel)).imp_uid}


async def _account_of_settle(world: World) -> dict[str, str]:
    channel = await add_channel(world.desk, world.house, "settle")
    issued = await issue(world.desk, channel_key=channel.channel_key)
    return {"imp_uid": issued.response["imp_uid"]}


async def _plan(world: World) -> dict[str, str]:
    await give_things(world, world.owner, "schedule")
    return world.owner.special["/subscribe/payments/schedule"]


async def _failed_plan(world: World) -> dict[str, str]:
    desk = world.desk
    await keep_card(desk)
    uid = f"month-{next(NUMBERS)}"
    assert (await plan(desk, item(desk, uid, amount=DECLINED))).status == 200
    desk.clock.advance(LATER)
    assert await run(desk, uid) is not None
    return {"merchant_uid": uid}


async def _member(world: World) -> dict[str, str]:
    await give_things(world, world.owner, "quick")
    return world.owner.special["/kcpquick/payment/money"]


async def _code(world: World) -> dict[str, str]:
    company = Company(world.desk, world.house)
    asked = await company.request(NARU)
    return {"imp_uid": asked.response["imp_uid"], "otp": await company.code()}


async def _points(world: World) -> dict[str, str]:
    return ACCOUNT


FIRST: dict[str, Callable[[World], Awaitable[dict[str, str]]]] = {
    "POST /benepia/payment": _points,
    "POST /certifications/otp/confirm/{imp_uid}": _code,
    "POST /escrows/logis/{imp_uid}": _parcel,
    "POST /kcpquick/payment/money": _member,
    "POST /partners/receipts/{imp_uid}": _slip,
    "POST /receipts/{imp_uid}": _transfer,
    "POST /subscribe/payments/schedule/{merchant_uid}/reschedule": _failed_plan,
    "POST /subscribe/payments/schedule/{merchant_uid}/retry": _failed_plan,
    "PUT /subscribe/payments/schedule/{merchant_uid}": _plan,
    "PUT /vbanks/{imp_uid}": _account_of_settle,
}


async def newest(desk: Desk, most: int = 1) -> list[Entry]:
    async with desk.gateway.store.direct() as session:
        assert await session.audit_log.broken() == []
        return await session.audit_log.newest(desk.shop.merchant.id, most)


async def _change(world: World, operation: Operation, first: dict[str, str]) -> Answered:
    """The owner does this, rightly."""
    owner, path = world.owner, operation.path
    names = {**own_channel(owner.shop), **owner.for_path(path), **first}
    names.pop(NEW.get(name(operation), ""), None)
    path, fields = right_request(operation, names)
    fields |= {each: said for each, said in first.items() if each not in IDENTIFIERS}
    return await world.desk.ask(
        operation.method, path, token=owner.shop.token, **_sent(operation, fields)
    )


def _sent(operation: Operation, fields: dict[str, Any]) -> dict[str, Any]:
    return {"params" if operation.method == "DELETE" else "json": fields}


@pytest.mark.parametrize("operation", CHANGING, ids=name)
async def test_it_says_which_key_did_what_from_where(world: World, operation: Operation) -> None:
    desk = world.desk
    first = await FIRST[name(operation)](world) if name(operation) in FIRST else {}
    [before] = await newest(desk)

    answer = await _change(world, operation, first)

    # An order at the mall stands in one state: most acts are refused there, after they were written.
    at_the_mall = operation.path.startswith("/payments/{imp_uid}/naver")
    assert answer.body["code"] == 0 or at_the_mall, answer.body
    written = [each for each in await newest(desk, 100) if each.place > before.place]
    assert written
    for each in written:
        assert each.who == f"key {desk.shop.imp_key}"
        assert (each.what, each.address) == (name(operation), "127.0.0.1")
    about = max((each for each in ABOUT if operation.path.startswith(each)), key=len)
    table = "errands" if name(operation) == "PUT /vbanks/{imp_uid}" else ABOUT[about]
    assert table in {each.subject.split()[0] for each in written}


async def test_a_refused_call_changes_nothing_and_leaves_no_row(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    announced = {"merchant_uid": "o1", "amount": 100}
    assert (await desk.ask("POST", "/payments/prepare", json=announced)).status == 200
    before = await newest(desk)
    for body in (announced, {"merchant_uid": "o1", "amount": "x"}):
        assert (await desk.ask("POST", "/payments/prepare", json=body)).body["code"] != 0
    assert await newest(desk) == before


async def test_what_the_buyer_does_is_not_the_merchants_doing(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    before = await newest(desk)
    await desk.buy(1004)
    assert await newest(desk) == before
