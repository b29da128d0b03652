"""The page at /docs: whole, of this gateway alone, and useful to whoever opens it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import async_playwright, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from naru.rest import operations, reference
from naru.rest.envelope import Answer, success
from naru.rest.openapi import document
from naru.rest.reference import words
from tests.rest.conftest import serving

BROWSER = os.environ.get("NARU_CHROMIUM", "")


async def _bank(request: Request) -> JSONResponse:
    """What the door would answer, to whoever carries the token."""
    if request.headers.get("authorization") != "t" * 40:
        return JSONResponse({"code": -1, "message": "Unauthorized", "response": None}, 401)
    answer: Answer = success({"code": request.path_params["code"], "name": "국민은행"})
    return JSONResponse(json.loads(answer.body))


async def _sign_in(request: Request) -> JSONResponse:
    form = dict(re.findall(r"(\w+)=(\w*)", (await request.body()).decode()))
    if form != {"imp_key": "key", "imp_secret": "secret"}:
        return JSONResponse({"code": -1, "message": "wrong", "response": None}, 401)
    response = {"access_token": "t" * 40, "now": 1, "expired_at": 1801}
    return JSONResponse({"code": 0, "message": None, "response": response})


@pytest_asyncio.fixture(loop_scope="session")
async def address() -> AsyncIterator[str]:
    def app(here: str) -> Any:
        return Starlette(
            routes=[
                *reference.routes(operations(), here),
                Route("/banks/{code}", _bank),
                Route("/users/getToken", _sign_in, methods=["POST"]),
            ]
        )

    async with serving(app) as here:
        yield here


async def test_the_document_is_served_as_it_is(address: str) -> None:
    async with aiohttp.ClientSession() as http, http.get(address + "/openapi.json") as answer:
        assert answer.content_type == "application/json"
        assert await answer.json() == document(operations(), address)


def found_by(html: str, asked: str) -> set[str]:
    """What the page's search leaves: the ids of articles in whose text every word is."""
    texts = re.findall(r'<article(?: id="([^"]+)")? data-find="([^"]*)"', html)
    return {
        each or "webhooks"
        for each, text in texts
        if all(word in unescape(text).lower() for word in asked.lower().split())
    }


async def test_the_words_that_shops_use_find_the_operation(address: str) -> None:
    async with aiohttp.ClientSession() as http, http.get(address + "/docs") as answer:
        html = await answer.text()
    for asked, wanted in {
        "정기결제": {"post_subscribe_payments_schedule", "post_subscribe_payments_again"},
        "구독 해지": {"post_subscribe_payments_unschedule"},
        "환불": {"post_payments_cancel"},
        "부분환불": {"post_payments_cancel"},
        "웹훅": {"webhooks", "get_payments_by_imp_uid"},
        "무통장입금": {"post_vbanks"},
        "사전검증": {"post_payments_prepare"},
        "토큰": {"post_users_getToken"},
        "바코드": {"post_cvs"},
    }.items():
        assert wanted <= found_by(html, asked), asked
    assert found_by(html, "그런 말은 없다") == set()


def test_every_section_and_every_word_is_of_something_that_there_is() -> None:
    served = {f"{each.method} {each.path}" for each in operations()}
    assert set(words.OF_OPERATION) <= served
    assert set(words.OF_TAG) == {each.tag for each in operations()}


async def test_the_page_tells_every_operation_and_fetches_nothing_from_elsewhere(
    address: str,
) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(address + "/docs") as answer:
            html = await answer.text()
            policy = answer.headers["Content-Security-Policy"]
        files = [
            await (await http.get(address + f"/docs/page.{kind}")).text() for kind in ("css", "js")
        ]
    for each in operations():
        assert f"<code>{each.path}</code>" in html
        assert each.summary in html
    # The whole of what has only parts that may be missing is wanted, and asked for part by part.
    shipment = html.partition('id="post_escrows_logis_by_imp_uid"')[2].partition("<article")[0]
    assert '<code>sender</code> <b class="needed">' in shipment
    assert "<code>sender[name]</code></td>" in shipment
    assert 'name="sender[name]"' in shipment
    assert 'name="sender"' not in shipment
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    fetched = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', html)
    assert fetched == ["/docs/page.css", "/docs/page.js"]
    assert not re.search(r"https?://|@import|url\(", files[0])
    assert "http" not in files[1].replace("HTTP ", "")


@pytest.mark.skipif(not BROWSER, reason="NARU_CHROMIUM names no browser")
async def test_a_reader_searches_and_tries_an_operation(address: str) -> None:
    async with async_playwright() as play:
        browser = await play.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        page = await browser.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        await page.goto(address + "/docs")
        await page.fill("#search", "banks 은행")
        assert await page.locator("article[data-find]:visible").count() == 2
        one = page.locator("#get_banks_by_bank_standard_code")
        await one.locator(".try > summary").click()
        await one.locator("input[name=bank_standard_code]").fill("004")
        await one.locator("button").click()
        assert "토큰" in (await one.locator("output").text_content() or "")
        await page.fill("#sign-in input[name=imp_key]", "key")
        await page.fill("#sign-in input[name=imp_secret]", "secret")
        await page.click("#sign-in button")
        await expect(page.locator("#sign-in output")).not_to_be_empty()
        await one.locator("button").click()
        await expect(one.locator("output")).to_contain_text("200")
        assert "국민은행" in (await one.locator("output").text_content() or "")
        assert "curl -X GET" in (await one.locator(".curl").text_content() or "")
        await page.fill("#search", "웹훅")
        await expect(page.locator("#webhooks article")).to_be_visible()
        await expect(page.locator("#get_payments_by_imp_uid")).to_be_visible()
        await page.fill("#search", "no such thing")
        await expect(page.locator("#webhooks")).to_be_hidden()
        assert await page.locator("#none").is_visible()
        assert said == []
        # On a phone nothing is wider than the screen.
        await page.set_viewport_size({"width": 360, "height": 740})
        await page.reload()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        await browser.close()


@pytest.mark.skipif(not BROWSER, reason="NARU_CHROMIUM names no browser")
async def test_on_a_phone_what_is_found_is_seen_and_leads_there(address: str) -> None:
    async with async_playwright() as play:
        browser = await play.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        page = await browser.new_page(viewport={"width": 360, "height": 740})
        await page.goto(address + "/docs")
        hits = page.locator("#contents li:visible")
        await expect(hits).to_have_count(0)
        await page.fill("#search", "banks 은행")
        await expect(hits).to_have_count(2)
        await hits.last.click()
        await expect(hits).to_have_count(0)
        await expect(page.locator("#get_banks_by_bank_standard_code h3")).to_be_in_viewport()
        await page.fill("#search", "")
        await expect(hits).to_have_count(0)
        await browser.close()
