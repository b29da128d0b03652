"""The scenario: one complete payment, as shop, buyer and merchant's server live it.

open (the SDK's call) · enter (the gateway asks the PG for its window) · authenticate (at the PG) ·
return (the gateway approves) · result (what the SDK hears) · webhook received · verified by REST.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from naru.bench.load import Answer, BadAnswer, Line, Receiver, Timed
from naru.kit import AsyncClient, Order, Paid, verify_payment

AMOUNT = 64_900
REQUESTS_PER_PAYMENT = 7  # the six below and the webhook
WEBHOOK_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Party:
    """Whom we measure, and the public demo pair to sign in with."""

    gateway: str
    user_code: str
    imp_key: str
    imp_secret: str
    shop_origin: str = "http://127.0.0.1"


@dataclass(slots=True)
class Payments:
    """What complete payments took, and the parts of it."""

    whole: Timed
    answered: Timed  # until the buyer's page knew
    webhooks: Timed  # from that moment until the webhook was there
    last_imp_uid: str = ""
    failures: list[str] = field(default_factory=list)


async def pay_many(party: Party, receiver: Receiver, *, buyers: int, seconds: float) -> Payments:
    """That many buyers, each paying again as soon as they have paid, for so long."""
    whole, answered, webhooks = Timed(0.0), Timed(0.0), Timed(0.0)
    done = Payments(whole, answered, webhooks)
    client = AsyncClient(party.imp_key, party.imp_secret, base_url=party.gateway)
    began = time.perf_counter()

    async def buyer() -> None:
        gateway = Line(party.gateway)
        pgs: dict[str, Line] = {}
        while time.perf_counter() < began + seconds:
            start = time.perf_counter()
            try:
                imp_uid, merchant_uid = await _pay(party, receiver, gateway, pgs)
                known = time.perf_counter()
                told = await asyncio.wait_for(receiver.told(imp_uid), WEBHOOK_SECONDS_MAX)
                payment = await client.payment(imp_uid)
                verdict = verify_payment(
                    payment, Order(merchant_uid, AMOUNT, used_imp_uids=set(), allow_sandbox=True)
                )
                if not isinstance(verdict, Paid):
                    raise BadAnswer(f"verified as {verdict}")
            except (BadAnswer, OSError, TimeoutError) as error:
                done.failures.append(f"{type(error).__name__}: {error}")
                continue
            end = time.perf_counter()
            whole.marks.append(end - start)
            answered.marks.append(known - start)
            webhooks.marks.append(max(0.0, told - known))
            done.last_imp_uid = imp_uid
        gateway.close()
        for line in pgs.values():
            line.close()

    await asyncio.gather(*(buyer() for _ in range(buyers)))
    await client.close()
    whole.seconds = answered.seconds = webhooks.seconds = time.perf_counter() - began
    return done


async def _pay(
    party: Party, receiver: Receiver, gateway: Line, pgs: dict[str, Line]
) -> tuple[str, str]:
    merchant_uid = f"bench-{secrets.token_hex(10)}"
    request = {
        "user_code": party.user_code,
        "tier_code": None,
        "param": {
            "pg": "kakaopay",
            "merchant_uid": merchant_uid,
            "name": "노르웨이 회전 의자",
            "amount": AMOUNT,
            "buyer_name": "홍길동",
            "buyer_tel": "010-4242-4242",
            "notice_url": receiver.url,
        },
        "page_url": f"{party.shop_origin}/order",
        "surface": "pc",
        "mode": "iframe",
        "generation": "old",
        "request_id": f"req_{merchant_uid}",
    }
    headers = {"Origin": party.shop_origin, "Content-Type": "text/plain"}
    opened = _json(
        await gateway.ask("POST", "/checkout/payments", json.dumps(request).encode(), headers), 200
    )
    imp_uid, token = str(opened["imp_uid"]), str(opened["token"])

    entered = await gateway.ask("GET", f"/checkout/enter/{imp_uid}?token={token}")
    window = urlsplit(_location(entered))
    pg_origin = f"{window.scheme}://{window.netloc}"
    pg = pgs.setdefault(pg_origin, Line(pg_origin))
    proven = _json(
        await pg.ask(
            "POST",
            f"{window.path}/wallet",
            b"{}",
            {"Content-Type": "application/json", "Origin": pg_origin},
        ),
        200,
    )
    form = proven["return_form"]
    assert isinstance(form, dict)
    returned = await gateway.ask(
        "POST",
        urlsplit(str(form["action"])).path,
        urlencode(form["fields"]).encode(),
        {"Content-Type": "application/x-www-form-urlencoded", "Origin": pg_origin},
    )
    _location(returned)
    result = _json(
        await gateway.ask("GET", f"/checkout/payments/{imp_uid}/result?token={token}"), 200
    )
    said = result["result"]
    if not isinstance(said, dict) or said.get("success") is not True:
        raise BadAnswer(f"not paid: {said}")
    return imp_uid, merchant_uid


def _json(answer: Answer, status: int) -> dict[str, object]:
    if answer.status != status:
        raise BadAnswer(f"HTTP {answer.status}: {answer.body[:200]!r}")
    read = json.loads(answer.body)
    if not isinstance(read, dict):
        raise BadAnswer("not an object")
    return read


def _location(answer: Answer) -> str:
    if answer.status not in (302, 303) or "location" not in answer.headers:
        raise BadAnswer(f"HTTP {answer.status} where a redirect was due")
    return answer.headers["location"]
