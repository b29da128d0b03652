"""Where pages of a PG are that are no payment's window: wish lists (IMP.naver_zzim), the wallet of
BrandPay (IMP.loadModule). Nothing is kept here, and what a person does there is between them and the PG.

As with payments, the browser's own Origin header says which site asks. Source: SDK facts §2, §9.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from naru.checkout.read_request import BODY_BYTES_MAX, read_asked, read_channel_words
from naru.checkout.returns import read_body
from naru.checkout.routes import ANYONE, TOO_OFTEN, Door, Pace, is_origin, json_for
from naru.connectors import Can
from naru.domain.channel import Channel, choose_channel
from naru.domain.errors import BadRequest, PgBusy, PgRefused, Refused
from naru.domain.limit import stranger
from naru.domain.merchant import allows_page
from naru.domain.outcome import Declined
from naru.domain.window import Redirect
from naru.domain.wish import read_wallet_visit, read_wishes
from naru.payments.gateway import Gateway
from naru.store import StoreUnavailable

log = logging.getLogger("naru.checkout")

# i'mport's own words for another PG (SDK facts §2).
ANOTHER_PG = "네이버페이 주문형으로 다시 시도해주세요."
NO_WALLET = "토스페이먼츠 브랜드페이(toss_brandpay) 채널을 찾을 수 없습니다."

Plan = Callable[[list[Channel], dict[str, Any], str], Awaitable[Redirect | Declined]]


def routes(gateway: Gateway, pace: Pace) -> list[Route]:
    """The addresses of wish lists and of wallets."""
    pages = _Pages(gateway, pace)
    return [
        Route("/checkout/wishes", pages.wishes, methods=["POST"]),
        Route("/checkout/wallets", pages.wallet, methods=["POST"]),
    ]


class _Pages(Door):
    async def wishes(self, request: Request) -> Response:
        """`POST /checkout/wishes`: where this person's browser may wish for these products."""
        return await self._open(request, self._wishes)

    async def wallet(self, request: Request) -> Response:
        """`POST /checkout/wallets`: where this person looks after their wallet of this shop."""
        return await self._open(request, self._wallet)

    async def _wishes(
        self, channels: list[Channel], param: dict[str, Any], origin: str
    ) -> Redirect | Declined:
        wishes = read_wishes(param.get("naverProducts"))
        channel = self._channel(channels, param, "naverco", Can.KEEP_WISHES, ANOTHER_PG)
        with self._gateway.pg_load.asking(channel.id):
            return await self._gateway.connector_of(channel).open_wishes(channel, wishes)

    async def _wallet(
        self, channels: list[Channel], param: dict[str, Any], origin: str
    ) -> Redirect | Declined:
        visit = read_wallet_visit(param, origin)
        channel = self._channel(channels, param, "toss_brandpay", Can.SHOW_WALLET, NO_WALLET)
        with self._gateway.pg_load.asking(channel.id):
            return await self._gateway.connector_of(channel).open_wallet(channel, visit)

    def _channel(
        self, channels: list[Channel], param: dict[str, Any], pg_code: str, power: Can, words: str
    ) -> Channel:
        """The channel that is meant; `words` are the refusal of any other."""
        channel_key, pg = read_channel_words(param)
        channel = choose_channel(channels, channel_key=channel_key, pg=pg or pg_code)
        if channel.pg_code != pg_code or power not in self._gateway.connector_of(channel).can:
            raise BadRequest(words)
        return channel

    async def _open(self, request: Request, plan: Plan) -> Response:
        who = stranger(request.client and request.client.host)
        try:
            if wait := await self._wait(self._pace.openings_of_address, who):
                return _refusal(TOO_OFTEN, 429, wait)
            raw = await read_body(request, BODY_BYTES_MAX)
            if raw is None:
                return _refusal("요청이 너무 큽니다.", 413)
            asked = read_asked(raw)
            merchant, channels = await self._merchant(asked.user_code, asked.tier_code)
            origin = request.headers.get("origin")
            if merchant is None:
                raise BadRequest("등록되지 않은 판매자 코드입니다.")
            if not is_origin(origin) or not allows_page(merchant, origin):
                log.warning("%s: refused a page of %.200r", merchant.user_code, origin)
                return _refusal("이 사이트는 가맹점에 등록된 주소가 아닙니다.", 403)
            if wait := await self._wait(self._pace.openings_of_merchant, str(merchant.id)):
                return _refusal(TOO_OFTEN, 429, wait)
            if not merchant.allow_test_channels:
                channels = [each for each in channels if not each.test]
            page = await plan(channels, asked.param, origin)
            if isinstance(page, Declined):
                raise PgRefused(page.code, page.message)
        except StoreUnavailable:
            log.error("the database cannot be reached")
            return _refusal("지금은 화면을 열 수 없습니다. 잠시 후 다시 시도해주세요.", 503, 5)
        except ClientDisconnect:
            return Response(status_code=400)
        except PgBusy as busy:
            return _refusal(busy.sentence, 503, 5)
        except Refused as refused:
            return _refusal(refused.sentence, 400)
        return json_for({"url": page.url}, origin)


def _refusal(sentence: str, status: int, wait: int | None = None) -> Response:
    # It holds nothing but the asker's own words, so every page may read it.
    answer = json_for({"error_msg": sentence}, ANYONE, status)
    if wait is not None:
        answer.headers["Retry-After"] = str(wait)
    return answer
