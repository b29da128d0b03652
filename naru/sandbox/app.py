"""The sandbox PG's application: every address it answers, in one list.

The pages' template contexts are described in pages.py and window.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from naru.sandbox import (
    bank,
    billing,
    cvs,
    escrow,
    identity,
    isp,
    lookups,
    mall,
    mpi,
    notices,
    pages,
    phone,
    points,
    quick,
    receipts,
    simple_pay,
    virtual_account,
    wallets,
    window,
    wishes,
)
from naru.sandbox import wire as w
from naru.sandbox.company import Company
from naru.sandbox.door import PageHeaders, Refusal, json_response
from naru.sandbox.ledger import Ledger, LedgerClosed
from naru.sandbox.vault import open_vault

_HERE = Path(__file__).parent
_WINDOW = "/window/{window_id}"

_log = logging.getLogger(__name__)

ROUTES = [
    Route("/v1/orders", w.signed(w.register), methods=["POST"]),
    Route("/v1/approvals", w.signed(w.approve), methods=["POST"]),
    Route(f"{_WINDOW}/wallet", window.pay_by_wallet, methods=["POST"]),
    Route("/v1/orders/{order_no}", w.signed(w.inquire), methods=["GET"]),
    Route("/v1/approvals/{order_no}/net-cancel", w.signed(w.net_cancel), methods=["POST"]),
    Route("/v1/cancels", w.signed(w.cancel), methods=["POST"]),
    Route("/v1/cancels/{cancel_no}", w.signed(w.read_cancel), methods=["GET"]),
    Route("/v1/virtual-accounts", w.signed(w.issue_account), methods=["POST"]),
    Route("/v1/virtual-accounts/{order_no}", w.signed(w.close_account), methods=["DELETE"]),
    Route("/v1/book", w.signed(w.read_book), methods=["GET"]),
    Route("/v1/members/{mid}", w.join, methods=["PUT"]),
    Route("/v1/magic", pages.read_magic, methods=["GET"]),
    Route(_WINDOW, window.show, methods=["GET"]),
    Route(f"{_WINDOW}/context", window.read_context, methods=["GET"]),
    Route(f"{_WINDOW}/scenario", window.choose_scenario, methods=["POST"]),
    Route(f"{_WINDOW}/cancel", window.cancel, methods=["POST"]),
    Route(f"{_WINDOW}/finish", window.finish, methods=["POST"]),
    Route(f"{_WINDOW}/isp/enrol", isp.enrol, methods=["POST"]),
    Route(f"{_WINDOW}/isp/challenge", isp.challenge, methods=["POST"]),
    Route(f"{_WINDOW}/isp/answer", isp.answer, methods=["POST"]),
    Route(f"{_WINDOW}/mpi", mpi.authenticate, methods=["POST"]),
    Route(f"{_WINDOW}/simple/cards", simple_pay.list_cards, methods=["POST"]),
    Route(f"{_WINDOW}/simple/keypad", simple_pay.give_keypad, methods=["POST"]),
    Route(f"{_WINDOW}/simple/pin", simple_pay.enter_pin, methods=["POST"]),
    Route(f"{_WINDOW}/trans", bank.authenticate, methods=["POST"]),
    Route(f"{_WINDOW}/phone/code", phone.send_code, methods=["POST"]),
    Route(f"{_WINDOW}/phone/answer", phone.check_code, methods=["POST"]),
    Route(f"{_WINDOW}/vbank", virtual_account.choose, methods=["POST"]),
    Route("/", pages.show_index, methods=["GET"]),
    Route("/magic", pages.show_magic, methods=["GET"]),
    Route("/cards", pages.read_cards, methods=["GET"]),
    Route("/cards/{card_id}/unlock", pages.unlock_card, methods=["POST"]),
    Route("/inbox", pages.show_inbox, methods=["GET"]),
    Route("/inbox/messages", pages.read_inbox, methods=["GET"]),
    Route("/desk", virtual_account.show_desk, methods=["GET"]),
    Route("/desk/state", virtual_account.read_desk, methods=["GET"]),
    Route("/desk/deposits", virtual_account.pay_in, methods=["POST"]),
    Route("/desk/notices/{notice_id}/resend", virtual_account.send_notice_again, methods=["POST"]),
    Route("/receipts/{tid}", pages.show_receipt, methods=["GET"]),
    *billing.ROUTES,
    *identity.ROUTES,
    *cvs.ROUTES,
    *mall.ROUTES,
    *wallets.ROUTES,
    *wishes.ROUTES,
    *points.ROUTES,
    *lookups.ROUTES,
    *quick.ROUTES,
    *escrow.ROUTES,
    *receipts.ROUTES,
]


def create_app(
    database: Path,
    public_url: str,
    clock: Callable[[], float] = time.time,
    pace: float = 1.0,
) -> Starlette:
    """The sandbox PG over one SQLite file.

    `public_url` is the address that browsers see, without a trailing slash; calls of the window
    must come from its origin. `clock` gives UNIX seconds. `pace` stretches the delays of magic
    scenarios: 1 is real time.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        ledger = Ledger(database)
        ledger.open()
        try:
            company = Company(
                ledger=ledger,
                address=public_url.rstrip("/"),
                clock=clock,
                pace=pace,
                templates=_templates(),
                vault=await ledger.write(open_vault),
                authorities=await ledger.write(isp.open_authorities, int(clock())),
            )
            app.state.company = company
            sender = asyncio.create_task(notices.deliver_forever(company))
            yield
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            await company.close()
        finally:
            ledger.close()

    app = Starlette(
        routes=[
            *ROUTES,
            Mount("/static", StaticFiles(directory=_HERE / "static", check_dir=False)),
        ],
        middleware=[Middleware(PageHeaders, secure=public_url.startswith("https://"))],
        exception_handlers={
            Refusal: _on_refusal,
            HTTPException: _on_http_exception,
            LedgerClosed: _on_ledger_closed,
        },
        lifespan=lifespan,
    )
    # The redirect would be built from the request's Host, which is the caller's word.
    app.router.redirect_slashes = False
    return app


def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=select_autoescape(),
        auto_reload=False,
    )


async def _on_refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return window.refuse_page_call(error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(error.status_code, "BAD_REQUEST")
    refusal = Refusal(error.status_code, code, str(error.detail))
    if request.url.path.startswith("/v1/"):
        return json_response(w.error(refusal), error.status_code)
    return window.refuse_page_call(refusal)


async def _on_ledger_closed(_: Request, __: Exception) -> Response:
    unavailable = Refusal(503, "UNAVAILABLE", "the ledger does not answer; try again")
    return json_response({"ok": False, **w.error(unavailable)}, 503)
