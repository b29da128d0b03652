"""The address of IMP.naver_zzim: where the PG keeps wish lists. Nothing is kept here.

As with payments, the browser's own Origin header says which site asks. Source: SDK facts §2.
"""

from __future__ import annotations

import logging

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from naru.checkout.read_request import BODY_BYTES_MAX, read_asked, read_channel_words
from naru.checkout.returns import read_body
from naru.checkout.routes import ANYONE, TOO_OFTEN, Door, Pace, is_origin, json_for
from naru.connectors import Can
from naru.domain.channel import choose_channel
from naru.domain.errors import BadRequest, PgBusy, PgRefused, Refused
from naru.domain.limit import stranger
from naru.domain.merchant import allows_page
from naru.domain.outcome import Declined
from naru.domain.wish import read_wishes
from naru.payments.gateway import Gateway
from naru.store import StoreUnavailable

log = logging.getLogger("naru.checkout")

# i'mport's own words for another PG (SDK facts §2).
ANOTHER_PG = "네이버페이 주문형으로 다시 시도해주세요."
WISHING = "naverco"


def routes(gateway: Gateway, pace: Pace) -> list[Route]:
    """The one address of wish lists."""
    return [Route("/checkout/wishes", _Wishes(gateway, pace).open, methods=["POST"])]


class _Wishes(Door):
    async def open(self, request: Request) -> Response:
        """`POST /checkout/wishes`: where this person's browser may wish for these products."""
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
            wishes = read_wishes(asked.param.get("naverProducts"))
            channel_key, pg = read_channel_words(asked.param)
            channel = choose_channel(channels, channel_key=channel_key, pg=pg or WISHING)
            connector = self._gateway.connector_of(channel)
            if channel.pg_code != WISHING or Can.KEEP_WISHES not in connector.can:
                raise BadRequest(ANOTHER_PG)
            if channel.test and not merchant.allow_test_channels:
                raise BadRequest(ANOTHER_PG)
            with self._gateway.pg_load.asking(channel.id):
                plan = await connector.open_wishes(channel, wishes)
            if isinstance(plan, Declined):
                raise PgRefused(plan.code, plan.message)
        except StoreUnavailable:
            log.error("the database cannot be reached")
            return _refusal("지금은 찜할 수 없습니다. 잠시 후 다시 시도해주세요.", 503, 5)
        except ClientDisconnect:
            return Response(status_code=400)
        except PgBusy as busy:
            return _refusal(busy.sentence, 503, 5)
        except Refused as refused:
            return _refusal(refused.sentence, 400)
        return json_for({"url": plan.url}, origin)


def _refusal(sentence: str, status: int, wait: int | None = None) -> Response:
    # It holds nothing but the asker's own words, so every page may read it.
    answer = json_for({"error_msg": sentence}, ANYONE, status)
    if wait is not None:
        answer.headers["Retry-After"] = str(wait)
    return answer
