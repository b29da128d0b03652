"""The browser comes back from the PG, and hears how it ended.

`POST /checkout/return/{imp_uid}` is the PG's word, carried by the browser. It leads to the *done*
page, whose address carries a proof that only we can make: an imp_uid alone tells nobody anything.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from naru.checkout.pages import NO_STORE, due_text, page
from naru.checkout.read_request import BODY_BYTES_MAX
from naru.checkout.result import callback_object, error_of, redirect_address
from naru.domain.errors import ForgedReturn
from naru.domain.ids import hash_secret
from naru.domain.payment import Payment, Step
from naru.domain.pg_profile import Mode, profile
from naru.payments.approve import approve
from naru.payments.gateway import Gateway

log = logging.getLogger("naru.checkout")

_IMP_UID = re.compile(r"imps?_[0-9]{12}", re.ASCII)
FIELDS_MAX = 200
BODY_SECONDS_MAX = 10.0
LINGER_BYTES_MAX = 16_000_000
# A PG that has not answered by then is asked on; the buyer sees that we are checking.
APPROVAL_WAIT_SECONDS = 20.0


class Returns:
    """Return and done pages. Approvals under way are kept here until they end."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._approving: set[asyncio.Task[Payment | None]] = set()

    async def come_back(self, request: Request) -> Response:
        """The PG's browser return: a form POST, or GET for PGs that redirect."""
        gateway = self._gateway
        imp_uid = request.path_params["imp_uid"]
        # Before anything that takes time: once the buyer closes the window, it cannot be read.
        fields = await _read_fields(request)
        if not is_imp_uid(imp_uid):
            return page("message.html", title="no_window", hint="no_window_hint", status=404)
        try:
            if fields is None:
                raise ForgedReturn("not a form")
            payment = await self._approve(imp_uid, fields)
        except ForgedReturn as forged:
            log.warning("%s: return refused: %s", imp_uid, forged)
            payment = await self._read(imp_uid)
            if payment is None:
                return page("message.html", title="no_window", hint="no_window_hint", status=404)
            return page(
                "message.html",
                language=payment.language,
                payment=payment,
                title="bad_return",
                hint="bad_return_hint",
                status=400,
            )
        if payment is None:
            return page("message.html", title="no_window", hint="no_window_hint", status=404)
        return RedirectResponse(done_url(gateway, payment), 303, NO_STORE)

    async def done(self, request: Request) -> Response:
        """The last page: it brings the result to whoever waits for it."""
        gateway = self._gateway
        imp_uid = request.path_params["imp_uid"]
        payment = await payment_by_proof(gateway, imp_uid, request.query_params.get("proof", ""))
        if payment is None:
            return page("message.html", title="no_window", hint="no_window_hint", status=404)
        if payment.step is Step.OPENED:
            return page(
                "message.html",
                language=payment.language,
                payment=payment,
                title="unfinished",
                hint=None,
            )
        address = redirect_address(payment) if payment.final else None
        if payment.window_mode == Mode.REDIRECT and address is not None:
            return RedirectResponse(address, 302, NO_STORE)
        async with gateway.store.direct() as session:
            merchant = await session.merchants.get(payment.merchant_id)
        return page(
            "done.html",
            language=payment.language,
            payment=payment,
            merchant_name=merchant.name if merchant else "",
            state=_state(payment),
            error=error_of(payment) or {},
            account=payment.virtual_account if payment.step is Step.WAITING_DEPOSIT else None,
            due=due_text(payment.virtual_account.due, payment.language)
            if payment.virtual_account
            else None,
            facts={
                "mode": payment.window_mode,
                "request_id": payment.request_id,
                "imp_uid": payment.imp_uid,
                "page_origin": message_target(payment),
                "poll": f"{gateway.public_url}/checkout/payments/{payment.imp_uid}/result"
                f"?token={done_proof(gateway, payment.imp_uid)}",
                **told(payment),
                "final": payment.final,
            },
        )

    async def _read(self, imp_uid: str) -> Payment | None:
        async with self._gateway.store.direct() as session:
            return await session.payments.get(imp_uid)

    async def _approve(self, imp_uid: str, fields: dict[str, str]) -> Payment | None:
        """Approve in a task of its own: a buyer who closes the window does not stop it half-way.

        Returns the payment as it stands after APPROVAL_WAIT_SECONDS at the latest.
        """
        task = asyncio.create_task(approve(self._gateway, imp_uid, fields))
        self._approving.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=APPROVAL_WAIT_SECONDS)
        return task.result() if done else await self._read(imp_uid)

    def _ended(self, task: asyncio.Task[Payment | None]) -> None:
        self._approving.discard(task)
        error = None if task.cancelled() else task.exception()
        # A forged return is a refusal, and anybody can send a thousand of them.
        if error is not None and not isinstance(error, ForgedReturn):
            # Whoever still waits hears it as well; a closed window must not swallow it.
            log.error("an approval ended in an error", exc_info=error)


def is_imp_uid(text: str) -> bool:
    """Is this a name that a payment may have? Anything else is not taken to the database."""
    return _IMP_UID.fullmatch(text) is not None


def done_proof(gateway: Gateway, imp_uid: str) -> str:
    """Proof that we ourselves sent a browser to this payment's done page."""
    return hmac.new(gateway.root_key, b"done\n" + imp_uid.encode(), hashlib.sha256).hexdigest()


def done_url(gateway: Gateway, payment: Payment) -> str:
    """The address of the done page."""
    proof = done_proof(gateway, payment.imp_uid)
    return f"{gateway.public_url}/checkout/done/{payment.imp_uid}?proof={proof}"


async def payment_by_proof(gateway: Gateway, imp_uid: str, proof: str) -> Payment | None:
    """The payment, for a browser that holds the done page's proof."""
    if not is_imp_uid(imp_uid):
        return None
    expected = done_proof(gateway, imp_uid)
    if not hmac.compare_digest(expected.encode(), proof.encode("utf-8", "surrogatepass")):
        return None
    async with gateway.store.direct() as session:
        return await session.payments.get(imp_uid)


async def payment_by_token(gateway: Gateway, imp_uid: str, token: str) -> Payment | None:
    """The payment, for the page that opened it: it holds the window's secret."""
    if not is_imp_uid(imp_uid):
        return None
    async with gateway.store.direct() as session:
        return await session.payments.get_by_window(imp_uid, hash_secret(token))


def message_target(payment: Payment) -> str:
    """Whom our messages are addressed to. A page without an origin cannot be named."""
    origin = payment.page_origin
    return "*" if origin in (None, "null") else str(origin)


def told(payment: Payment) -> dict[str, Any]:
    """How it stands: `state`, `result`, `redirect_url` (docs/reference/window-protocol.md)."""
    if not payment.final:
        state = "open" if payment.step is Step.OPENED else "checking"
        return {"state": state, "result": None, "redirect_url": None}
    by_redirect = profile(payment.pg_code).redirect_result
    return {
        "state": "final",
        "result": callback_object(payment),
        "redirect_url": redirect_address(payment)
        if by_redirect or payment.window_mode == Mode.REDIRECT
        else None,
    }


def _state(payment: Payment) -> str:
    return {
        Step.APPROVING: "checking",
        Step.PAID: "paid",
        Step.WAITING_DEPOSIT: "waiting",
    }.get(payment.step, "failed")


async def _read_fields(request: Request) -> dict[str, str] | None:
    """The fields of the return; None when they are not a small form in UTF-8."""
    raw = request.scope["query_string"]
    if request.method == "POST":
        raw = await read_body(request, BODY_BYTES_MAX)
        if raw is None:
            return None
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError:
        return None
    if any("\x00" in text for pair in pairs for text in pair):
        return None
    return dict(pairs)


async def read_body(request: Request, bytes_max: int) -> bytes | None:
    """The body, or None when it is longer. Raises HTTPException 408 when it trickles.

    What is too long is read on, within bounds, and thrown away: to hang up at once would reset the
    line, and the sender would never read why.
    """
    raw, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= bytes_max:
                    raw += chunk
                elif size > LINGER_BYTES_MAX:
                    return None
    except TimeoutError:
        raise HTTPException(408, headers={"Connection": "close"}) from None
    return bytes(raw) if size <= bytes_max else None
