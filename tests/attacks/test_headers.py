"""What every answer of every route says to the browser that reads it, and where redirects lead.

The list of routes comes from the applications' own tables, so that a new route is asked as soon as
it exists; the control plants one without headers, and it is found.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import aiohttp
import pytest
import pytest_asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp
from yarl import URL

from naru import app as gateway_app
from naru import rest
from naru.config import Settings
from naru.sandbox.app import create_app as create_sandbox
from naru.shop.app import Settings as ShopSettings
from naru.shop.app import create_app as create_shop
from tests.checkout.gate import Gate, open_gate
from tests.support.gateway import ROOT_KEY
from tests.support.postgres import Databases
from tests.support.scale import often

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHOP_ORIGIN = "http://localhost:7001"  # the page that opened the gate's payments
EVIL = "evil.test"
STATIC = {"gateway": "", "sandbox": "look.css", "shop": "shop.css"}
# The samples are the requirement's own pages, byte for byte, with the inline scripts that they have.
AS_WRITTEN = "/samples/"
# What any page of any site may read: the SDK's file, and what the SDK asks on the shop's page.
FOR_ALL = re.compile(
    r"/js/|/v1/iamport|/users/pg/|/checkout/(payments|certifications|wallets|wishes)"
)
# Pages that stand in a popup whatever they say, and must reach the page that opened it.
POPUPS = re.compile(r"/checkout/certif(ied|ication(-enter|-done)?)/")
# The same for everybody: kept by the browser, and asked about each time.
PUBLIC = ("/static/", "/js/", "/v1/iamport", "/docs", "/openapi.json")
LOOSE = re.compile(r"unsafe-|\*|data:|blob:|https?:(?!//)")
Asked = tuple[str, str]
"""A method and a path, with its values and query."""


@dataclass
class Company:
    """A running application. `asked` is every route of it, with values that exist and some that do not."""

    name: str
    origin: str
    asked: list[Asked]
    # By path: whose page may frame it. Nobody may frame the others.
    framed_by: dict[str, str] = field(default_factory=dict)
    # Paths of a popup's pages, which must reach the page that opened them.
    popups: set[str] = field(default_factory=set)


@contextlib.asynccontextmanager
async def living(app: ASGIApp, **how: Any) -> AsyncIterator[str]:
    """Serve it, with its lifespan; yields its origin."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="on",
                            server_header=False, timeout_graceful_shutdown=1, **how)  # fmt: skip
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        assert not running.done(), "the application did not start"
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await running
    listener.close()


def rows(routes: Iterable[BaseRoute], name: str) -> Iterator[Asked]:
    """Method and path pattern of each route, as the application's own table says."""
    for route in routes:
        if isinstance(route, Mount):
            yield "GET", f"{route.path}/{STATIC[name]}"
        else:
            assert isinstance(route, Route), route
            for method in sorted(route.methods or ()):
                yield method, route.path


def filled(asked: Iterable[Asked], known: dict[str, list[str]]) -> list[Asked]:
    """Each route with values that exist, and once with values that nobody has."""
    found: dict[Asked, None] = {}
    for method, pattern in asked:
        names = re.findall(r"\{(\w+)\}", pattern)
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", pattern)
        choices = [known.get(f"{path.split('{')[0]}{name}", known.get(name, ["nobody"])) for name in names]  # fmt: skip
        for values in (*itertools.product(*choices), ("nobody",) * len(names)):
            where = dict(zip(names, values, strict=True))
            found[method, re.sub(r"\{(\w+)\}", lambda each: where[each[1]], path)] = None  # noqa: B023
    return list(found)


@dataclass
class Town:
    """All three companies, twice, and somebody who asks them."""

    plain: tuple[Company, ...]
    # As they run behind a proxy that ends TLS and says so in X-Forwarded-Proto.
    behind_tls: tuple[Company, ...]
    http: aiohttp.ClientSession
    gate: Gate
    pg_file: Path


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Town]:
    """The three applications on real sockets, over one database with payments in several states."""
    dsn, folder = databases.new(), tmp_path_factory.mktemp("town")
    async with contextlib.AsyncExitStack() as stack:
        gate = await stack.enter_async_context(open_gate(dsn, folder / "sandbox.sqlite3"))
        shop = create_shop(ShopSettings(folder / "shop.sqlite3", gate.url, "key", "secret",
                                        "imp00000000", allow_sandbox=True))  # fmt: skip
        believing = {"proxy_headers": True, "forwarded_allow_ips": "127.0.0.1"}
        shop_url = await stack.enter_async_context(living(shop, **believing))
        shop_asked = await shop_routes(shop, shop_url, gate.http)
        both = []
        for scheme in ("http", "https"):
            app = gateway_app.create_app(
                Settings(database_url=dsn, secret=ROOT_KEY, public_url=f"{scheme}://gate.test")
            )
            origin = await stack.enter_async_context(living(app))
            gateway = Company("gateway", origin, await gateway_routes(app, gate))
            await frames_of(gateway, gate)
            pg = create_sandbox(folder / "sandbox.sqlite3", f"{scheme}://pg.test")
            sandbox = Company("sandbox", await stack.enter_async_context(living(pg)), pg_routes(pg))
            both.append((gateway, sandbox, Company("shop", shop_url, shop_asked)))
        http = await stack.enter_async_context(
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        )
        yield Town(both[0], both[1], http, gate, folder / "sandbox.sqlite3")


async def gateway_routes(app: gateway_app.App, gate: Gate) -> list[Asked]:
    assert app._pages is not None
    table = list(rows(app._pages.routes, "gateway"))
    table += [(each.method, each.path) for each in rest.operations()]
    known = {
        "user_code": [gate.house.merchant.user_code],
        "version": ["1.2.0"],
        "channel_key": [gate.house.channel.channel_key],
    }
    return [*filled(table, known), ("GET", "/no/such/page"), ("PATCH", "/health"), ("GET", "/%ff")]


async def frames_of(gateway: Company, gate: Gate) -> None:
    """Payments in a layer, in a popup and by redirect, from their first page to their last."""
    for param, surface in (({}, "pc"), ({"pg": "payco"}, "pc"), ({}, "mobile")):
        opened = await gate.open(param, surface=surface)
        ended = await gate.open(param, surface=surface)
        doubtful = await gate.open(param | {"amount": 900_015}, surface=surface)
        token = quote(opened["token"])
        paths = [
            f"/checkout/{each}/{opened['imp_uid']}?token={token}" for each in ("window", "enter")
        ]
        paths += [URL(await gate.pay(each)).raw_path_qs for each in (ended, doubtful)]
        # Without a proof in its form this one is refused, on a page of that payment.
        paths.append(f"/checkout/return/{opened['imp_uid']}")
        gateway.asked += [("GET", path) for path in paths]
        gateway.asked.append(
            ("GET", f"/checkout/payments/{opened['imp_uid']}/result?token={token}")
        )
        if opened["mode"] == "iframe":
            gateway.framed_by |= dict.fromkeys(paths, SHOP_ORIGIN)
        if opened["mode"] == "popup":
            gateway.popups |= set(paths)


def pg_routes(company: Starlette) -> list[Asked]:
    return [
        *filled(rows(company.routes, "sandbox"), {}),
        ("GET", "/no/such/page"),
        ("PUT", "/desk"),
    ]


async def shop_routes(app: Starlette, origin: str, http: aiohttp.ClientSession) -> list[Asked]:
    fields = {"product": "chair", "quantity": "1", "name": "홍길동", "tel": "010-4242-4242",
              "email": "a@example.com", "addr": "서울", "postcode": ""}  # fmt: skip
    async with http.post(f"{origin}/orders", data=fields, allow_redirects=False) as answer:
        assert answer.status == 303
        number = answer.headers["Location"].rsplit("/", 1)[1]
    known = {"key": ["chair"], "merchant_uid": [number], "name": ["sample", "react", "vue"]}
    order_form = "/order?product=chair&quantity=1"
    landing = f"/payments/complete?imp_uid=&merchant_uid={number}&error_msg=x"
    more = [("GET", order_form), ("GET", landing), ("GET", "/no/such/page"), ("PUT", "/orders")]
    return [*filled(rows(app.routes, "shop"), known), *more]


@dataclass(frozen=True)
class Answer:
    """What came, without its body."""

    status: int
    headers: dict[str, str]

    def policy(self) -> dict[str, str]:
        """The directives of the content security policy."""
        said = self.headers.get("content-security-policy", "")
        pairs = (each.strip().partition(" ") for each in said.split(";"))
        return {name: value for name, _, value in pairs}

    @property
    def is_page(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/html")


async def ask(town: Town, company: Company, method: str, path: str, *, tls: bool) -> Answer:
    """One request, as a program sends it, with a body where the method has one."""
    data = b"{}" if method in ("POST", "PUT") else None
    url = URL(company.origin + path, encoded=True)
    headers = {"X-Forwarded-Proto": "https"} if tls else {}
    async with town.http.request(
        method, url, data=data, headers=headers, allow_redirects=False
    ) as answer:
        return Answer(answer.status, {name.lower(): each for name, each in answer.headers.items()})


def wrong(company: Company, path: str, answer: Answer, *, tls: bool) -> list[str]:
    """The names of the headers of this answer that a hostile page could make use of."""
    headers, policy, bad = answer.headers, answer.policy(), []
    for_all = company.name == "gateway" and FOR_ALL.match(path) is not None
    static = path.startswith(PUBLIC)
    written = company.name == "shop" and path.startswith(AS_WRITTEN)
    bad += ["nosniff"] * (headers.get("x-content-type-options") != "nosniff")
    bad += ["no-store"] * (not static and headers.get("cache-control") != "no-store")
    referrer = "strict-origin-when-cross-origin" if company.name == "shop" else "no-referrer"
    bad += ["referrer-policy"] * (headers.get("referrer-policy") != referrer)
    reader = "cross-origin" if for_all and answer.status != 404 else "same-origin"
    given = headers.get("cross-origin-resource-policy")
    bad += ["corp"] * (given not in {reader, "cross-origin" if for_all else reader})
    redirects = company.name == "gateway" and 300 <= answer.status < 400
    if redirects:
        # On the way of a window in a frame or a popup, where these would be obeyed as well.
        bad += ["csp"] * ("content-security-policy" in headers)
        bad += ["coop"] * ("cross-origin-opener-policy" in headers)
    else:
        bad += ["csp"] * (not written and policy.get("default-src") != "'none'")
        framed_by = company.framed_by.get(path, "'none'")
        bad += ["frame-ancestors"] * (policy.get("frame-ancestors") != framed_by)
    # Scripts and styles only from where they are meant to come from, and never inline.
    sources = " ".join(policy.get(each, "") for each in ("script-src", "style-src", "object-src"))
    bad += ["csp sources"] * (LOOSE.search(sources) is not None)
    if answer.is_page:
        bad += ["base-uri"] * (policy.get("base-uri") != "'none'")
        bad += ["permissions"] * ("camera=()" not in headers.get("permissions-policy", ""))
        popup = path in company.popups or POPUPS.match(path)
        opener = None if popup else "same-origin-allow-popups"
        bad += ["coop"] * (headers.get("cross-origin-opener-policy") != opener)
    bad += ["hsts"] * (("strict-transport-security" in headers) != tls)
    bad += ["cookie"] * (company.name != "shop" and "set-cookie" in headers)
    return bad


async def crawl(town: Town, company: Company, *, tls: bool = False) -> tuple[int, list[str]]:
    """Ask every route; how many answers came, and what was wrong with which."""
    answers, found = 0, []
    for method, path in company.asked:
        answer = await ask(town, company, method, path, tls=tls)
        assert answer.status < 500, (method, path, answer.status)
        answers += 1
        if bad := wrong(company, path, answer, tls=tls):
            found.append(f"{company.name} {method} {path} {answer.status}: {', '.join(bad)}")
    return answers, found


async def test_every_route_of_all_three_says_what_browsers_must_not_do(town: Town) -> None:
    total = 0
    for company in town.plain:
        answers, found = await crawl(town, company)
        total += answers
        assert found == [], "\n".join(found)
    print(f"{total} answers of all routes and pages: none without its headers")
    # The window's pages were really asked in all their ways.
    gateway = town.plain[0]
    assert len(gateway.framed_by) == len(gateway.popups) == 5
    assert total > 100


async def test_over_tls_every_route_says_that_there_is_no_way_back(town: Town) -> None:
    for company in town.behind_tls:
        # By day every other route.
        company.asked = company.asked[:: often(2, 1)]
        _, found = await crawl(town, company, tls=True)
        assert found == []


async def bare(request: Request) -> Response:
    """A page that somebody added in a hurry."""
    return HTMLResponse("<h1>new</h1>", headers={"Content-Security-Policy": "default-src 'self'"})


async def test_control_a_new_route_with_a_loose_policy_is_found(town: Town) -> None:
    """It is asked because it is in the table, and found because it says something else."""
    company = create_sandbox(town.pg_file, "http://pg.test")
    company.router.routes.append(Route("/new/{thing}", bare))
    asked = [row for row in pg_routes(company) if row[1].startswith("/new/")]
    assert asked == [("GET", "/new/nobody"), ("HEAD", "/new/nobody")]
    async with living(company) as origin:
        _, found = await crawl(town, Company("sandbox", origin, asked))
    assert found == [
        f"sandbox {method} /new/nobody 200: csp, frame-ancestors, base-uri, coop"
        for method in ("GET", "HEAD")
    ]


# Where redirects lead.

SPELLINGS = [
    "http://{e}", "https://{e}/", "//{e}", "///{e}", "////{e}//", "/\\{e}", "\\/{e}", "\\\\{e}", "/\t/{e}",
    "/\n/{e}", "\t//{e}", " //{e}", "%20//{e}", "/%2f{e}", "%2f%2f{e}", "/%5c{e}", "%5c%5c{e}", "/%09/{e}",
    "/./{e}", "/.//{e}", "/..//{e}", "/a/..//{e}", ";//{e}", "http:{e}", "http:/{e}", "http:///{e}",
    "https:\\\\{e}", "hTTp://{e}", "http://{e}#", "http://{e}?", "http://127.0.0.1@{e}", "http://127.0.0.1%40{e}",
    "http://127.0.0.1\\@{e}", "http://{e}\\@127.0.0.1", "http://127.0.0.1.{e}", "http://{e}%00.127.0.0.1",
    "http://{e}%0d%0aLocation:%20http://{e}", "//{e}%2f..", "//{e}/%2e%2e", "/{e}", "javascript:location='//{e}'",
    "data:text/html,<script>location='//{e}'</script>", "//％{e}", "http://ⓔvil.test", "//evil。test",
    "http://[::ffff:1.2.3.4]", "//3627734734", "@{e}", ".{e}", "?u=//{e}", "#//{e}", "//{e}:80", "//u:p@{e}",
]  # fmt: skip
NAMES = ("next", "url", "u", "to", "go", "back", "return", "return_url", "returnUrl", "redirect", "redirect_url",
         "redirect_uri", "m_redirect_url", "continue", "dest", "Location", "page_url", "lang", "error_msg",
         "imp_uid", "merchant_uid", "token", "proof", "window_id", "order_no")  # fmt: skip


def hosts_named(answer: aiohttp.ClientResponse, text: str) -> set[str]:
    """Every host that a browser would be taken to by this answer: at once, or by its links and forms."""
    targets = [answer.headers[name] for name in ("Location", "Refresh") if name in answer.headers]
    if answer.content_type == "text/html":
        targets += re.findall(r"""(?:href|action|formaction|src)=["']?([^"'\s>]*)""", text)
        targets += re.findall(r"url=([^\"'\s>]*)", text, re.I)
    # As browsers read addresses: backslashes are slashes, tabs and line breaks are nothing.
    read = (re.sub(r"[\t\r\n]", "", each).strip().replace("\\", "/") for each in targets)
    return {urlsplit(urljoin(str(answer.url), each)).netloc.lower() for each in read}


async def test_no_route_sends_anybody_to_an_address_out_of_the_request(town: Town) -> None:
    """Spellings x names x routes, in the query, in a form, in the path, and in the Host header."""
    spellings = [each.format(e=EVIL) for each in SPELLINGS]
    assert len(set(spellings)) >= 40
    homes = {urlsplit(company.origin).netloc for company in town.plain}
    known = homes | {"gate.test", "pg.test", "", urlsplit(town.gate.url).netloc}
    known |= {urlsplit(town.gate.pg.url).netloc}
    asked = 0
    for company in town.plain:
        routes = [row for row in company.asked if row[0] in ("GET", "POST")]
        routes = [row for row in routes if not FOR_ALL.match(row[1]) and "/static/" not in row[1]]
        for place, (method, path) in enumerate(routes):
            # By day each route meets a share of the spellings, by night all of them.
            for spelling in spellings[often(place % 24, 0) :: often(24, 1)]:
                fields = urlencode(dict.fromkeys(NAMES, spelling), errors="replace")
                url = f"{company.origin}{path}{'&' if '?' in path else '?'}{fields}"
                headers = {"Host": EVIL, "X-Forwarded-Host": EVIL, "Referer": f"http://{EVIL}/",
                           "Content-Type": "application/x-www-form-urlencoded"}  # fmt: skip
                async with town.http.request(
                    method, URL(url, encoded=True), headers=headers, allow_redirects=False,
                    data=fields if method == "POST" else None,
                ) as answer:  # fmt: skip
                    named = hosts_named(answer, await answer.text(errors="replace"))
                assert named <= known, (company.name, method, path, spelling, named - known)
                asked += 1
        for spelling in spellings:
            # The path itself as an address: `//evil.test` is another host to whoever repeats it.
            path = quote(spelling, safe="/\\:@?#%;=&[]'")
            if not path.startswith("/"):
                path = "/" + path
            for tail in ("", "/orders/", "/", "/desk/")[: often(2, 4)]:
                async with town.http.get(
                    URL(company.origin + path.split("#")[0] + tail, encoded=True),
                    allow_redirects=False,
                ) as answer:
                    named = hosts_named(answer, await answer.text(errors="replace"))
                assert named <= known, (company.name, path + tail, named - known)
                asked += 1
    print(f"{asked} requests with {len(spellings)} spellings of another site: none leads there")


async def test_control_a_careless_redirect_is_seen(town: Town) -> None:
    """The reader of answers knows the tricks: a server that repeats them is caught by most."""

    async def careless(request: Request) -> Response:
        answer = Response(status_code=302)
        answer.raw_headers.append((b"location", request.query_params["next"].encode()))
        return answer

    seen = 0
    async with living(Starlette(routes=[Route("/", careless)])) as origin:
        for spelling in (each.format(e=EVIL) for each in SPELLINGS):
            if re.search(r"[\t\n]", spelling):
                continue  # no server could put these into a header
            url = URL(f"{origin}/?{urlencode({'next': spelling})}", encoded=True)
            async with town.http.get(url, allow_redirects=False) as answer:
                named = hosts_named(answer, "")
            seen += any(EVIL in host for host in named)
    print(f"a careless redirect: {seen} of {len(SPELLINGS)} spellings lead to {EVIL}")
    assert seen >= 20
