"""The addresses of the buyer's browser: the SDK, a payment's window, its result, its end.

Contract: docs/reference/window-protocol.md. Nothing here trusts the page: which site asks is the
browser's own Origin header, what a payment's page may hear is decided by its window's token.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeGuard
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from naru.checkout.pages import NO_STORE, csp_source, page
from naru.checkout.read_request import (
    BODY_BYTES_MAX,
    Asked,
    is_user_code,
    read_asked,
    read_channel_words,
    read_json_object,
    read_opening,
    read_return_url,
)
from naru.checkout.result import refusal_address, refusal_object, user_cancel_words
from naru.checkout.returns import (
    Returns,
    done_url,
    is_imp_uid,
    message_target,
    payment_by_proof,
    payment_by_token,
    read_body,
    told,
)
from naru.checkout.sdk_file import SdkFile, join_sdk
from naru.domain.channel import Channel, choose_channel
from naru.domain.errors import (
    AlreadyClaimed,
    AlreadyPaid,
    BadRequest,
    NoChannel,
    PgBusy,
    PgRefused,
    Refused,
)
from naru.domain.ids import hash_secret
from naru.domain.limit import Limit, stranger
from naru.domain.merchant import (
    NULL_ORIGIN,
    Merchant,
    allows_page,
    is_tier_code,
    origin_of,
)
from naru.domain.payment import Payment, Step
from naru.domain.pg_profile import Mode, Shape, profile
from naru.domain.window import Redirect
from naru.payments.abandon import abandon
from naru.payments.ask_now import ask_now
from naru.payments.gateway import Gateway
from naru.payments.start import enter_window, start
from naru.store import StoreUnavailable
from naru.store.limits import Limiter
from naru.store.payments import Case

log = logging.getLogger("naru.checkout")

Handler = Callable[[Request], Awaitable[Response]]

SDK_SECONDS = 300
# The words of i'mport for a popup that could not be opened (SDK facts §4).
POPUP_FAILED = ("NOT READY", "팝업을 호출하는데 실패하였습니다.")
ANYONE = "*"
TOO_OFTEN = "요청이 너무 많습니다. 잠시 후 다시 시도해주세요."


@dataclass(frozen=True, slots=True)
class Pace:
    """How often browsers may come, over all processes."""

    openings_of_address: Limit
    openings_of_merchant: Limit
    entries_of_address: Limit
    results_of_address: Limit


# A telephone company puts thousands of phones behind one address, so an address may open twenty
# windows a second, go to the PG from each twice (which asks the PG each time), and ask for the
# result of each once a second for a minute.
# A merchant may open five hundred a second: more than any sale brings.
USUAL_PACE = Pace(
    openings_of_address=Limit("opening.address", 1_200, 60),
    openings_of_merchant=Limit("opening.merchant", 30_000, 60),
    entries_of_address=Limit("entry.address", 2_400, 60),
    results_of_address=Limit("result.address", 72_000, 60),
)


def routes(gateway: Gateway, pace: Pace = USUAL_PACE) -> list[Route]:
    """Every address of this door."""
    door = Door(gateway, pace)
    returns = Returns(gateway)
    return [
        Route("/", door.home),
        Route("/js/iamport.payment-{version}.js", _sdk(join_sdk("old"))),
        Route("/v1/iamport.js", _sdk(join_sdk("new"))),
        Route("/users/pg/{user_code}", _guarded(door.list_channels)),
        Route("/checkout/payments", _guarded(door.open), methods=["POST"]),
        Route("/checkout/payments/{imp_uid}/result", _guarded(door.result)),
        Route("/checkout/payments/{imp_uid}/abandon", _guarded(door.abandon), methods=["POST"]),
        Route("/checkout/window/{imp_uid}", _guarded(door.window)),
        Route("/checkout/enter/{imp_uid}", _guarded(door.enter)),
        Route("/checkout/return/{imp_uid}", _guarded(returns.come_back), methods=["GET", "POST"]),
        Route("/checkout/done/{imp_uid}", _guarded(returns.done)),
        Route("/checkout/fail", _fail),
    ]


class Door:
    """The handlers of payments, and what every handler of a browser's door needs."""

    def __init__(self, gateway: Gateway, pace: Pace) -> None:
        self._gateway = gateway
        self._pace = pace
        self._limiter = Limiter(gateway.store)

    async def home(self, request: Request) -> Response:
        """For a person who opens the gateway itself: that it answers, and where it is spoken to."""
        try:
            async with self._gateway.store.direct() as session:
                await session.ping()
            alive = True
        except StoreUnavailable:
            alive = False
        here = self._gateway.public_url
        addresses = (
            ("sdk", "브라우저 SDK", "Browser SDK", f"{here}/v1/iamport.js"),
            ("old-sdk", "이전 SDK", "Older SDK", f"{here}/js/iamport.payment-1.2.0.js"),
            ("rest", "REST API", "REST API", here),
            ("docs", "REST API 문서", "REST API reference", f"{here}/docs"),
        )
        return page("home.html", addresses=addresses, alive=alive, status=200 if alive else 503)

    async def list_channels(self, request: Request) -> Response:
        """`GET /users/pg/{user_code}`: V1's own, with `msg` and `data`; the default channel first."""
        merchant, channels = await self._merchant(
            request.path_params["user_code"], request.query_params.get("tier")
        )
        if merchant is None:
            answer = {"code": -1, "msg": "등록되지 않은 판매자 코드입니다.", "data": []}
            return json_for(answer, ANYONE, 404)
        data = [
            {
                "store_id": merchant.user_code,
                "pg_provider": channel.pg_code,
                "pg_id": channel.mid,
                "type": channel.kind,
                "sandbox": channel.test,
                "channel_key": channel.channel_key,
            }
            for channel in channels
            if channel.kind in ("payment", "certification")
        ]
        return json_for({"code": 0, "msg": None, "data": data}, ANYONE)

    async def open(self, request: Request) -> Response:
        """`POST /checkout/payments`: open a payment, or say why not."""
        who = stranger(request.client and request.client.host)
        if wait := await self._wait(self._pace.openings_of_address, who):
            return _too_often(None, Shape.FULL, wait)
        raw = await read_body(request, BODY_BYTES_MAX)
        if raw is None:
            return _refusal(None, Shape.FULL, "F400", "요청이 너무 큽니다.", None, 413)
        try:
            asked = read_asked(raw)
        except BadRequest as error:
            return _refusal(None, Shape.FULL, "F400", error.sentence, None)
        merchant, channels = await self._merchant(asked.user_code, asked.tier_code)
        if merchant is None and asked.tier_code is not None:
            sentence = f"등록되지 않은 하위 가맹점(tier_code)입니다: {asked.tier_code[:20]}"
            shape = asked.shape(profile(""))
            return _refusal(asked.merchant_uid, shape, "F400", sentence, None)
        if merchant is None:
            shape = asked.shape(profile(""))
            return _refusal(
                asked.merchant_uid, shape, "NOT_READY", NoChannel.sentence, None, status=404
            )
        origin = request.headers.get("origin")
        if not is_origin(origin) or not allows_page(merchant, origin):
            log.warning("%s: refused a page of %.200r", merchant.user_code, origin)
            sentence = (
                f"이 사이트({(origin or '출처 없음')[:200]})는 결제를 요청할 수 있는 주소로 등록되어 "
                "있지 않습니다. 가맹점 관리자에게 문의해주세요."
            )
            shape = asked.shape(profile(""))
            return _refusal(asked.merchant_uid, shape, "F400", sentence, None, status=403)
        # Counted only now, so that nobody else's page can use up what is the merchant's.
        if wait := await self._wait(self._pace.openings_of_merchant, str(merchant.id)):
            return _too_often(asked.merchant_uid, asked.shape(profile("")), wait)

        channel: Channel | None = None
        try:
            channel_key, pg = read_channel_words(asked.param)
            channel = choose_channel(channels, channel_key=channel_key, pg=pg)
            opening = read_opening(
                asked,
                merchant,
                channel,
                page_origin=origin,
                user_agent=request.headers.get("user-agent"),
            )
            payment, token = await start(self._gateway, opening)
        except Refused as refused:
            return _refused(asked, merchant, channel, refused)
        return json_for(
            {
                "imp_uid": payment.imp_uid,
                "merchant_uid": payment.merchant_uid,
                "mode": payment.window_mode,
                "window_url": self._window_url("window", payment, token),
                "token": token,
            },
            origin,
        )

    async def result(self, request: Request) -> Response:
        """How a payment stands, for the page that opened it and for our own done page."""
        who = stranger(request.client and request.client.host)
        if wait := await self._wait(self._pace.results_of_address, who):
            # The page asks again in a second, which is all that it can do.
            answer = json_for(
                {"state": "unknown", "result": None, "redirect_url": None}, ANYONE, 429
            )
            answer.headers["Retry-After"] = str(wait)
            return answer
        imp_uid, token = request.path_params["imp_uid"], request.query_params.get("token", "")
        payment = await payment_by_token(self._gateway, imp_uid, token) or await payment_by_proof(
            self._gateway, imp_uid, token
        )
        if payment is None:
            return json_for({"state": "unknown", "result": None, "redirect_url": None}, ANYONE, 404)
        if payment.step is Step.APPROVING:
            await ask_now(self._gateway, payment.imp_uid)
        return json_for(told(payment), payment.page_origin)

    async def abandon(self, request: Request) -> Response:
        """The buyer closed the window. Answers the truth, which may be another one."""
        raw = await read_body(request, BODY_BYTES_MAX)
        try:
            body = read_json_object(raw if raw is not None else b"")
        except BadRequest:
            body = {}
        token, reason = body.get("token"), body.get("reason")
        if not isinstance(token, str) or reason not in ("closed", "popup_blocked", "replaced"):
            return json_for({"state": "unknown", "result": None, "redirect_url": None}, ANYONE, 400)
        payment = await payment_by_token(self._gateway, request.path_params["imp_uid"], token)
        if payment is None:
            return json_for({"state": "unknown", "result": None, "redirect_url": None}, ANYONE, 404)
        code, words = "F400", user_cancel_words(payment.pg_code, payment.callback_shape)
        if reason == "popup_blocked":
            code, words = POPUP_FAILED
        now = await abandon(self._gateway, payment.imp_uid, code, words) or payment
        return json_for(told(now), payment.page_origin)

    async def window(self, request: Request) -> Response:
        """The opening page: who sells what for how much, at once; then on to the PG."""
        case = await self._case(request)
        if case is None:
            return page("message.html", title="no_window", hint="no_window_hint", status=404)
        payment, _, merchant = case
        if payment.step is not Step.OPENED:
            return RedirectResponse(done_url(self._gateway, payment), 303, NO_STORE)
        return page(
            "window.html",
            language=payment.language,
            payment=payment,
            merchant_name=merchant.name,
            facts={
                "mode": payment.window_mode,
                "request_id": payment.request_id,
                "imp_uid": payment.imp_uid,
                "page_origin": message_target(payment),
                "next": self._window_url("enter", payment, request.query_params["token"]),
            },
        )

    async def enter(self, request: Request) -> Response:
        """Ask the PG for its window and send the browser there, in the same frame, tab or popup."""
        who = stranger(request.client and request.client.host)
        if wait := await self._wait(self._pace.entries_of_address, who):
            busy = page("message.html", title="unavailable", hint="unavailable_hint", status=429)
            busy.headers["Retry-After"] = str(wait)
            return busy
        case = await self._case(request)
        if case is None:
            return page("message.html", title="no_window", hint="no_window_hint", status=404)
        payment, channel, merchant = case
        try:
            plan = await enter_window(self._gateway, payment, merchant, channel)
        except PgBusy:
            return page(
                "message.html",
                language=payment.language,
                title="unavailable",
                hint="unavailable_hint",
                status=503,
            )
        except (AlreadyClaimed, PgRefused):
            return RedirectResponse(done_url(self._gateway, payment), 303, NO_STORE)
        if isinstance(plan, Redirect):
            return RedirectResponse(plan.url, 303, NO_STORE)
        return page(
            "enter.html",
            language=payment.language,
            payment=payment,
            form_action=csp_source(plan.action),
            merchant_name=merchant.name,
            form=plan,
        )

    async def _wait(self, limit: Limit, who: str | None) -> int | None:
        """How many seconds this caller must wait; None: not at all."""
        if who is None:
            return None
        return await self._limiter.take(limit, who, self._gateway.now())

    async def _case(self, request: Request) -> Case | None:
        """The payment of this window, for a browser that holds its token."""
        imp_uid, token = request.path_params["imp_uid"], request.query_params.get("token", "")
        if not is_imp_uid(imp_uid):
            return None
        async with self._gateway.store.direct() as session:
            return await session.payments.case(imp_uid, hash_secret(token))

    async def _merchant(
        self, user_code: str, tier_code: str | None
    ) -> tuple[Merchant | None, list[Channel]]:
        """Who sells: the merchant of this code, or its tier (`IMP.agency`)."""
        if not is_user_code(user_code) or not (tier_code is None or is_tier_code(tier_code)):
            return None, []
        async with self._gateway.store.direct() as session:
            merchant = await session.merchants.by_user_code(user_code)
            if merchant is not None and tier_code is not None:
                tier = await session.tiers.find(merchant.id, tier_code)
                merchant = None if tier is None else await session.merchants.get(tier.merchant_id)
            if merchant is None:
                return None, []
            return merchant, await session.channels.of_merchant(merchant.id)

    def _window_url(self, name: str, payment: Payment, token: str) -> str:
        url = f"{self._gateway.public_url}/checkout/{name}/{payment.imp_uid}"
        return f"{url}?token={quote(token, safe='')}"


def is_origin(text: str | None) -> TypeGuard[str]:
    """Does this look as browsers write it? It will stand in headers and address our messages."""
    return text is not None and (text == NULL_ORIGIN or origin_of(text) == text)


def _refused(
    asked: Asked, merchant: Merchant, channel: Channel | None, refused: Refused
) -> Response:
    manners = profile(channel.pg_code if channel else "")
    shape = asked.shape(manners)
    code = "F400"
    if isinstance(refused, AlreadyPaid):
        code = "F1002"
    elif isinstance(refused, NoChannel):
        code = "NOT_READY"
    redirect_url = None
    if manners.redirect_result or asked.window_mode(manners) is Mode.REDIRECT:
        # A window that could not open ends at m_redirect_url as well (flows §17).
        try:
            return_url = read_return_url(asked.param.get("m_redirect_url"), merchant)
        except BadRequest:
            return_url = None
        if return_url is not None:
            redirect_url = refusal_address(
                return_url, shape, asked.merchant_uid, code, refused.sentence
            )
    return _refusal(asked.merchant_uid, shape, code, refused.sentence, redirect_url)


def _refusal(
    merchant_uid: str | None,
    shape: Shape,
    code: str,
    sentence: str,
    redirect_url: str | None,
    status: int = 400,
) -> Response:
    # A refusal holds nothing but the asker's own words, so every page may read why it was refused.
    error = refusal_object(shape, merchant_uid, code, sentence)
    return json_for({"error": error, "redirect_url": redirect_url}, ANYONE, status)


def _too_often(merchant_uid: str | None, shape: Shape, wait_seconds: int) -> Response:
    answer = _refusal(merchant_uid, shape, "F429", TOO_OFTEN, None, status=429)
    answer.headers["Retry-After"] = str(wait_seconds)
    return answer


def json_for(answer: dict[str, Any], reader: str | None, status: int = 200) -> Response:
    """JSON that pages of the origin `reader` may read."""
    headers = NO_STORE | {"Vary": "Origin", "Cross-Origin-Resource-Policy": "cross-origin"}
    if reader is not None:
        headers["Access-Control-Allow-Origin"] = reader
    return JSONResponse(answer, status, headers)


def _sdk(file: SdkFile) -> Handler:
    headers = {
        "Access-Control-Allow-Origin": ANYONE,
        "Cache-Control": f"public, max-age={SDK_SECONDS}",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "ETag": file.etag,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }

    async def send(request: Request) -> Response:
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            zipped = headers | {"Content-Encoding": "gzip"}
            return Response(file.gzipped, media_type="text/javascript", headers=zipped)
        return Response(file.plain, media_type="text/javascript", headers=headers)

    return send


async def _fail(request: Request) -> Response:
    """Where the SDK sends a phone whose shop gave neither callback nor return address.

    Nothing of the query is shown: anybody could have written it.
    """
    return page("message.html", title="failed", hint="return_hint")


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except StoreUnavailable:
            log.error("the database cannot be reached")
            if request.url.path.startswith(("/checkout/payments", "/users/")):
                sentence = "지금은 결제를 진행할 수 없습니다. 잠시 후 다시 시도해주세요."
                return _refusal(None, Shape.FULL, "F500", sentence, None, status=503)
            # Who comes back from the PG may have paid; that nothing was charged we cannot know.
            came_back = request.url.path.startswith(("/checkout/return/", "/checkout/done/"))
            title = "not_known" if came_back else "unavailable"
            return page("message.html", title=title, hint=f"{title}_hint", status=503)
        except ClientDisconnect:
            return Response(status_code=400)

    return guarded
