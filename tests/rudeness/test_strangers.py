"""Another merchant, a stranger's page, a neighbour with a forged webhook: none of them learns or moves
anything that is not theirs."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from standardwebhooks import Webhook

from naru.cli import fresh, seed
from naru.domain.ids import hash_secret
from tests.rudeness.thief import Thief, Window, new_order
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")


@dataclass
class Rival:
    """Another merchant of the same gateway."""

    token: str
    user_code: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def rival(parties: Parties, thief: Thief) -> AsyncIterator[Rival]:
    key, secret, code = (secrets.token_hex(8) for _ in range(3))
    async with parties.store.begin() as session:
        merchant_id = await session.merchants.add(
            "옆집", [f"imp{code}"], live=False, webhook_secret=fresh.webhook_secret()
        )
        await session.merchants.add_key(merchant_id, key, hash_secret(secret))
    pair = {"imp_key": key, "imp_secret": secret}
    async with parties.http.post(f"{parties.gateway}/users/getToken", json=pair) as answer:
        yield Rival((await answer.json())["response"]["access_token"], f"imp{code}")


@pytest.mark.promise("P10")
async def test_another_merchant_hears_of_a_payment_what_it_hears_of_nothing(
    thief: Thief, rival: Rival
) -> None:
    window = await thief.pay()
    nothing = "imp_000000000000"

    async def told(method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
        status, envelope = await thief.rest(method, path, body, token=rival.token)
        text = json.dumps(envelope).replace(window.imp_uid, nothing)
        return status, text.replace(window.merchant_uid, "nobody")

    for path in (
        "/payments/{imp}",
        "/payments/{imp}/balance",
        "/payments?imp_uid[]={imp}",
        "/payments?merchant_uid[]={order}",
        "/payments/find/{order}",
        "/payments/find/{order}/paid",
        "/payments/findAll/{order}",
        "/payments/findAll/{order}/paid",
        "/payments/prepare/{order}",
    ):
        theirs = path.format(imp=window.imp_uid, order=window.merchant_uid)
        none = path.format(imp=nothing, order="nobody")
        assert await told("GET", theirs) == await told("GET", none), path
    for status in ("all", "paid", "ready"):
        _, page = await thief.rest("GET", f"/payments/status/{status}", token=rival.token)
        assert page["response"]["total"] == 0
    for body in (
        {"imp_uid": window.imp_uid},
        {"merchant_uid": window.merchant_uid},
        {"imp_uid": window.imp_uid, "merchant_uid": "x", "amount": 1},
        {"imp_uid": [window.imp_uid]},
    ):
        none_body = json.loads(
            json.dumps(body).replace(window.imp_uid, nothing).replace(window.merchant_uid, "nobody")
        )
        assert await told("POST", "/payments/cancel", body) == await told(
            "POST", "/payments/cancel", none_body
        )
    assert await told("DELETE", f"/vbanks/{window.imp_uid}") == await told(
        "DELETE", f"/vbanks/{nothing}"
    )
    assert await thief.status(window.imp_uid) == "paid"


async def test_another_merchant_cannot_open_a_window_on_our_channel(
    thief: Thief, rival: Rival
) -> None:
    async with thief.http.get(f"{thief.parties.gateway}/users/pg/{seed.USER_CODES[0]}") as answer:
        ours = (await answer.json())["data"][0]
    for words in ({"channelKey": ours["channel_key"]}, {"pg": f"{ours['pg_provider']}"}):
        status, told = await thief.try_open(words, user_code=rival.user_code)
        # It has allowed no page at all; and a page that it allows would find no channel.
        assert (status, told["error"]["imp_uid"]) == (403, None)


async def test_the_secret_of_one_window_opens_no_other(thief: Thief) -> None:
    one, other = await thief.open(), await thief.open()
    proof_of_one = (await thief.bring_back(one.imp_uid, await thief.prove(one)))[1].split("proof=")[
        1
    ]
    guesses = ["", "x", one.token, proof_of_one, other.token[:-1], other.token + "a", "\ud800"]
    for guess in guesses:
        try_text = guess.encode("utf-8", "replace").decode()
        assert (await thief.result(other.imp_uid, try_text))[0] == 404
        assert (await thief.abandon(other.imp_uid, guess))[0] in (400, 404)
        for page in ("window", "enter", "done"):
            async with thief.http.get(
                f"{thief.parties.gateway}/checkout/{page}/{other.imp_uid}",
                params={"token": try_text, "proof": try_text},
                allow_redirects=False,
            ) as answer:
                assert answer.status == 404
    # A proof of the done page reads a result; it does not close a window.
    assert (await thief.abandon(one.imp_uid, proof_of_one))[0] == 404
    assert (await thief.abandon(other.imp_uid, [other.token]))[0] == 400
    assert await thief.status(other.imp_uid) == "ready"


async def test_who_knows_only_the_number_of_a_payment_learns_nothing(thief: Thief) -> None:
    """After the end as well: without the PG's word, a return leads nobody to the result."""
    window = await thief.open()
    proof = await thief.prove(window)
    await thief.bring_back(window.imp_uid, proof)
    for fields in ({}, {"status": "failed"}, proof | {"signature": "0" * 64}, {"mid": "x"}):
        assert await thief.bring_back(window.imp_uid, fields) == (400, "")


async def test_a_page_of_a_stranger_opens_nothing(parties: Parties, thief: Thief) -> None:
    async with parties.merchant_with(
        allowed_origins=("https://shop.example",),
        allowed_return_origins=("https://shop.example",),
        allowed_webhook_origins=("https://shop.example",),
    ):
        for origin in (
            "https://evil.example",
            "https://shop.example.evil.example",
            "https://shop.example:8443",
            "http://shop.example",
            "https://shop.example/",
            "https://SHOP.example",
            "null",
            "https://shop.example, https://evil.example",
            "https://evil.example https://shop.example",
            thief.origin,
        ):
            status, told = await thief.try_open(origin=origin)
            assert (status, told["error"]["imp_uid"]) == (403, None), origin
        for name, address in (
            ("m_redirect_url", "https://evil.example/"),
            ("m_redirect_url", "javascript:alert(1)"),
            ("m_redirect_url", "https://shop.example@evil.example/"),
            ("m_redirect_url", "https://shop.example\\@evil.example/"),
            ("m_redirect_url", "//evil.example/"),
            ("m_redirect_url", "https:evil.example"),
            ("m_redirect_url", "https://shop.example\r\nSet-Cookie:a=b"),
            ("notice_url", "http://169.254.169.254/latest/meta-data"),
            ("notice_url", ["https://shop.example/a", "https://evil.example/b"]),
            ("confirm_url", "https://evil.example/"),
            ("app_scheme", "intent"),
            ("app_scheme", "javascript"),
        ):
            status, told = await thief.try_open({name: address}, origin="https://shop.example")
            assert (status, told["error"]["imp_uid"]) == (400, None), address
            assert told["redirect_url"] is None


async def test_a_result_is_readable_by_the_page_that_opened_it_and_by_no_other(
    thief: Thief,
) -> None:
    window = await thief.pay()
    address = f"{thief.parties.gateway}/checkout/payments/{window.imp_uid}/result"
    for origin in ("https://evil.example", "null", thief.origin):
        async with thief.http.get(
            address, params={"token": window.token}, headers={"Origin": origin}
        ) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == thief.origin
            assert "Access-Control-Allow-Credentials" not in answer.headers
            assert answer.headers["Cache-Control"] == "no-store"


async def test_a_live_merchant_takes_no_play_money(parties: Parties, thief: Thief) -> None:
    early = await thief.open()
    async with parties.merchant_with(live=True, allow_test_channels=False):
        status, told = await thief.try_open()
        assert (status, told["error"]["imp_uid"]) == (400, None)
    assert await thief.status(early.imp_uid) == "ready"


@pytest.mark.fault("E1_WD")
@pytest.mark.promise("P21")
async def test_the_shop_believes_no_webhook_that_the_gateway_did_not_sign(
    parties: Parties, thief: Thief
) -> None:
    order, price = await thief.order()
    window = await thief.open({"merchant_uid": order, "amount": price})
    body = json.dumps({"imp_uid": window.imp_uid, "merchant_uid": order, "status": "paid"})

    async def tell(headers: dict[str, str]) -> int:
        async with thief.http.post(
            f"{parties.shop}/payments/webhook",
            data=body.encode(),
            headers={"Content-Type": "application/json"} | headers,
        ) as answer:
            return answer.status

    from datetime import UTC, datetime

    now = datetime.now(UTC)
    signed = Webhook(fresh.webhook_secret()).sign("msg_1", now, body)
    stamp = str(int(now.timestamp()))
    forged = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": signed}
    for headers in (
        {},
        forged,
        forged | {"webhook-signature": "v1,"},
        forged | {"webhook-signature": "v1a,AAAA v2,BBBB"},
        forged | {"webhook-timestamp": "0"},
        forged | {"webhook-timestamp": "nan"},
    ):
        assert await tell(headers) == 401
    async with parties.store.direct() as session:
        case = await session.payments.case(window.imp_uid)
    assert case is not None
    assert case.merchant.webhook_secret is not None
    # Truly signed and untrue: the shop asks the gateway, and the gateway says ready.
    true = Webhook(case.merchant.webhook_secret.split()[0]).sign("msg_2", now, body)
    assert await tell(forged | {"webhook-id": "msg_2", "webhook-signature": true}) == 503
    assert parties.order(order).status == "placed"


async def test_an_access_token_is_found_in_one_place_and_never_guessed(thief: Thief) -> None:
    window = await thief.pay()
    good = thief.access_token
    for guess in ("", "x", good[:-1], good + "0", good.upper(), f"Bearer {good} x", "Bearer"):
        status, told = await thief.rest("GET", f"/payments/{window.imp_uid}", token=guess or " ")
        assert (status, told["response"]) == (401, None), guess


@pytest.mark.promise("P19")
async def test_nothing_secret_is_said_in_any_log(parties: Parties, thief: Thief) -> None:
    window: Window = await thief.open()
    proof = await thief.prove(window)
    await thief.bring_back(window.imp_uid, proof)
    await thief.bring_back(window.imp_uid, proof | {"signature": "f" * 64})
    await thief.rest("POST", "/users/getToken", {"imp_key": "k", "imp_secret": "canary-secret"})
    secrets_said = [window.token, proof["auth_token"], thief.access_token, seed.IMP_SECRET]
    secrets_said += ["canary-secret"]
    async with parties.store.direct() as session:
        for merchant in await session.merchants.all():
            channels = await session.channels.of_merchant(merchant.id)
            secrets_said += [channel.settings["secret"] for channel in channels]
    for name, text in parties.logs().items():
        assert not [each for each in secrets_said if each in text], name
        assert "Traceback" not in text, name


async def test_the_time_of_an_answer_does_not_tell_whether_a_payment_exists(
    thief: Thief, rival: Rival
) -> None:
    """Not a statistic, only a net for a sleep or a retry on one of the two ways."""
    window = await thief.pay({"merchant_uid": new_order()})

    async def seconds(imp_uid: str) -> float:
        began = time.perf_counter()
        await thief.rest("GET", f"/payments/{imp_uid}", token=rival.token)
        return time.perf_counter() - began

    theirs = sorted([await seconds(window.imp_uid) for _ in range(30)])[15]
    nobody = sorted([await seconds("imp_000000000000") for _ in range(30)])[15]
    assert abs(theirs - nobody) < 0.02
    await asyncio.sleep(0)
