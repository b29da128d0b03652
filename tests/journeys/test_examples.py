"""The examples of V1 that no server asks for: callbacks, redirects, webhooks, questions to the merchant.

Their rows stand in tests/contract/v1_examples.jsonl with the others: of what was said the kind of every value (`sent`: by
the gateway), and in `says` the words that clients compare. Each is played at the running parties, as the SDK and a PG's
page do it; that the SDK hands a result on as it is, a browser proves in test_pg_codes.py.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import pytest_asyncio

from naru.domain.pg_profile import profile
from tests.contract.test_examples import ROWS, unlike
from tests.journeys.test_pg_codes import authenticate, open_window, param_for, told
from tests.sandbox.stage import Json
from tests.support.parties import Parties
from tests.support.receiver import Receiver, receiving

pytestmark = pytest.mark.asyncio(loop_scope="session")

NATIVE = "http://detectchangingwebview/iamport/a"


@dataclass
class Stage:
    """The parties, and a merchant's server that hears webhooks and is asked."""

    parties: Parties
    server: Receiver

    def param(self, pg: str, **changes: Any) -> Json:
        given = param_for(profile(pg), **changes)
        return {name: value for name, value in given.items() if value is not None}

    async def ask(self, pg: str, *, new: bool = False, mobile: bool = False, **changes: Any) -> Any:
        """What the gateway says to a window that is asked for: HTTP status and body."""
        return await open_window(
            self.parties,
            self.param(pg, **changes),
            surface="mobile" if mobile else "pc",
            generation="new" if new else "old",
        )

    async def open(self, pg: str, **how: Any) -> Json:
        status, opened = await self.ask(pg, **how)
        assert status == 200, opened
        return opened

    async def refused(self, pg: str, **how: Any) -> Json:
        """The callback's object when no payment came to exist."""
        status, answer = await self.ask(pg, **how)
        assert status == 400
        error: Json = answer["error"]
        return error

    async def called_back(self, pg: str, **how: Any) -> Json:
        """The callback's object after the buyer authenticated."""
        opened = await self.open(pg, **how)
        await authenticate(self.parties, opened)
        result: Json = (await told(self.parties, opened))["result"]
        return result

    async def given_up(self, opened: Json) -> Json:
        """The buyer closes the window: how it then ended."""
        url = f"{self.parties.gateway}/checkout/payments/{opened['imp_uid']}/abandon"
        body = json.dumps({"token": opened["token"], "reason": "closed"})
        headers = {"Origin": self.parties.shop, "Content-Type": "text/plain;charset=UTF-8"}
        async with self.parties.http.post(url, data=body, headers=headers) as answer:
            ended: Json = await answer.json()
            return ended

    async def heard(self, pg: str = "kcp", **how: Any) -> Json:
        """A payment whose webhook has come to the merchant's server."""
        result = await self.called_back(pg, notice_url=f"{self.server.url}/hook", **how)
        await self.server.wait_for(1)
        return result

    async def press(self, path: str, body: Json) -> None:
        """Somebody's click on a page of the sandbox PG."""
        async with self.parties.http.post(
            f"{self.parties.sandbox}{path}", json=body, headers={"Origin": self.parties.sandbox}
        ) as answer:
            assert answer.status == 200, await answer.text()


@pytest_asyncio.fixture(loop_scope="session")
async def stage(parties: Parties) -> AsyncIterator[Stage]:
    async with receiving() as server:
        yield Stage(parties, server)


async def _channels(stage: Stage) -> Any:
    async with stage.parties.http.get(f"{stage.parties.gateway}/users/pg/imp00000000") as answer:
        return await answer.json()


async def _paid_already(stage: Stage) -> Any:
    paid = await stage.called_back("kakaopay")
    return await stage.refused("kakaopay", merchant_uid=paid["merchant_uid"])


async def _closed(stage: Stage) -> Any:
    return (await stage.given_up(await stage.open("kakaopay")))["result"]


async def _landed(stage: Stage, pg: str, new: bool = False) -> Any:
    opened = await stage.open(pg, mobile=True, new=new)
    return dict(parse_qsl(urlsplit(await authenticate(stage.parties, opened)).query))


async def _landed_in_app(stage: Stage) -> Any:
    ended = await stage.given_up(await stage.open("kcp", mobile=True, m_redirect_url=NATIVE))
    assert ended["redirect_url"].startswith(f"{NATIVE}?")
    return dict(parse_qsl(urlsplit(ended["redirect_url"]).query))


async def _webhook_of_form(stage: Stage) -> None:
    async with stage.parties.merchant_with(webhook_format="form"):
        await stage.heard()


async def _webhook_of_cancel(stage: Stage) -> None:
    paid = await stage.heard()
    stage.server.told.clear()
    await stage.parties.kit.cancel(imp_uid=paid["imp_uid"], enable_webhook=True)


async def _webhook_of_key(stage: Stage) -> None:
    result = await stage.heard(
        "tosspay_v2", new=True, customer_uid=f"buyer-{secrets.token_hex(6)}", customer_id="id-1"
    )
    assert "customer_uid" in result


async def _webhook_of_escrow(stage: Stage) -> None:
    paid = await stage.heard("html5_inicis", pay_method="trans", escrow=True)
    await stage.parties.kit.register_shipment(
        paid["imp_uid"],
        sender={"name": "나루 상점"},
        receiver={"name": "홍길동"},
        company="CJGLS",
        invoice="1728384716123",
        sent_at=datetime.now(UTC),
    )
    [_, shipped] = await stage.server.wait_for(2)
    assert json.loads(shipped.body)["extra"].keys() == {"escrow_status", "changed_at"}
    assert json.loads(shipped.body)["extra"]["escrow_status"] == "2"
    stage.server.told.clear()
    tid = (await stage.parties.kit.payment(paid["imp_uid"])).pg_tid
    await stage.press(
        f"/escrow/{tid}/decision", {"decision": "rejected", "reason": "구매 거절 사유"}
    )


async def _asked_to_confirm(stage: Stage) -> None:
    stage.server.answers, stage.server.text = [500], '{"reason": "재고 부족"}'
    result = await stage.called_back("kcp", confirm_url=f"{stage.server.url}/confirm")
    payment = await stage.parties.kit.payment(result["imp_uid"])
    words = "고객사 요청에 의해 결제를 중단합니다. (상세사유 : 재고 부족)"
    assert (payment.status, payment.fail_reason, result["error_msg"]) == ("failed", words, words)


async def _asked_at_the_till(stage: Stage) -> None:
    kit = stage.parties.kit
    [galaxia] = [each for each in await kit.pg_settings() if each.pg_provider == "galaxia"]
    order = f"till{secrets.token_hex(6)}"
    confirm = f"{stage.server.url}/confirm"
    ready = await kit.issue_barcode(
        order, 1004, channel_key=galaxia.channel_key, confirm_url=confirm
    )
    await stage.press("/till/payments", {"barcode": ready.vbank_num, "pay_type": "card"})


Play = Callable[[Stage], Awaitable[Any]]
_TWICE = {"from": "20230101", "to": "20230301", "interval": "1m"}
PLAYS: dict[int, Play] = {
    43: _channels,
    44: lambda stage: stage.called_back("kakaopay"),
    45: _paid_already,
    46: lambda stage: stage.called_back("kcp"),
    47: lambda stage: stage.called_back("html5_inicis", pay_method="kakaopay"),
    48: _closed,
    49: lambda stage: stage.called_back("tosspayments", new=True),
    50: lambda stage: stage.refused("nice_v2", new=True, pay_method="vbank"),
    51: lambda stage: _landed(stage, "daou"),
    52: _landed_in_app,
    53: lambda stage: _landed(stage, "tosspayments", new=True),
    54: lambda stage: stage.heard(),
    55: _webhook_of_form,
    56: _webhook_of_cancel,
    57: _webhook_of_key,
    58: _webhook_of_escrow,
    59: _asked_to_confirm,
    60: _asked_at_the_till,
    61: lambda stage: stage.refused("welcome", new=True, period=_TWICE),
    # What a merchant has no contract for is refused by the PG; here, before it is asked.
    62: lambda stage: stage.refused("tosspayments", new=True, pay_method="pinpay"),
}
PLAYED = [row for row in ROWS if "ask" not in row]


@pytest.mark.parametrize("row", PLAYED, ids=lambda row: f"{row['number']}-{row['operation']}")
async def test_an_example_of_v1_is_played_as_then(stage: Stage, row: dict[str, Any]) -> None:
    said = await PLAYS[row["number"]](stage)
    if "sent" in row:
        [sent] = await stage.server.wait_for(1)
        assert sent.headers["Content-Type"] == row["content_type"]
        is_form = row["content_type"].endswith("urlencoded")
        said = dict(parse_qsl(sent.body.decode())) if is_form else json.loads(sent.body)
        # A webhook is compared by its keys as well: nobody reads what was not agreed.
        assert said.keys() == row["sent"].keys()
    assert unlike(row.get("sent", row.get("response")), said, "response") == []
    assert {name: said[name] for name in row["says"]} == row["says"]
