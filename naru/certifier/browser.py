"""The shop's own page in a real browser: its button pressed, our window gone through, its own words heard.

Only the shop, the private gateway and the sandbox PG can be reached: whatever else a page asks for is
refused here, and what a redirect leads to (which nobody here is asked about) ends at a proxy that is
none. Playwright and a Chromium are optional: without them NoBrowser says how to get them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from naru.certifier.result import Words
from naru.testing.buyer import Buyer, Stuck, Window

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Frame, Page, Request, Response, Route

Surface = Literal["pc", "mobile"]
Ending = Literal["pays", "leaves", "closes"]
Place = tuple[str, int | None]

START_SECONDS = 60.0
PAGE_SECONDS = 20.0  # until a page, its button, our window or the PG's stands there
BACK_SECONDS = 2.0  # how long a page has that lets the buyer press again after a closed window
REPORT_SECONDS = 10.0  # until the page has told its server
PRESS_SECONDS = 120.0
CHROMIUMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
# A container has no user namespaces for the sandbox; nothing but this machine is reached anyway.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
)
PHONE = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Mobile Safari/537.36"
)
# Before any of the page's own code: whatever is put at window.IMP says something else.
TRAP = """(changes => {
  let given;
  Object.defineProperty(window, "IMP", {
    configurable: true,
    get: () => given,
    set: (made) => {
      const open = made.request_pay;
      made.request_pay = function (param, callback) {
        return open.call(this, Object.assign({}, param, changes), callback);
      };
      given = made;
    },
  });
})(%s)"""
# What the PG's own page does when the buyer is through.
SUBMIT = """form => {
  const made = document.createElement("form");
  made.method = "post";
  made.action = form.action;
  for (const [name, value] of Object.entries(form.fields)) {
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name, value });
    made.append(field);
  }
  document.body.append(made);
  made.submit();
}"""

_T = TypeVar("_T")


class NoBrowser(Exception):
    """No page can be opened on this machine; `why` says what to install."""

    def __init__(self, ko: str, en: str) -> None:
        super().__init__(en)
        self.why = Words(ko, en)


class PageTrouble(Exception):
    """The page does not do what the adapter says; the text names what it lacks."""


@dataclass(frozen=True)
class Asked:
    """One press of the button. `changes` are what window.IMP is made to say instead."""

    url: str
    pay: str
    surface: Surface = "pc"
    times: int = 1
    ending: Ending = "pays"
    changes: Mapping[str, str | int] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """A message of the page to the shop that came of itself, and the status it was answered."""

    method: str
    path: str
    body: str
    status: int

    def names(self, imp_uid: str) -> bool:
        """Does it speak of this payment?"""
        return imp_uid in self.path or imp_uid in self.body


@dataclass
class Visit:
    """What came of a press: the windows that were opened, the last of them the one in sight.

    `said_before` is how much of the browser's `said` was said before the PG was answered.
    """

    windows: list[Window] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    said_before: int = 0
    reported: bool = False
    stuck: str = ""
    cookies: dict[str, str] = field(default_factory=dict)


class Browser:
    """Chromium, from its first press until `close`. Threads may share it.

    Raises NoBrowser. `said` is what pages have told the shop and nobody has taken yet.
    """

    def __init__(self, shop: str, gateway: str, sandbox: str) -> None:
        self.said: list[Said] = []
        self._lock = threading.Lock()
        self._shop, self._gateway, self._sandbox = _place(shop), _place(gateway), sandbox
        self._allowed = {self._shop, self._gateway, _place(sandbox), _place("data:")}
        self._buyer = Buyer(gateway, sandbox)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        # Ours, so that nobody else listens there; nobody listens, so that everybody is refused.
        self._nobody = socket.socket()
        self._nobody.bind(("127.0.0.1", 0))
        self._closing = contextlib.AsyncExitStack()
        self._contexts: dict[Surface, _Visitor] = {}
        try:
            self._browser = self._wait(self._launch(), START_SECONDS)
        except BaseException:
            self.close()
            raise

    def press(self, asked: Asked) -> Visit:
        """Open the page, press, go through the windows. Raises PageTrouble."""
        from playwright.async_api import Error

        try:
            return self._wait(self._press(asked), PRESS_SECONDS)
        except Error as error:
            raise PageTrouble(f"The browser fails: {str(error).splitlines()[0]}.") from None

    def take_said(self, many: int | None = None) -> list[Said]:
        """The first so many messages of pages to the shop, or all; each is taken once."""
        with self._lock:
            taken = self.said[:many]
            del self.said[: len(taken)]
        return taken

    def forget(self) -> None:
        """Close every page, and forget every cookie."""
        contexts, self._contexts = self._contexts, {}
        for visitor in contexts.values():
            with contextlib.suppress(Exception):
                self._wait(visitor.context.close(), PAGE_SECONDS)
        self.take_said()

    def close(self) -> None:
        """End it. Never raises."""
        with contextlib.suppress(Exception):
            self._wait(self._closing.aclose(), PAGE_SECONDS)
        self._buyer.close()
        self._nobody.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PAGE_SECONDS)

    async def _launch(self) -> Any:
        try:
            from playwright.async_api import Error, async_playwright
        except ImportError:
            raise NoBrowser(
                "브라우저로 하는 시험에는 Playwright가 필요합니다: pip install playwright",
                "What a page does needs Playwright: pip install playwright",
            ) from None
        playwright = await self._closing.enter_async_context(async_playwright())
        found = os.environ.get("NARU_CHROMIUM") or next(
            filter(None, map(shutil.which, CHROMIUMS)), None
        )
        try:
            browser = await playwright.chromium.launch(
                executable_path=found, args=[*FLAGS, *self._proxy()]
            )
        except Error as error:
            last = str(error).strip().splitlines()[0]
            raise NoBrowser(
                "브라우저로 하는 시험에는 Chromium이 필요합니다: apt-get install chromium, 또는 "
                f"playwright install chromium, 또는 NARU_CHROMIUM에 그 경로. ({last})",
                "What a page does needs Chromium: apt-get install chromium, or playwright install "
                f"chromium, or its path in NARU_CHROMIUM. ({last})",
            ) from None
        self._closing.push_async_callback(browser.close)
        return browser

    def _proxy(self) -> tuple[str, str]:
        """A proxy that is none, and who is reached without it."""
        places = []
        for host, port in sorted(self._allowed, key=str):
            names = ("127.0.0.1", "localhost", "[::1]") if host == "127.0.0.1" else (host,)
            places += [f"{name}:{port}" for name in names if name]
        nobody = f"127.0.0.1:{self._nobody.getsockname()[1]}"
        return (
            f"--proxy-server=http://{nobody}",
            f"--proxy-bypass-list=<-loopback>;{';'.join(places)}",
        )

    async def _visitor(self, surface: Surface) -> _Visitor:
        if not self._browser.is_connected():
            # It died under an earlier attack, which was told so; this one is another.
            self._contexts.clear()
            self._browser = await self._launch()
        if surface not in self._contexts:
            phone = {"user_agent": PHONE, "is_mobile": True, "has_touch": True}
            context: BrowserContext = await self._browser.new_context(
                service_workers="block",
                locale="ko-KR",
                viewport={"width": 390, "height": 844} if surface == "mobile" else None,
                **(phone if surface == "mobile" else {}),
            )
            context.set_default_timeout(PAGE_SECONDS * 1000)
            visitor = _Visitor(context)
            self._contexts[surface] = visitor
            context.on("response", lambda response: self._hear(visitor, response))
            await context.route("**/*", lambda route: self._let_through(visitor, route))
        return self._contexts[surface]

    async def _let_through(self, visitor: _Visitor, route: Route) -> None:
        """What may be reached, and what a browser that is gone cannot send any more."""
        from playwright.async_api import Error

        request = route.request
        place = _place(request.url)
        with contextlib.suppress(Error):  # A page that has left is not waiting for it.
            if place not in self._allowed:
                visitor.blocked.append(urlsplit(request.url).netloc)
                await route.abort("blockedbyclient")
            elif visitor.is_gone:
                if (request.method, request.url) == visitor.approval:
                    # The PG's answer reaches the gateway. What the gateway says to it reaches nobody:
                    # a page that learnt of it could tell its server faster than it is closed.
                    await route.fetch(max_redirects=0)
                    visitor.answered.add(visitor.approval)
                    visitor.news.set()
                await route.abort("internetdisconnected")
            elif place == self._gateway and _opens_window(request):
                # Read here: a page that is redirected leaves before its answer could be read.
                answer = await route.fetch()
                visitor.opened(request, answer.status, await answer.text())
                await route.fulfill(response=answer)
            else:
                if request.is_navigation_request():
                    visitor.goes(request.frame, request.url)
                await route.continue_()

    def _hear(self, visitor: _Visitor, response: Response) -> None:
        request = response.request
        parts = urlsplit(request.url)
        if _place(request.url) == self._shop and request.resource_type in _TALK:
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            body = request.post_data_buffer or b""
            said = Said(request.method, path, body.decode("utf-8", "replace"), response.status)
            with self._lock:
                self.said.append(said)
            visitor.said.append(said)
        visitor.answered.add((request.method, request.url))
        visitor.news.set()

    async def _press(self, asked: Asked) -> Visit:
        from playwright.async_api import Error

        visitor = await self._visitor(asked.surface)
        visitor.begin()
        visit = visitor.visit
        await visitor.context.add_cookies(
            [
                {"name": name, "value": text, "url": asked.url}
                for name, text in asked.cookies.items()
            ]
        )
        try:
            page = await self._page_with_button(visitor, asked)
            button = page.locator(asked.pay).first
            await button.click(click_count=asked.times)
            await visitor.until(lambda: bool(visit.windows or visit.refusals), PAGE_SECONDS)
        except Error as error:
            raise PageTrouble(self._no_button(visitor, asked, error)) from None
        except TimeoutError:
            raise PageTrouble(
                f"The button {asked.pay} at {asked.url} opens no payment window." + visitor.hints()
            ) from None
        _check_changes(visitor, asked)
        try:
            await self._go_through(visitor, page, asked)
        except (Stuck, Error, TimeoutError) as error:
            visit.stuck = str(error).splitlines()[0] or type(error).__name__
        visit.cookies = {
            each["name"]: each["value"] for each in await visitor.context.cookies(asked.url)
        }
        if visitor.is_gone:
            await self._pull_the_plug()
        return visit

    async def _page_with_button(self, visitor: _Visitor, asked: Asked) -> Page:
        from playwright.async_api import Error

        page = visitor.pages.get(asked.url)
        if page is not None and not page.is_closed() and not asked.changes:
            # The buyer who closed the window is at this page still, unless it sent them away.
            with contextlib.suppress(Error):
                await page.locator(asked.pay).first.wait_for(timeout=BACK_SECONDS * 1000)
                return page
        page = visitor.pages[asked.url] = await visitor.context.new_page()
        page.on("pageerror", lambda error: visitor.errors.append(str(error)))
        if asked.changes:
            await page.add_init_script(TRAP % json.dumps(dict(asked.changes)))
        await page.goto(asked.url, wait_until="load")
        await page.locator(asked.pay).first.wait_for()
        return page

    async def _go_through(self, visitor: _Visitor, page: Page, asked: Asked) -> None:
        visit = visitor.visit
        if not visit.windows:
            return
        frame, window = await self._pg_window(visitor)
        visit.said_before = len(self.said)
        if asked.ending == "closes":
            if window.mode != "iframe":
                await frame.page.close()
                return
            await page.locator(".imp-close").click()
            await page.locator(".imp-ask button").last.click()
            await page.locator(".imp-dialog").wait_for(state="detached")
            return
        while True:
            form = await asyncio.to_thread(self._authenticate, frame.url.partition("?")[0])
            if not frame.is_detached():
                visitor.approval = ("POST", form["action"])
                visitor.is_gone = asked.ending == "leaves"
                await frame.evaluate(SUBMIT, form)
                break
            # Another window took its place meanwhile: who pressed twice goes on in that one.
            frame, window = await self._pg_window(visitor)
        visit.windows.append(visit.windows.pop(visit.windows.index(window)))
        if visitor.is_gone:
            await visitor.until(lambda: visitor.approval in visitor.answered, PAGE_SECONDS)
            return
        with contextlib.suppress(TimeoutError):
            await visitor.until(
                lambda: any(said.names(window.imp_uid) for said in visitor.said), REPORT_SECONDS
            )
            visit.reported = True

    async def _pull_the_plug(self) -> None:
        """The whole browser is gone, without a last word.

        A page that is closed has one: its scripts hear of it, and Chromium lets go what was held
        back here. The next press starts another browser.
        """
        from playwright.async_api import Error

        gone = asyncio.Event()
        self._browser.once("disconnected", lambda _: gone.set())
        devtools = await self._browser.new_browser_cdp_session()
        with contextlib.suppress(Error):  # It does not live to answer.
            await devtools.send("Browser.crash")
        await asyncio.wait_for(gone.wait(), PAGE_SECONDS)

    async def _pg_window(self, visitor: _Visitor) -> tuple[Frame, Window]:
        """The PG's window in sight: in a layer, a popup, or in the page's own place."""
        start = f"{self._sandbox}/window/"
        found: list[tuple[Frame, Window]] = []

        def look() -> bool:
            found[:] = [
                (frame, window)
                for frame, window in visitor.shown.items()
                if frame.url.startswith(start) and not frame.is_detached()
            ]
            return bool(found)

        await visitor.until(look, PAGE_SECONDS)
        frame, window = found[-1]
        await frame.wait_for_load_state("domcontentloaded")
        return frame, window

    def _authenticate(self, pg_window: str) -> dict[str, Any]:
        """Who one is, is proven in HTTP: PG's pages differ, and none of it is the shop's."""
        answer = self._buyer.authenticate(pg_window, self._buyer.look(pg_window), None)
        form: dict[str, Any] | None = answer.get("return_form")
        if form is None:
            raise Stuck(f"The PG refuses the buyer, {answer.get('code')}: {answer.get('message')}")
        return form

    def _no_button(self, visitor: _Visitor, asked: Asked, error: Exception) -> str:
        first = str(error).splitlines()[0]
        return f"{asked.url} shows no button {asked.pay} to press ({first})." + visitor.hints()

    def _wait(self, work: Coroutine[Any, Any, _T], seconds: float) -> _T:
        """Done in the browser's own loop, by whichever thread asks."""

        async def limited() -> _T:
            return await asyncio.wait_for(work, seconds)

        try:
            return asyncio.run_coroutine_threadsafe(limited(), self._loop).result(seconds + 5)
        except TimeoutError:
            raise PageTrouble(f"The browser was not done after {seconds:.0f} s.") from None


@dataclass
class _Visitor:
    """One buyer's browser: their cookies and pages, and what has been seen of them."""

    context: BrowserContext
    pages: dict[str, Page] = field(default_factory=dict)
    visit: Visit = field(default_factory=Visit)
    said: list[Said] = field(default_factory=list)
    answered: set[tuple[str, str]] = field(default_factory=set)
    asked_for: list[dict[str, Any]] = field(default_factory=list)
    shown: dict[Frame, Window] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    approval: tuple[str, str] = ("", "")
    is_gone: bool = False

    def begin(self) -> None:
        """Another press."""
        self.visit, self.said, self.asked_for, self.is_gone = Visit(), [], [], False
        self.answered.clear()
        self.shown.clear()

    def goes(self, frame: Frame, url: str) -> None:
        """A frame goes to this address, which may be that of a window."""
        for window in self.visit.windows:
            if window.url == url:
                self.shown[frame] = window

    def opened(self, request: Request, status: int, text: str) -> None:
        """The gateway's answer to IMP.request_pay."""
        try:
            answer = json.loads(text)
            self.asked_for.append(json.loads(request.post_data or "{}").get("param") or {})
        except (ValueError, AttributeError):
            self.visit.refusals.append(f"HTTP {status}")
            return
        if status != 200:
            error = answer.get("error") or {}
            self.visit.refusals.append(str(error.get("error_msg")))
        else:
            parts = urlsplit(request.frame.url)
            self.visit.windows.append(
                Window(
                    answer["imp_uid"],
                    answer["merchant_uid"],
                    answer["mode"],
                    answer["window_url"],
                    answer["token"],
                    f"{parts.scheme}://{parts.netloc}",
                )
            )
        self.news.set()

    async def until(self, so: Callable[[], bool], seconds: float) -> None:
        """Wait for something to be seen. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not so():
                self.news.clear()
                with contextlib.suppress(TimeoutError):
                    # Frames move on without a word of their own.
                    await asyncio.wait_for(self.news.wait(), 0.1)

    def hints(self) -> str:
        """What may have kept the page from working."""
        hints = [f"its script says: {error}" for error in self.errors[:2]]
        if self.blocked:
            places = ", ".join(sorted(set(self.blocked)))
            hints.append(
                f"the certifier's browser reaches nobody outside, and the page asked for {places}: "
                "load the SDK from the gateway, and libraries from the shop"
            )
        return f" ({'; '.join(hints)}.)" if hints else ""


_TALK = ("document", "fetch", "xhr", "ping", "other")


def _opens_window(request: Request) -> bool:
    return request.method == "POST" and urlsplit(request.url).path.endswith("/checkout/payments")


def _check_changes(visitor: _Visitor, asked: Asked) -> None:
    """A page that never asked window.IMP was not attacked, and must not pass for one that held."""
    for param in visitor.asked_for:
        for name, value in asked.changes.items():
            if str(param.get(name)) != str(value):
                raise PageTrouble(
                    f"The page at {asked.url} does not call IMP.request_pay of window.IMP, so that "
                    f"its {name} could not be changed."
                )


def _place(url: str) -> Place:
    """Host and port; every name of this machine is one."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "", None
    if host in ("localhost", "127.0.0.1", "::1"):
        host = "127.0.0.1"
    return host, port or {"http": 80, "https": 443}.get(parts.scheme)
