"""The browser comes back from the PG: true returns, forged ones, repeated ones, late ones."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from yarl import URL

from naru.domain.payment import Step
from tests.checkout.gate import SHOP, Gate

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def facts_of(gate: Gate, done_url: str) -> dict[str, Any]:
    """What the done page tells its script."""
    async with gate.http.get(done_url) as answer:
        assert answer.status == 200
        html = await answer.text()
    match = re.search(r"var facts = (\{.*?\});\n", html)
    assert match is not None
    facts: dict[str, Any] = json.loads(match[1])
    return facts


async def test_an_authentication_becomes_an_approval_and_the_page_hears_of_it(gate: Gate) -> None:
    opened = await gate.open({"custom_data": {"cart": [1, 2]}})
    done_url = await gate.pay(opened)

    payment = await gate.payment(opened)
    assert payment.step is Step.PAID
    facts = await facts_of(gate, done_url)
    assert facts["request_id"] == "req_1_abc"
    assert facts["page_origin"] == SHOP
    assert facts["mode"] == "iframe"
    assert facts["redirect_url"] is None
    result = facts["result"]
    assert result["success"] is True
    assert result["imp_uid"] == opened["imp_uid"]
    assert result["merchant_uid"] == opened["merchant_uid"]
    assert result["paid_amount"] == 1004
    assert result["status"] == "paid"
    assert result["pg_provider"] == "kcp"
    assert result["custom_data"] == {"cart": [1, 2]}
    assert result["paid_at"] > 0
    assert "error_code" not in result
    assert (await gate.result(opened))["result"] == result


@pytest.mark.fault("B1_DU", "C4_DU")
async def test_a_repeated_return_changes_nothing_and_tells_the_same(gate: Gate) -> None:
    opened = await gate.open()
    form = await gate.authenticate(opened)
    first, second = await asyncio.gather(gate.come_back(form), gate.come_back(form))
    third = await gate.come_back(form)

    assert {first.status, second.status, third.status} == {303}
    assert len({answer.headers["Location"] for answer in (first, second, third)}) == 1
    history = await gate.house.history(opened["imp_uid"])
    assert history.count("approved") == 1


@pytest.mark.fault("B1_WD")
@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "1"},
        {"status": "authenticated", "auth_token": "x"},
        {"signature": ""},
        {"order_no": "n" + "0" * 24},
        {"mid": "someone-else"},
        {"currency": "VND"},
        {"message": "한글 \ud7ff"},
        {"signature": "한글"},
    ],
)
async def test_a_changed_return_changes_nothing(gate: Gate, changes: dict[str, str]) -> None:
    opened = await gate.open()
    form = await gate.authenticate(opened)

    answer = await gate.come_back(form, **changes)

    assert answer.status == 400
    assert "결제사에서 보낸 결과가 아니어서" in await answer.text()
    assert (await gate.payment(opened)).step is Step.OPENED
    # The true one still counts.
    assert (await gate.come_back(form)).status == 303
    assert (await gate.payment(opened)).step is Step.PAID


@pytest.mark.fault("B1_WD")
async def test_another_payments_return_is_refused(gate: Gate) -> None:
    first, second = await gate.open(), await gate.open()
    form = await gate.authenticate(first)
    form["action"] = form["action"].replace(first["imp_uid"], second["imp_uid"])

    assert (await gate.come_back(form)).status == 400
    assert (await gate.payment(second)).step is Step.OPENED


async def test_an_imp_uid_alone_tells_nobody_how_it_ended(gate: Gate) -> None:
    opened = await gate.open()
    done_url = await gate.pay(opened)
    url = f"{gate.url}/checkout/return/{opened['imp_uid']}"
    for fields in ({}, {"status": "authenticated"}):
        answer = await gate.http.post(url, data=fields, allow_redirects=False)
        assert answer.status == 400
        assert "김나루" not in await answer.text()
        assert "proof" not in str(answer.headers)
    for bad in ("", "x", "0" * 64, done_url.rsplit("=", 1)[1][:-1] + "g", "한글", "%00"):
        bad_url = f"{gate.url}/checkout/done/{opened['imp_uid']}?proof={bad}"
        assert (await gate.http.get(bad_url)).status == 404
        assert (await gate.result(opened, token=bad))["state"] == "unknown"


@pytest.mark.fault("B1_WD")
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00",
        b"a=%00",
        b"status=%ff%fe",
        b"a=1&" * 500,
        b"x" * 70_000,
        b"signature=" + b"a" * 60_000,
        b'{"status":"authenticated"}',
    ],
)
async def test_garbage_is_no_return(gate: Gate, raw: bytes) -> None:
    opened = await gate.open()
    url = f"{gate.url}/checkout/return/{opened['imp_uid']}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    assert (await gate.http.post(url, data=raw, headers=headers)).status == 400
    assert (await gate.payment(opened)).step is Step.OPENED


@pytest.mark.parametrize("imp_uid", ["imp_1", "imp_999999999999", "%00", "%ff", "x" * 500, "..%2f"])
async def test_a_return_for_nothing_is_a_page_that_says_so(gate: Gate, imp_uid: str) -> None:
    for path in ("return", "done", "window", "enter"):
        url = URL(f"{gate.url}/checkout/{path}/{imp_uid}?token=x&proof=x", encoded=True)
        answer = await gate.http.get(url)
        assert answer.status == 404
        assert answer.headers["Content-Type"].startswith(("text/html", "text/plain"))


async def test_a_return_by_get_is_read_from_the_query(gate: Gate) -> None:
    opened = await gate.open()
    form = await gate.authenticate(opened)
    answer = await gate.http.get(
        f"{form['action']}?{urlencode(form['fields'])}", allow_redirects=False
    )

    assert answer.status == 303
    assert (await gate.payment(opened)).step is Step.PAID


async def test_a_buyer_who_cancels_at_the_pg_is_told_in_the_pgs_words(gate: Gate) -> None:
    opened = await gate.open()
    answer = await gate.come_back(await gate.authenticate(opened, "/cancel"))

    facts = await facts_of(gate, answer.headers["Location"])
    payment = await gate.payment(opened)
    assert payment.step is Step.FAILED
    assert facts["result"]["success"] is False
    assert facts["result"]["error_msg"] == payment.fail_reason
    assert facts["result"]["error_code"] == payment.fail_code


async def test_a_refused_card_shows_the_reason(gate: Gate) -> None:
    opened = await gate.open({"amount": 900_001})
    done_url = await gate.pay(opened)

    facts = await facts_of(gate, done_url)
    assert facts["result"]["success"] is False
    assert (await gate.payment(opened)).step is Step.FAILED
    async with gate.http.get(done_url) as answer:
        assert facts["result"]["error_msg"] in await answer.text()


@pytest.mark.fault("C4_LR")
async def test_a_closed_connection_does_not_stop_an_approval(gate: Gate) -> None:
    opened = await gate.open({"amount": 900_012})  # the PG answers late
    form = await gate.authenticate(opened)
    parts = urlsplit(form["action"])
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    raw = urlencode(form["fields"]).encode()
    writer.write(
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(raw)}\r\n\r\n".encode()
        + raw
    )
    async with asyncio.timeout(8):
        while (await gate.payment(opened)).step is Step.OPENED:
            await asyncio.sleep(0.01)
        assert not reader.at_eof()
        writer.transport.abort()  # the buyer closes the window while the PG is being asked
        assert (await gate.payment(opened)).step is Step.APPROVING
        while (await gate.payment(opened)).step is not Step.PAID:
            await asyncio.sleep(0.02)


@pytest.mark.promise("P12")
async def test_an_unknown_outcome_says_do_not_pay_again_and_later_the_truth(gate: Gate) -> None:
    opened = await gate.open({"amount": 900_015})  # approved, and the connection is cut
    done_url = await gate.pay(opened)

    async with gate.http.get(done_url) as answer:
        html = await answer.text()
    assert "다시 결제하지 마세요" in html
    assert await gate.result(opened) == {"state": "checking", "result": None, "redirect_url": None}
    assert (await gate.abandon(opened))["state"] == "checking"
    assert (await gate.payment(opened)).step is Step.APPROVING


@pytest.mark.parametrize(
    ("generation", "pg", "flag"),
    [("old", "kcp", ["true"]), ("new", "kcp", ["true"]), ("new", "tosspayments", None)],
)
async def test_a_redirect_ends_at_the_return_address_with_its_query_kept(
    gate: Gate, generation: str, pg: str, flag: list[str] | None
) -> None:
    opened = await gate.open(
        {"pg": pg, "m_redirect_url": "http://localhost:7001/done?cart=7&x=%EA%B0%80#top"},
        surface="mobile",
        generation=generation,
    )
    assert opened["mode"] == "redirect"
    done_url = await gate.pay(opened)
    async with gate.http.get(done_url, allow_redirects=False) as answer:
        assert answer.status == 302
        location = answer.headers["Location"]

    assert location.startswith("http://localhost:7001/done?cart=7&x=%EA%B0%80&imp_uid=imp_")
    assert location.endswith("#top")
    query = parse_qs(urlsplit(location).query)
    assert query["imp_uid"] == [opened["imp_uid"]]
    assert query["merchant_uid"] == [opened["merchant_uid"]]
    assert query.get("imp_success") == flag
    assert "error_msg" not in query


async def test_a_failed_redirect_names_the_reason(gate: Gate) -> None:
    opened = await gate.open(
        {"m_redirect_url": "http://localhost:7001/done", "amount": 900_001}, surface="mobile"
    )
    done_url = await gate.pay(opened)
    async with gate.http.get(done_url, allow_redirects=False) as answer:
        query = parse_qs(urlsplit(answer.headers["Location"]).query)

    payment = await gate.payment(opened)
    assert query["imp_success"] == ["false"]
    assert query["error_code"] == [payment.fail_code]
    assert query["error_msg"] == [payment.fail_reason]


async def test_a_redirect_without_an_address_ends_on_a_page_of_ours(gate: Gate) -> None:
    opened = await gate.open(surface="mobile")
    done_url = await gate.pay(opened)
    async with gate.http.get(done_url) as answer:
        html = await answer.text()

    assert "결제가 완료되었습니다." in html
    assert "1,004원" in html


async def test_paypal_on_a_pc_names_the_return_address(gate: Gate) -> None:
    opened = await gate.open(
        {"pg": "paypal", "amount": "12.50", "m_redirect_url": "http://localhost:7001/done"},
        mode="popup",
    )
    assert opened["mode"] == "popup"
    facts = await facts_of(gate, await gate.pay(opened))

    assert facts["redirect_url"].startswith("http://localhost:7001/done?imp_uid=imp_")
    assert facts["mode"] == "popup"


async def test_entering_twice_and_after_the_end(gate: Gate) -> None:
    opened = await gate.open()
    first, second = await gate.enter(opened), await gate.enter(opened)
    assert first == second  # Back and refresh meet the same window of the PG
    done_url = await gate.pay(opened)

    for name in ("window", "enter"):
        url = opened["window_url"].replace("/window/", f"/{name}/")
        async with gate.http.get(url, allow_redirects=False) as answer:
            assert answer.status == 303
            assert answer.headers["Location"] == done_url


async def test_a_pg_that_cannot_open_its_window_is_a_failed_payment(own_gate: Gate) -> None:
    opened = await own_gate.open()
    async with own_gate.house.gateway.store.direct() as session:
        await session.channels.change_settings(
            own_gate.house.channel.id, {"url": "http://127.0.0.1:9", "secret": "s" * 32}
        )
    url = opened["window_url"].replace("/window/", "/enter/")
    async with own_gate.http.get(url, allow_redirects=False) as answer:
        assert answer.status == 303
        done_url = answer.headers["Location"]

    facts = await facts_of(own_gate, done_url)
    assert facts["result"]["success"] is False
    assert facts["result"]["error_msg"]
