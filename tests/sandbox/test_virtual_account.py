"""Accounts, the deposit desk, refunds, and the notices that deposits make."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from naru.sandbox.virtual_account import default_due
from tests.sandbox.stage import Json, Member, Pg, running

REFUND = {"bank_code": "004", "number": "1101234", "holder": "김나루"}


@dataclass
class Shop:
    """A member's own server: keeps what arrives and answers what it is told to."""

    url: str = ""
    answers: list[tuple[int, str]] = field(default_factory=list)
    arrived: asyncio.Queue[tuple[web.Request, bytes]] = field(default_factory=asyncio.Queue)

    async def take(self, request: web.Request) -> web.Response:
        await self.arrived.put((request, await request.read()))
        status, text = self.answers.pop(0) if self.answers else (200, "OK")
        return web.Response(status=status, text=text)

    async def next(self) -> Json:
        async with asyncio.timeout(15):
            _, body = await self.arrived.get()
        notice: Json = json.loads(body)
        return notice


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    shop = Shop()
    app = web.Application()
    app.router.add_post("/notice", shop.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    shop.url = f"http://127.0.0.1:{runner.addresses[0][1]}/notice"
    yield shop
    await runner.cleanup()


async def desk(pg: Pg, path: str, body: Json, status: int = 200) -> Json:
    async with pg.http.post(f"{pg.url}/desk{path}", json=body, headers={"Origin": pg.url}) as got:
        assert got.status == status, await got.text()
        answer: Json = await got.json()
        return answer


async def pay_in(pg: Pg, issued: Json, amount: int, **changes: object) -> Json:
    body = {"number": issued["virtual_account"]["number"], "amount": amount, "depositor": "김나루"}
    answer = await desk(pg, "/deposits", body | changes)
    account: Json = answer["account"]
    return account


async def issued(member: Member, **changes: object) -> Json:
    window = await member.open(pay_method="vbank", amount=1000, **changes)
    choice = {"bank_code": "088", "holder": "나루 상점", "cash_receipt": None}
    return await window.approve(await window.ok("/vbank", choice))


async def watch(pg: Pg, number: str, until: Callable[[Json], bool]) -> Json:
    """Ask the desk until its account looks as expected."""
    async with asyncio.timeout(5):
        while True:
            async with pg.http.get(f"{pg.url}/desk/state", params={"number": number}) as got:
                account: Json = (await got.json())["accounts"][0]
            if until(account):
                return account
            await asyncio.sleep(0.02)


async def test_an_account_waits_and_a_deposit_fills_it(pg: Pg, member: Member, shop: Shop) -> None:
    answer = await issued(member, notice_url=shop.url)
    assert answer["result"] == "account_issued"
    account = answer["virtual_account"]
    assert (account["bank_code"], account["bank_name"]) == ("088", "신한은행")
    assert (account["due"] + 9 * 3600) % 86400 == 86399
    assert (await member.inquire(answer["order_no"]))["state"] == "waiting_deposit"

    assert (await pay_in(pg, answer, 400))["state"] == "waiting_deposit"
    first = await shop.next()
    assert (first["type"], first["amount"], first["total"]) == ("deposited", 400, 400)
    assert (first["order_no"], first["tid"]) == (answer["order_no"], answer["tid"])
    assert (await pay_in(pg, answer, 600))["state"] == "deposited"
    second = await shop.next()
    assert (second["amount"], second["total"]) == (600, 1000)
    assert second["notice_id"] != first["notice_id"]
    inquiry = await member.inquire(answer["order_no"])
    assert (inquiry["state"], inquiry["paid"]) == ("deposited", 1000)


async def test_a_notice_is_signed_by_the_members_secret(pg: Pg, member: Member, shop: Shop) -> None:
    await pay_in(pg, await issued(member, notice_url=shop.url), 1000)
    async with asyncio.timeout(5):
        request, body = await shop.arrived.get()
    stamp = request.headers["X-Sandbox-Timestamp"]
    text = f"{stamp}.".encode() + body
    proof = hmac.new(member.secret.encode(), text, hashlib.sha256).hexdigest()
    assert request.headers["X-Sandbox-Signature"] == proof


async def test_a_notice_that_is_not_ok_comes_again_with_the_same_id(
    pg: Pg, member: Member, shop: Shop
) -> None:
    shop.answers = [(500, "no"), (200, "okay?")]
    answer = await issued(member, notice_url=shop.url)
    await pay_in(pg, answer, 1000)
    first = await shop.next()
    number = answer["virtual_account"]["number"]
    waits: list[int] = []
    for tries in (1, 2):
        account = await watch(
            pg,
            number,
            lambda a, n=tries: len(a["notices"][0]["attempts"]) == n,  # type: ignore[misc]
        )
        notice = account["notices"][0]
        assert notice["state"] == "waiting"
        waits.append(notice["next_at"] - notice["attempts"][-1]["at"])
        pg.clock.ahead += waits[-1] + 1
        pg.app.state.company.notices_waiting.set()
        assert await shop.next() == first
    assert 59 <= waits[0] <= 61
    assert 119 <= waits[1] <= 121
    account = await watch(pg, number, lambda a: a["notices"][0]["state"] == "delivered")
    outcomes = [attempt["outcome"] for attempt in account["notices"][0]["attempts"]]
    assert outcomes == ["refused", "refused", "ok"]


async def test_a_notice_to_nobody_is_given_up_after_ten_retries(pg: Pg, member: Member) -> None:
    answer = await issued(member, notice_url="http://127.0.0.1:1/notice")
    await pay_in(pg, answer, 1000)
    number = answer["virtual_account"]["number"]
    for tries in range(1, 12):
        account = await watch(
            pg,
            number,
            lambda a, n=tries: len(a["notices"][0]["attempts"]) == n,  # type: ignore[misc]
        )
        pg.clock.ahead += 60 * 2**tries
        pg.app.state.company.notices_waiting.set()
    notice = account["notices"][0]
    assert (notice["state"], notice["next_at"]) == ("given_up", None)
    assert {attempt["outcome"] for attempt in notice["attempts"]} == {"no_answer"}
    assert (await desk(pg, f"/notices/{notice['notice_id']}/resend", {}))["ok"]
    await watch(pg, number, lambda a: len(a["notices"][0]["attempts"]) == 12)
    await desk(pg, "/notices/never-was/resend", {}, status=404)


async def test_deposits_twice_too_much_late_and_after_closing_are_all_booked(
    pg: Pg, member: Member
) -> None:
    answer = await issued(member)
    await pay_in(pg, answer, 1000)
    account = await pay_in(pg, answer, 1000)
    assert (account["state"], account["total"]) == ("deposited", 2000)
    late = answer["virtual_account"]["due"] + 1
    account = await pay_in(pg, answer, 5, deposited_at=late)
    assert [deposit["late"] for deposit in account["deposits"]] == [False, False, True]

    closed = await issued(member)
    path = f"/v1/virtual-accounts/{closed['order_no']}"
    assert (await member.ask("DELETE", path))["result"] == "closed"
    assert (await member.ask("DELETE", path))["result"] == "closed"
    account = await pay_in(pg, closed, 1000)
    assert (account["state"], account["total"]) == ("closed", 1000)
    rows = (await member.ask("GET", "/v1/book"))["rows"]
    assert [row["amount"] for row in rows] == [1000, 1000, 5, 1000]
    assert {row["kind"] for row in rows} == {"deposit"}


async def test_a_deposit_to_nowhere_is_refused(pg: Pg) -> None:
    body = {"number": "0000000000", "amount": 1, "depositor": "x"}
    assert (await desk(pg, "/deposits", body, status=404))["code"] == "ACCOUNT_NOT_FOUND"


async def test_a_refund_needs_money_and_an_account_to_go_to(pg: Pg, member: Member) -> None:
    answer = await issued(member)
    refused = await member.cancel(answer, 1000, 1000, refund_account=REFUND)
    assert refused["code"] == "NOT_DEPOSITED"
    await pay_in(pg, answer, 1000)
    assert (await member.cancel(answer, 1000, 1000))["code"] == "REFUND_ACCOUNT_NEEDED"
    assert (await member.cancel(answer, 1000, 1000, refund_account=REFUND))["balance"] == 0
    assert (await member.inquire(answer["order_no"]))["state"] == "cancelled"


async def test_an_account_can_be_ordered_without_a_window(pg: Pg, member: Member) -> None:
    ask = {
        "order_no": "vbank-0001",
        "amount": 1000,
        "currency": "KRW",
        "bank_code": "004",
        "holder": "나루 상점",
        "due": int(pg.clock()) + 86400,
        "item_name": "우산",
        "merchant_name": "나루 상점",
        "merchant_order_no": "shop-9",
        "profile": "nice",
        "notice_url": None,
        "buyer": None,
        "test": True,
    }
    first = await member.ask("POST", "/v1/virtual-accounts", ask)
    assert first["virtual_account"]["due"] == ask["due"]
    assert await member.ask("POST", "/v1/virtual-accounts", ask) == first
    other = ask | {"amount": 1001}
    await member.ask("POST", "/v1/virtual-accounts", other, status=409)
    assert (await pay_in(pg, first, 1000))["state"] == "deposited"
    refused = await member.ask("DELETE", "/v1/virtual-accounts/vbank-0001")
    assert (refused["result"], refused["code"]) == ("refused", "ALREADY_DEPOSITED")
    for change, code in (({"bank_code": "999"}, "UNKNOWN_BANK"), ({"due": 1}, "DUE_PASSED")):
        answer = await member.ask(
            "POST", "/v1/virtual-accounts", ask | {"order_no": f"vbank-{code}"} | change
        )
        assert (answer["result"], answer["code"]) == ("declined", code)
    await member.ask("DELETE", "/v1/virtual-accounts/never-seen", status=404)


async def test_a_net_cancel_closes_an_unpaid_account_only(pg: Pg, member: Member) -> None:
    unpaid, paid = await issued(member), await issued(member)
    await pay_in(pg, paid, 1000)
    path = "/v1/approvals/{}/net-cancel"
    answer = await member.ask("POST", path.format(unpaid["order_no"]), {"reason": ""})
    assert (answer["result"], answer["had_approved"]) == ("undone", True)
    answer = await member.ask("POST", path.format(paid["order_no"]), {"reason": ""})
    assert (answer["result"], answer["code"]) == ("refused", "ALREADY_DEPOSITED")


def test_the_default_due_is_the_last_second_of_a_korean_day() -> None:
    now = int(time.time())
    due = default_due(now)
    assert (due + 9 * 3600) % 86400 == 86399
    assert 7 * 86400 <= due - now < 8 * 86400


async def test_a_restart_goes_on_with_the_notices_that_wait(
    pg: Pg, member: Member, shop: Shop
) -> None:
    shop.answers = [(503, "closed")]
    await pay_in(pg, await issued(member, notice_url=shop.url), 1000)
    first = await shop.next()
    async with running(pg.database) as again:
        again.clock.ahead += 61
        again.app.state.company.notices_waiting.set()
        assert await shop.next() == first
