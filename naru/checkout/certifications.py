"""The addresses of IMP.certification: open, window, return, result, end.

Contract: docs/reference/window-protocol.md, "Certification". As with payments, which site asks is the
browser's own Origin header, and what its page may hear is decided by the window's token.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from naru.checkout.pages import NO_STORE, csp_source, page
from naru.checkout.read_certification import read_certification
from naru.checkout.read_request import (
    BODY_BYTES_MAX,
    read_asked,
    read_channel_words,
    read_json_object,
    read_return_url,
)
from naru.checkout.result import with_query
from naru.checkout.returns import is_imp_uid, read_body
from naru.checkout.routes import (
    ANYONE,
    POPUP_FAILED,
    TOO_OFTEN,
    Door,
    Handler,
    Pace,
    is_origin,
    json_for,
)
from naru.domain.certification import Certification, ForgedCertification, Stage
from naru.domain.channel import choose_channel
from naru.domain.errors import AlreadyClaimed, BadRequest, NoChannel, PgBusy, PgRefused, Refused
from naru.domain.ids import hash_secret
from naru.domain.limit import stranger
from naru.domain.merchant import Merchant, allows_page
from naru.domain.window import Redirect
from naru.payments.certify import (
    abandon_certification,
    come_back,
    enter_certification,
    look,
    open_certification,
)
from naru.payments.gateway import Gateway
from naru.store import StoreUnavailable

log = logging.getLogger("naru.checkout")

USER_CANCEL = ("F400", "사용자가 본인인증을 취소하였습니다.")
FAILED = "본인인증에 실패하였습니다."
NO_STORE_WORDS = "지금은 본인인증을 진행할 수 없습니다. 잠시 후 다시 시도해주세요."
NO_STATE = {"state": "unknown", "result": None, "redirect_url": None}
COME_BACK_WAIT_SECONDS = 20.0


def routes(gateway: Gateway, pace: Pace) -> list[Route]:
    """Every address of certifications."""
    door = _Certifications(gateway, pace)
    return [
        Route("/checkout/certifications", _guarded(door.open_one), methods=["POST"]),
        Route("/checkout/certifications/{imp_uid}/result", _guarded(door.tell)),
        Route(
            "/checkout/certifications/{imp_uid}/abandon", _guarded(door.give_up), methods=["POST"]
        ),
        Route("/checkout/certification/{imp_uid}", _guarded(door.show)),
        Route("/checkout/certification-enter/{imp_uid}", _guarded(door.go_in)),
        Route("/checkout/certified/{imp_uid}", _guarded(door.come_back), methods=["GET", "POST"]),
        Route("/checkout/certification-done/{imp_uid}", _guarded(door.end)),
    ]


class _Certifications(Door):
    async def open_one(self, request: Request) -> Response:
        """`POST /checkout/certifications`: open a certification, or say why not."""
        who = stranger(request.client and request.client.host)
        if wait := await self._wait(self._pace.openings_of_address, who):
            return _too_often(None, wait)
        raw = await read_body(request, BODY_BYTES_MAX)
        if raw is None:
            return _refusal(None, "F400", "요청이 너무 큽니다.", status=413)
        try:
            asked = read_asked(raw)
        except BadRequest as error:
            return _refusal(None, "F400", error.sentence)
        merchant, channels = await self._merchant(asked.user_code, asked.tier_code)
        if merchant is None:
            return _refusal(asked.merchant_uid, "NOT_READY", NoChannel.sentence, status=404)
        origin = request.headers.get("origin")
        if not is_origin(origin) or not allows_page(merchant, origin):
            log.warning("%s: refused a page of %.200r", merchant.user_code, origin)
            sentence = (
                f"이 사이트({(origin or '출처 없음')[:200]})는 본인인증을 요청할 수 있는 주소로 등록되어 "
                "있지 않습니다. 가맹점 관리자에게 문의해주세요."
            )
            return _refusal(asked.merchant_uid, "F400", sentence, status=403)
        if wait := await self._wait(self._pace.openings_of_merchant, str(merchant.id)):
            return _too_often(asked.merchant_uid, wait)
        try:
            channel_key, pg = read_channel_words(asked.param)
            channel = choose_channel(channels, channel_key=channel_key, pg=pg, kind="certification")
            opening = read_certification(
                asked,
                merchant,
                channel,
                page_origin=origin,
                page_url=read_json_object(raw).get("page_url"),
            )
            certification, token = await open_certification(self._gateway, opening)
        except Refused as refused:
            code = "NOT_READY" if isinstance(refused, NoChannel) else "F400"
            redirect_url = _refusal_url(asked.param, merchant, asked.merchant_uid, code, refused)
            if asked.surface != "mobile" or asked.param.get("popup") in (True, "true"):
                redirect_url = None
            return _refusal(asked.merchant_uid, code, refused.sentence, redirect_url)
        return json_for(
            {
                "imp_uid": certification.imp_uid,
                "merchant_uid": certification.merchant_uid,
                "mode": certification.window_mode,
                "window_url": self._url("certification", certification, token),
                "token": token,
            },
            origin,
        )

    async def show(self, request: Request) -> Response:
        """The opening page: who asks, at once; then on to the company."""
        found = await self._by_token(request)
        if found is None:
            return _no_window()
        if found.stage is not Stage.OPENED:
            return RedirectResponse(self._done_url(found), 303, NO_STORE)
        return page(
            "certification.html",
            language=found.language,
            popup=found.window_mode == "popup",
            ribbon="certify_test" if found.sandbox else None,
            merchant_name=found.prefill.get("company") or await self._name_of(found),
            facts={
                "mode": found.window_mode,
                "request_id": found.request_id,
                "imp_uid": found.imp_uid,
                "page_origin": _message_target(found),
                "next": self._url("certification-enter", found, request.query_params["token"]),
            },
        )

    async def go_in(self, request: Request) -> Response:
        """Ask the company for its window and send the browser there."""
        who = stranger(request.client and request.client.host)
        if wait := await self._wait(self._pace.entries_of_address, who):
            busy = page(
                "message.html",
                title="certify_unavailable",
                hint="certify_unavailable_hint",
                status=429,
            )
            busy.headers["Retry-After"] = str(wait)
            return busy
        found = await self._by_token(request)
        if found is None:
            return _no_window()
        async with self._gateway.store.direct() as session:
            merchant = await session.merchants.get(found.merchant_id)
        assert merchant is not None, "a certification's merchant is never deleted"
        try:
            plan = await enter_certification(self._gateway, found, merchant)
        except PgBusy:
            return page(
                "message.html",
                language=found.language,
                popup=found.window_mode == "popup",
                title="certify_unavailable",
                hint="certify_unavailable_hint",
                status=503,
            )
        except (AlreadyClaimed, PgRefused):
            return RedirectResponse(self._done_url(found), 303, NO_STORE)
        if isinstance(plan, Redirect):
            return RedirectResponse(plan.url, 303, NO_STORE)
        return page(
            "certification_enter.html",
            language=found.language,
            popup=found.window_mode == "popup",
            ribbon="certify_test" if found.sandbox else None,
            form_action=csp_source(plan.action),
            form=plan,
        )

    async def come_back(self, request: Request) -> Response:
        """The browser is back from the company. It brings proof, and not who the person is."""
        imp_uid = request.path_params["imp_uid"]
        fields = await _read_fields(request)
        if not is_imp_uid(imp_uid):
            return _no_window()
        try:
            if fields is None:
                raise ForgedCertification("not a form")
            # Shielded: who closes the window now is certified all the same.
            found = await asyncio.wait_for(
                asyncio.shield(come_back(self._gateway, imp_uid, fields)), COME_BACK_WAIT_SECONDS
            )
        except ForgedCertification as forged:
            log.warning("%s: return refused: %s", imp_uid, forged)
            return page(
                "message.html",
                popup=True,
                title="certify_bad_return",
                hint="certify_bad_return_hint",
                status=400,
            )
        except TimeoutError:
            async with self._gateway.store.direct() as session:
                found = await session.certifications.get(imp_uid)
        if found is None:
            return _no_window()
        return RedirectResponse(self._done_url(found), 303, NO_STORE)

    async def end(self, request: Request) -> Response:
        """The last page: it brings the result to whoever waits for it."""
        found = await self._by_proof(
            request.path_params["imp_uid"], request.query_params.get("proof", "")
        )
        if found is None:
            return _no_window()
        said = _told(found)
        if found.window_mode == "redirect" and said["redirect_url"] is not None:
            return RedirectResponse(said["redirect_url"], 302, NO_STORE)
        if not found.final and found.promised_at is None:
            return page(
                "message.html",
                language=found.language,
                popup=True,
                title="certify_unfinished",
                hint=None,
            )
        poll = f"{self._gateway.public_url}/checkout/certifications/{found.imp_uid}/result"
        return page(
            "certified.html",
            language=found.language,
            popup=found.window_mode == "popup",
            ribbon="certify_test" if found.sandbox else None,
            merchant_name=await self._name_of(found),
            state="checking" if not found.final else "failed" if _error(found) else "done",
            error=_error(found) or {},
            in_popup=found.window_mode == "popup",
            facts={
                "mode": found.window_mode,
                "request_id": found.request_id,
                "imp_uid": found.imp_uid,
                "page_origin": _message_target(found),
                "poll": f"{poll}?token={self._proof(found.imp_uid)}",
                **said,
                "final": found.final,
            },
        )

    async def tell(self, request: Request) -> Response:
        """How it stands, for the page that opened it and for our own last page."""
        who = stranger(request.client and request.client.host)
        if wait := await self._wait(self._pace.results_of_address, who):
            busy = json_for(NO_STATE, ANYONE, 429)
            busy.headers["Retry-After"] = str(wait)
            return busy
        imp_uid, token = request.path_params["imp_uid"], request.query_params.get("token", "")
        found = await self._by_token(request) or await self._by_proof(imp_uid, token)
        if found is None:
            return json_for(NO_STATE, ANYONE, 404)
        if found.promised_at is not None:
            found = await look(self._gateway, found)
        return json_for(_told(found), found.page_origin or ANYONE)

    async def give_up(self, request: Request) -> Response:
        """The person closed the window. Answers the truth, which may be another one."""
        raw = await read_body(request, BODY_BYTES_MAX)
        try:
            body = read_json_object(raw if raw is not None else b"")
        except BadRequest:
            body = {}
        token, reason = body.get("token"), body.get("reason")
        if not isinstance(token, str) or reason not in ("closed", "popup_blocked", "replaced"):
            return json_for(NO_STATE, ANYONE, 400)
        found = await self._find(request.path_params["imp_uid"], token)
        if found is None:
            return json_for(NO_STATE, ANYONE, 404)
        code, words = POPUP_FAILED if reason == "popup_blocked" else USER_CANCEL
        now = await abandon_certification(self._gateway, found, code, words)
        return json_for(_told(now), now.page_origin or ANYONE)

    async def _by_token(self, request: Request) -> Certification | None:
        token = request.query_params.get("token", "")
        return await self._find(request.path_params["imp_uid"], token)

    async def _find(self, imp_uid: str, token: str) -> Certification | None:
        """The certification, for the page that opened it: it holds the window's secret."""
        if not is_imp_uid(imp_uid):
            return None
        async with self._gateway.store.direct() as session:
            return await session.certifications.get_by_window(imp_uid, hash_secret(token))

    async def _by_proof(self, imp_uid: str, proof: str) -> Certification | None:
        """The certification, for a browser that we sent to its last page."""
        given = proof.encode("utf-8", "surrogatepass")
        if not is_imp_uid(imp_uid) or not hmac.compare_digest(self._proof(imp_uid).encode(), given):
            return None
        async with self._gateway.store.direct() as session:
            return await session.certifications.get(imp_uid)

    async def _name_of(self, certification: Certification) -> str:
        async with self._gateway.store.direct() as session:
            merchant = await session.merchants.get(certification.merchant_id)
        return merchant.name if merchant else ""

    def _proof(self, imp_uid: str) -> str:
        said = b"certified\n" + imp_uid.encode()
        return hmac.new(self._gateway.root_key, said, hashlib.sha256).hexdigest()

    def _done_url(self, certification: Certification) -> str:
        imp_uid = certification.imp_uid
        base = f"{self._gateway.public_url}/checkout/certification-done/{imp_uid}"
        return f"{base}?proof={self._proof(imp_uid)}"

    def _url(self, name: str, certification: Certification, token: str) -> str:
        base = f"{self._gateway.public_url}/checkout/{name}/{certification.imp_uid}"
        return f"{base}?token={quote(token, safe='')}"


def _error(certification: Certification) -> dict[str, str] | None:
    if certification.stage is not Stage.FAILED:
        return None
    return {
        "error_code": certification.fail_code or "F400",
        "error_msg": certification.fail_reason or FAILED,
    }


def _told(certification: Certification) -> dict[str, Any]:
    """How it stands: `state`, `result`, `redirect_url` (SDK facts §7 and §8)."""
    if not certification.final:
        state = "open" if certification.promised_at is None else "checking"
        return {"state": state, "result": None, "redirect_url": None}
    error = _error(certification) or {}
    result = {
        "success": not error,
        "imp_uid": certification.imp_uid,
        "merchant_uid": certification.merchant_uid,
        "pg_provider": certification.pg_code,
        "pg_type": "certification",
        **error,
    }
    redirect_url = None
    if certification.window_mode == "redirect" and certification.return_url is not None:
        query = {
            "imp_uid": str(certification.imp_uid),
            "merchant_uid": str(certification.merchant_uid or ""),
            "success": "false" if error else "true",
            **error,
        }
        redirect_url = with_query(certification.return_url, query)
    return {"state": "final", "result": result, "redirect_url": redirect_url}


def _message_target(certification: Certification) -> str:
    origin = certification.page_origin
    return "*" if origin in (None, "null") else str(origin)


def _no_window() -> Response:
    return page(
        "message.html",
        popup=True,
        title="certify_no_window",
        hint="certify_no_window_hint",
        status=404,
    )


def _refusal(
    merchant_uid: str | None,
    code: str,
    sentence: str,
    redirect_url: str | None = None,
    status: int = 400,
) -> Response:
    error = {
        "success": False,
        "imp_uid": None,
        "merchant_uid": merchant_uid,
        "error_code": code,
        "error_msg": sentence,
    }
    return json_for({"error": error, "redirect_url": redirect_url}, ANYONE, status)


def _refusal_url(
    param: dict[str, Any],
    merchant: Merchant,
    merchant_uid: str | None,
    code: str,
    refused: Refused,
) -> str | None:
    """m_redirect_url with the failure, for a phone whose page was to be left."""
    try:
        return_url = read_return_url(param.get("m_redirect_url"), merchant)
    except BadRequest:
        return_url = None
    if return_url is None:
        return None
    query = {"imp_uid": "", "merchant_uid": merchant_uid or "", "success": "false"}
    return with_query(return_url, query | {"error_code": code, "error_msg": refused.sentence})


def _too_often(merchant_uid: str | None, wait_seconds: int) -> Response:
    answer = _refusal(merchant_uid, "F429", TOO_OFTEN, status=429)
    answer.headers["Retry-After"] = str(wait_seconds)
    return answer


async def _read_fields(request: Request) -> dict[str, str] | None:
    """The fields of the return; None when they are not a small form."""
    raw: bytes | None = request.scope["query_string"]
    if request.method == "POST":
        raw = await read_body(request, BODY_BYTES_MAX)
    try:
        pairs = parse_qsl(
            (raw or b"").decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=50,
        )
    except ValueError:
        return None
    return None if any("\x00" in text for pair in pairs for text in pair) else dict(pairs)


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except StoreUnavailable:
            log.error("the database cannot be reached")
            if request.url.path.startswith("/checkout/certifications"):
                return _refusal(None, "F500", NO_STORE_WORDS, status=503)
            return page(
                "message.html",
                popup=True,
                title="certify_unavailable",
                hint="certify_unavailable_hint",
                status=503,
            )
        except ClientDisconnect:
            return Response(status_code=400)

    return guarded
