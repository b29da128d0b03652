"""The browser under faults: rows A2 (it opens), A3 (the window's page), B1 (it returns), C4 (it is answered).

Whatever becomes of the answer, whoever asks hears the truth: the page that polls, the browser that sends
the same form again, and the last page. Nobody is told that a payment failed while it is not known.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import pytest

from naru.domain.payment import Step
from naru.payments.approve import approve
from naru.payments.gateway import Gateway
from naru.payments.reconcile import reconcile
from tests.checkout.gate import SHOP, Gate
from tests.checkout.test_returns import facts_of
from tests.payments.test_faults_approve import jumping
from tests.payments.test_sleepers import asleep
from tests.support.database_away import database_away
from tests.support.dying import dying

pytestmark = pytest.mark.asyncio(loop_scope="session")

ONCE = ["opened", "authenticated", "approved"]


async def send_and_hang_up(gate: Gate, form: dict[str, Any], *, whole: bool = True) -> None:
    """Post the PG's form and close the line: the answer never comes through, or not even the form."""
    parts = urlsplit(form["action"])
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    raw = urlencode(form["fields"]).encode()
    writer.write(
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(raw)}\r\n\r\n".encode()
        + (raw if whole else raw[: len(raw) // 2])
    )
    await writer.drain()
    writer.transport.abort()


async def final(gate: Gate, opened: dict[str, Any]) -> dict[str, Any]:
    """What the page that opened the window hears in the end."""
    async with asyncio.timeout(10):
        while (heard := await gate.result(opened))["state"] != "final":
            assert heard["state"] in ("open", "checking")
            await asyncio.sleep(0.01)
    result: dict[str, Any] = heard["result"]
    return result


async def all_hear(gate: Gate, opened: dict[str, Any], form: dict[str, Any]) -> None:
    """Paid once; the poll, the form sent again and the last page say the same."""
    heard = await final(gate, opened)
    assert heard["success"] is True
    again = await gate.come_back(form)
    assert again.status == 303
    assert (await facts_of(gate, again.headers["Location"]))["result"] == heard
    assert await gate.house.history(opened["imp_uid"]) == ONCE
    payment = await gate.payment(opened)
    async with gate.house.gateway.store.direct() as session:
        laid = await session.outbox.of_merchant(payment.merchant_id, imp_uid=payment.imp_uid)
    hooked = gate.house.merchant.webhook_url is not None
    assert [each.status for each in laid] == (["paid"] if hooked else [])


@pytest.mark.fault("B1_LQ")
async def test_a_return_that_never_arrived_changed_nothing_and_pays_when_it_arrives(
    gate: Gate,
) -> None:
    opened = await gate.open()
    form = await gate.authenticate(opened)
    for _ in range(3):
        await send_and_hang_up(gate, form, whole=False)
    assert (await gate.result(opened))["state"] == "open"
    assert await gate.house.history(opened["imp_uid"]) == ["opened"]
    assert (await gate.come_back(form)).status == 303
    await all_hear(gate, opened, form)


@pytest.mark.fault("B1_LR", "C4_LR", "C4_CA", "C4_LQ")
async def test_a_browser_that_never_hears_its_answer_finds_the_truth(own_gate: Gate) -> None:
    gate = own_gate
    await gate.house.set_merchant(webhook_url="https://shop.example/hook")
    opened = await gate.open()
    form = await gate.authenticate(opened)
    await send_and_hang_up(gate, form)
    await send_and_hang_up(gate, form)
    assert (await final(gate, opened))["success"] is True
    await all_hear(gate, opened, form)


@pytest.mark.fault("C4_NP")
async def test_without_the_browser_the_webhook_and_the_store_say_paid(own_gate: Gate) -> None:
    """The buyer's network is gone for good: nobody polls, nobody sends anything again."""
    gate = own_gate
    await gate.house.set_merchant(webhook_url="https://shop.example/hook")
    opened = await gate.open()
    await send_and_hang_up(gate, await gate.authenticate(opened))
    async with asyncio.timeout(10):
        while (await gate.payment(opened)).step is not Step.PAID:
            await asyncio.sleep(0.01)
    async with gate.house.gateway.store.direct() as session:
        [laid] = await session.outbox.of_merchant(gate.house.merchant.id)
    assert (laid.status, laid.imp_uid) == ("paid", opened["imp_uid"])


@pytest.mark.fault("C4_CB")
@pytest.mark.parametrize("point", ["settle.after_commit", "settle.before_commit"])
async def test_a_process_that_died_before_it_answered_the_browser_leaves_the_truth(
    own_gate: Gate, point: str
) -> None:
    gate = own_gate
    opened = await gate.open()
    form = await gate.authenticate(opened)
    with dying(point):
        # The door's process is this one, so a last 500 can still be heard; a dead one says nothing.
        assert (await gate.come_back(form)).status == 500
    if point == "settle.before_commit":
        assert (await gate.result(opened))["state"] == "checking"
        answer = await gate.come_back(form)
        async with gate.http.get(answer.headers["Location"]) as page:
            assert "다시 결제하지 마세요" in await page.text()
        gate.house.clock.advance(seconds=30)
        await reconcile(gate.house.gateway, opened["imp_uid"])
    await all_hear(gate, opened, form)


@pytest.mark.fault("B1_DU", "C4_DU")
async def test_sixty_four_returns_and_last_pages_at_once_say_the_same(gate: Gate) -> None:
    opened = await gate.open()
    form = await gate.authenticate(opened)
    answers = await asyncio.gather(*(gate.come_back(form) for _ in range(64)))
    assert {answer.status for answer in answers} == {303}
    [done_url] = {answer.headers["Location"] for answer in answers}
    heard = await final(gate, opened)
    pages = await asyncio.gather(*(facts_of(gate, done_url) for _ in range(64)))
    assert all(page["result"] == heard for page in pages)
    await all_hear(gate, opened, form)


@pytest.mark.fault("C4_RO")
async def test_a_last_page_that_is_read_hours_later_says_the_same(own_gate: Gate) -> None:
    gate = own_gate
    opened = await gate.open()
    form = await gate.authenticate(opened)
    done_url = (await gate.come_back(form)).headers["Location"]
    first = await facts_of(gate, done_url)
    gate.house.clock.advance(hours=5)
    assert (await facts_of(gate, done_url))["result"] == first["result"]
    await all_hear(gate, opened, form)


@pytest.mark.fault("C4_SL")
@pytest.mark.parametrize(
    ("point", "meanwhile"), [("approve.after_pg", "checking"), ("settle.after_commit", "final")]
)
async def test_a_process_that_sleeps_before_it_answers_keeps_nobody_from_the_truth(
    own_gate: Gate, point: str, meanwhile: str
) -> None:
    gate = own_gate
    opened = await gate.open()
    form = await gate.authenticate(opened)

    async def takes(gateway: Gateway) -> object:
        return await approve(gateway, opened["imp_uid"], form["fields"])

    with asleep(gate.house, point, takes) as sleeper:
        assert await sleeper.sleeps()
        assert (await gate.result(opened))["state"] == meanwhile
        answer = await gate.come_back(form)
        async with gate.http.get(answer.headers["Location"]) as page:
            html = await page.text()
        assert ("다시 결제하지 마세요" in html) == (meanwhile == "checking")
        await sleeper.goes_on()
    await all_hear(gate, opened, form)


@pytest.mark.fault("B1_DB", "C4_DB", "C4_DF")
async def test_without_a_database_nobody_is_told_that_it_failed(own_gate: Gate) -> None:
    gate = own_gate
    opened, other = await gate.open(), await gate.open()
    form, other_form = await gate.authenticate(opened), await gate.authenticate(other)
    done_url = (await gate.come_back(form)).headers["Location"]
    async with database_away(gate.house.dsn):
        returned = await gate.come_back(other_form)
        assert returned.status == 503
        assert "실패" not in await returned.text()
        for url in (
            done_url,
            f"{gate.url}/checkout/payments/{opened['imp_uid']}/result?token={opened['token']}",
        ):
            async with gate.http.get(url) as answer:
                assert answer.status == 503
                assert "실패" not in await answer.text()
    await all_hear(gate, opened, form)
    assert (await gate.come_back(other_form)).status == 303
    await all_hear(gate, other, other_form)


@pytest.mark.fault("C4_CJ")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_jumps_before_the_browser_is_answered_changes_nothing(
    own_gate: Gate, hours: int
) -> None:
    gate = own_gate
    opened = await gate.open()
    form = await gate.authenticate(opened)
    async with jumping(gate.house, "settle.after_commit", hours):
        assert (await gate.come_back(form)).status == 303
    await all_hear(gate, opened, form)


# --- A2, A3: a payment is opened, its window is entered ------------------------------------------


async def opened_as(gate: Gate, body: dict[str, Any]) -> int:
    """How many payments there are of the order that this body names."""
    async with gate.house.gateway.store.direct() as session:
        found = await session.payments.many_of_merchant(
            gate.house.merchant.id, [], [body["param"]["merchant_uid"]]
        )
    return len(found)


@pytest.mark.fault("A2_CB")
async def test_a_process_that_died_before_it_opened_a_payment_opened_none(gate: Gate) -> None:
    body = gate.body()
    with dying("start.before_open"), pytest.raises(aiohttp.ContentTypeError):
        await gate.post(body)
    assert await opened_as(gate, body) == 0
    status, opened, _ = await gate.post(body)
    assert status == 200
    assert await opened_as(gate, body) == 1
    form = await gate.authenticate(opened)
    await gate.come_back(form)
    await all_hear(gate, opened, form)


@pytest.mark.fault("A2_CA", "A2_LR", "A2_DU")
@pytest.mark.promise("P2")
async def test_a_payment_that_nobody_heard_was_opened_stays_beside_the_next_and_one_is_paid(
    gate: Gate,
) -> None:
    """V1 knows no repeat of an opening: the next call is another window of the same order."""
    body = gate.body()
    with dying("start.after_open"), pytest.raises(aiohttp.ContentTypeError):
        await gate.post(body)
    opened = [(await gate.post(body))[1] for _ in range(3)]
    assert await opened_as(gate, body) == 4
    forms = [await gate.authenticate(each) for each in opened]
    answers = await asyncio.gather(*(gate.come_back(form) for form in forms))
    assert {answer.status for answer in answers} == {303}
    ends = [(await gate.payment(each)).step for each in opened]
    assert sorted(ends) == [Step.FAILED, Step.FAILED, Step.PAID]
    status, told, _ = await gate.post(body)
    assert (status, told["error"]["error_code"]) == (400, "F1002")


@pytest.mark.fault("A2_LQ")
async def test_half_an_opening_opens_nothing(gate: Gate) -> None:
    body = gate.body()
    raw, parts = json.dumps(body).encode(), urlsplit(gate.url)
    for _ in range(3):
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(
            f"POST /checkout/payments HTTP/1.1\r\nHost: {parts.netloc}\r\nOrigin: {SHOP}\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(raw)}\r\n\r\n".encode()
            + raw[:-3]
        )
        await writer.drain()
        writer.transport.abort()
    assert (await gate.post(body))[0] == 200
    assert await opened_as(gate, body) == 1


@pytest.mark.fault("A3_CB", "A3_CA")
async def test_a_process_that_died_while_it_opened_the_window_is_asked_again(gate: Gate) -> None:
    opened = await gate.open()
    url = opened["window_url"].replace("/checkout/window/", "/checkout/enter/")
    with dying("window.after_pg"):
        assert (await gate.http.get(url, allow_redirects=False)).status == 500
    assert await gate.house.history(opened["imp_uid"]) == ["opened"]
    form = await gate.authenticate(opened)
    await gate.come_back(form)
    await all_hear(gate, opened, form)


@pytest.mark.fault("A3_LQ", "A3_LR", "A3_DU", "A3_RO")
async def test_a_window_whose_pages_are_lost_repeated_and_late_is_one_window(gate: Gate) -> None:
    opened = await gate.open()
    enter = opened["window_url"].replace("/checkout/window/", "/checkout/enter/")
    parts = urlsplit(enter)
    for _ in range(3):  # entered, and the address of the PG's window never arrives
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(
            f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
        )
        await writer.drain()
        writer.transport.abort()
    answers = await asyncio.gather(
        *(gate.http.get(enter, allow_redirects=False) for _ in range(64))
    )
    assert {answer.status for answer in answers} == {303}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert await gate.house.history(opened["imp_uid"]) == ["opened"]
    form = await gate.authenticate(opened)
    await gate.come_back(form)
    # A window that is asked for when all is over leads to how it ended.
    late = await gate.http.get(enter, allow_redirects=False)
    assert urlsplit(late.headers["Location"]).path == f"/checkout/done/{opened['imp_uid']}"
    await all_hear(gate, opened, form)
