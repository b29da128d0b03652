"""A browser, servers on ports of their own, and a gateway that speaks only the window protocol.

The stand-in lets the SDK be tested by itself: it serves the true SDK file and answers by
docs/reference/window-protocol.md, but no payment lies behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from playwright.async_api import Browser, async_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from naru.checkout.sdk_file import Generation, join_sdk

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Mobile Safari/537.36"
)


@contextlib.asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Chromium without a screen: the machine's own, else the one Playwright downloaded."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=os.environ.get("NARU_CHROMIUM") or shutil.which("chromium"),
            args=list(CHROMIUM_FLAGS),
        )
        yield browser
        await browser.close()


@contextlib.asynccontextmanager
async def serve(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """Serve an application on a port of 127.0.0.1, a free one unless named; yields its origin."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    # Whoever asks before the server is ready waits in the queue instead of being refused.
    listener.listen()
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await running
    listener.close()


@dataclass
class Pages:
    """A web server of pages that a test puts into it: the merchant's shop, or a stranger."""

    html: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    visited: list[str] = field(default_factory=list)

    def app(self) -> Starlette:
        async def page(request: Request) -> Response:
            self.visited.append(str(request.url))
            html = self.html.get(request.url.path, "<!doctype html><title>landing</title>landing")
            return HTMLResponse(html, headers=self.headers)

        return Starlette(routes=[Route("/{path:path}", page)])


WINDOW = """<!doctype html><html lang="ko"><meta name="viewport" content="width=device-width">
<title>stand-in window</title>
<button id="pay">pay</button><button id="ask">close</button><button id="go">to the PG</button>
<script>
  const facts = %s;
  const home = window.opener || (parent !== window ? parent : null);
  const say = (message) => home && home.postMessage(
    { protocol: "naru/1", request_id: facts.request_id, imp_uid: facts.imp_uid, ...message }, facts.page_origin);
  if (!facts.mute) say({ type: "hello" });
  document.getElementById("pay").onclick = async () => {
    const answer = await (await fetch("/stand-in/pay/" + facts.imp_uid, { method: "POST" })).json();
    if (!facts.lost) say({ type: "result", result: answer.result, redirect_url: answer.redirect_url });
    if (window.opener && !facts.lost) setTimeout(() => window.close(), 50);
  };
  document.getElementById("ask").onclick = () => say({ type: "closing" });
</script></html>"""


@dataclass
class StandIn:
    """The gateway's half of the window protocol, as a test wants it to behave."""

    mode: str = "iframe"
    refusal: dict[str, Any] | None = None
    refusal_redirect_url: str | None = None
    result_redirect_url: str | None = None
    approval_under_way: int = 0  # how many times `abandon` and `result` say "checking" first
    mute: bool = False  # the window never says hello
    lost: bool = False  # the window's last message is lost
    slow_seconds: float = 0.0
    channels: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"pg_provider": pg, "pg_id": pg, "type": "payment"}
            for pg in ("kcp", "payco", "paypal", "danal")
        ]
    )
    opened: list[dict[str, Any]] = field(default_factory=list)
    page_origins: list[str] = field(default_factory=list)
    abandoned: list[tuple[str, str]] = field(default_factory=list)
    final: dict[str, dict[str, Any]] = field(default_factory=dict)

    def app(self) -> Starlette:
        def sdk(generation: Generation) -> Any:
            async def answer(_: Request) -> Response:
                return Response(join_sdk(generation).plain, media_type="text/javascript")

            return answer

        return Starlette(
            routes=[
                Route("/js/iamport.payment-{version}.js", sdk("old")),
                Route("/v1/iamport.js", sdk("new")),
                Route("/users/pg/{user_code}", self._channels),
                Route("/checkout/payments", self._open, methods=["POST"]),
                Route("/checkout/payments/{imp_uid}/result", self._result),
                Route("/checkout/payments/{imp_uid}/abandon", self._abandon, methods=["POST"]),
                Route("/window/{imp_uid}", self._window),
                Route("/stand-in/pay/{imp_uid}", self._pay, methods=["POST"]),
            ]
        )

    async def _channels(self, request: Request) -> Response:
        if request.path_params["user_code"] == "imp99999999":
            return _json(request, {"code": -1, "msg": "no such merchant", "data": []}, 404)
        return _json(request, {"code": 0, "msg": None, "data": self.channels})

    async def _open(self, request: Request) -> Response:
        raw = await request.body()
        if self.slow_seconds:
            await asyncio.sleep(self.slow_seconds)
        asked = json.loads(raw)
        self.opened.append(asked)
        self.page_origins.append(request.headers["origin"])
        if self.refusal is not None:
            answer = {"error": self.refusal, "redirect_url": self.refusal_redirect_url}
            return _json(request, answer, 400)
        number = len(self.opened)
        return _json(
            request,
            {
                "imp_uid": f"imp_{number}",
                "merchant_uid": asked["param"]["merchant_uid"],
                "mode": asked["mode"] or self.mode,
                "window_url": f"{_origin(request)}/window/imp_{number}",
                "token": f"token{number}",
            },
        )

    async def _window(self, request: Request) -> Response:
        imp_uid = request.path_params["imp_uid"]
        number = int(imp_uid.removeprefix("imp_")) - 1
        asked = self.opened[number]
        page_origin = self.page_origins[number]
        facts = {
            "imp_uid": imp_uid,
            "request_id": asked["request_id"],
            "page_origin": "*" if page_origin == "null" else page_origin,
            "mute": self.mute,
            "lost": self.lost,
        }
        return HTMLResponse(WINDOW % json.dumps(facts))

    async def _pay(self, request: Request) -> Response:
        imp_uid = request.path_params["imp_uid"]
        result = {"success": True, "imp_uid": imp_uid, "status": "paid"}
        self.final[imp_uid] = result
        return JSONResponse({"result": result, "redirect_url": self.result_redirect_url})

    async def _abandon(self, request: Request) -> Response:
        imp_uid = request.path_params["imp_uid"]
        asked = json.loads(await request.body())
        assert asked["token"] == "token" + imp_uid.removeprefix("imp_")
        self.abandoned.append((imp_uid, asked["reason"]))
        if not self.approval_under_way:
            self.final.setdefault(
                imp_uid,
                {
                    "success": False,
                    "imp_uid": imp_uid,
                    "error_code": "CANCELLED",
                    "error_msg": "[결제포기] 사용자가 결제를 취소하셨습니다",
                },
            )
        return self._told(request, imp_uid)

    async def _result(self, request: Request) -> Response:
        imp_uid = request.path_params["imp_uid"]
        assert request.query_params["token"] == "token" + imp_uid.removeprefix("imp_")
        if self.approval_under_way:
            self.approval_under_way -= 1
            if not self.approval_under_way:
                self.final[imp_uid] = {"success": True, "imp_uid": imp_uid, "status": "paid"}
        return self._told(request, imp_uid)

    def _told(self, request: Request, imp_uid: str) -> Response:
        final = self.final.get(imp_uid)
        state = "final" if final else "checking" if self.approval_under_way else "open"
        answer = {"state": state, "result": final, "redirect_url": self.result_redirect_url}
        return _json(request, answer if final else {**answer, "redirect_url": None})


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _json(request: Request, answer: dict[str, Any], status: int = 200) -> Response:
    origin = request.headers.get("origin", "*")
    return JSONResponse(answer, status, {"Access-Control-Allow-Origin": origin})


SHOP = """<!doctype html><html lang="ko"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>shop</title>{before}
<script src="{core}{sdk}"></script></head>
<body><main id="shop"><h1>shop</h1><button id="pay" onclick="pay()">결제하기</button><a href="#x">link</a></main>
<script>
  window.results = []; window.alerts = []; window.alert = (text) => alerts.push(text);
  window.callback = (answer) => results.push(
    {{ answer, dialogs: document.querySelectorAll(".imp-dialog").length, keys: Object.keys(answer) }});
  window.param = {{ pg: "{pg}", merchant_uid: "order-1", amount: "1004", name: "물건" }};
  window.pay = () => {{ window.returned = IMP.request_pay(param, callback); }};
  {init}
</script></body></html>"""


def shop_page(
    core: str,
    *,
    sdk: str = "/js/iamport.payment-1.2.0.js",
    pg: str = "kcp",
    init: str = 'IMP.init("imp00000000");',
    before: str = "",
) -> str:
    """A merchant's page: a pay button, and everything that happens to it in `window`."""
    return SHOP.format(core=core, sdk=sdk, pg=pg, init=init, before=before)
