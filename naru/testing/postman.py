"""Webhooks between a private gateway and the shop under test: brought, held, dropped, doubled, turned round.

The gateway posts to an address of this process, over true HTTP, and is answered what the shop
answered, so that its own retries are the true ones. A shop with an address is told at once; one that
is a WSGI or ASGI callable is told in the thread (or the loop) of the test, while one of the verbs of
`Imp` waits: a Django test case's open transaction, or a fixture's event loop, is the shop's own then.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import queue
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Shop = str | Callable[..., Any]
"""Where webhooks go: an origin or a whole address, a WSGI callable, or an ASGI callable."""
RunAsync = Callable[[Coroutine[Any, Any, int]], int]

DEFAULT_PATH = "/payments/webhook"
BROUGHT_SECONDS = 25.0  # The gateway waits 30 s for a shop's answer.
_GONE = 410  # Nobody lives here any more: the gateway tries no more.


class PostTrouble(Exception):
    """A webhook cannot be brought to this shop in this way."""


@dataclass(frozen=True)
class Letter:
    """One webhook as the gateway sent it. `again` counts attempts at the same one, from 1."""

    imp_uid: str
    merchant_uid: str
    status: str
    path: str
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    again: int = 1


class Webhooks:
    """What a test does with the webhooks of its shop.

    `arrived` is all that the gateway sent, `told` what the shop was told (with what it answered, in
    that order), `held` what waits here. Without a shop (`to`) everything is accepted and kept.
    """

    def __init__(self, secret: str) -> None:
        self.arrived: list[Letter] = []
        self.told: list[tuple[Letter, int]] = []
        self.held: list[Letter] = []
        self.run_async: RunAsync = self._run_in_own_loop
        self._secret = secret
        self._shop: Shop | None = None
        self._path = DEFAULT_PATH
        self._times = 1
        self._holding = False
        self._waiting: queue.SimpleQueue[tuple[Letter, Future[int]]] = queue.SimpleQueue()
        self._errors: list[BaseException] = []
        self._lock = threading.Lock()
        self._runner: asyncio.Runner | None = None

    def to(self, shop: Shop, path: str = DEFAULT_PATH) -> None:
        """Bring webhooks to this shop from now on: `"http://127.0.0.1:8000"`, or its WSGI or ASGI app.

        `path` is where it hears them, unless the address names a path itself.
        """
        if not isinstance(shop, str) and not callable(shop):
            raise PostTrouble(
                "webhooks.to() takes an address such as http://127.0.0.1:8000, or a WSGI or ASGI "
                f"callable, not {type(shop).__name__}."
            )
        if isinstance(shop, str):
            parts = urlsplit(shop)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise PostTrouble(f"{shop!r} is no address such as http://127.0.0.1:8000.")
            shop, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/") or path
        self._shop, self._path = shop, path

    def hold(self) -> None:
        """From now on webhooks wait here; the gateway believes that the shop has them."""
        self._holding = True

    def release(self, *which: Letter, times: int = 1) -> None:
        """Bring these, in this order, so many times each; without a name all, and hold no more.

        The other way round: `release(*reversed(imp.webhooks.held))`.
        """
        letters = self._take(which)
        if not which:
            self._holding = False
        for letter in letters:
            for _ in range(times):
                self._bring(letter)
        self.raise_errors()

    def bring(self, letter: Letter) -> int:
        """Tell the shop this letter now, in this thread; the status that it answers.

        Any letter that arrived, held or told before; one that is held stays so. Threads may bring the
        same one at once, to a shop with an address or a WSGI callable. 502: nobody is there. What a
        shop in this process raises is raised here.
        """
        if letter not in self.arrived:
            raise PostTrouble(f"{letter} did not arrive here.")
        return self._tell(letter)

    def drop(self, *which: Letter) -> None:
        """Lose these, or without a name all that are held, and hold no more."""
        self._take(which)
        if not which:
            self._holding = False

    def duplicate(self, times: int = 2) -> None:
        """Bring each webhook so many times from now on; 1 is back to usual."""
        if times < 1:
            raise PostTrouble("A webhook is brought once or more often; drop() loses one.")
        self._times = times

    # What the postman and the verbs of Imp call.

    def receive(self, letter: Letter) -> int:
        """The gateway's attempt, in a thread of the postman; the status that it is answered."""
        with self._lock:
            same = [
                each
                for each in self.arrived
                if each.headers["webhook-id"] == letter.headers["webhook-id"]
            ]
            letter = replace(letter, again=len(same) + 1)
            self.arrived.append(letter)
            if self._holding:
                self.held.append(letter)
        if self._holding or self._shop is None:
            return 200
        if isinstance(self._shop, str):
            return self._bring_often(letter)
        answer: Future[int] = Future()
        self._waiting.put((letter, answer))
        try:
            return answer.result(BROUGHT_SECONDS)
        except FutureTimeout:
            # Nobody of the test came by. The gateway sends it again in its own time.
            answer.cancel()
            return 503

    def bring_waiting(self, seconds: float) -> None:
        """Tell the shop in this thread what waits for it; wait so long for a first one."""
        with suppress(queue.Empty):
            letter, answer = self._waiting.get(timeout=seconds)
            if answer.set_running_or_notify_cancel():
                status = 500
                try:
                    status = self._bring_often(letter)
                finally:
                    answer.set_result(status)

    def close(self) -> None:
        """Nobody will be told any more: whoever waits is sent away."""
        with suppress(queue.Empty):
            while True:
                _, answer = self._waiting.get_nowait()
                if answer.set_running_or_notify_cancel():
                    answer.set_result(_GONE)
        if self._runner is not None:
            self._runner.close()

    def raise_errors(self) -> None:
        """What the shop raised while it was told in this process, the first of it."""
        with self._lock:
            errors, self._errors = self._errors, []
        if errors:
            raise errors[0]

    def _take(self, which: Iterable[Letter]) -> list[Letter]:
        with self._lock:
            letters = list(which) or list(self.held)
            for letter in letters:
                if letter not in self.held:
                    raise PostTrouble(f"{letter} is not held here.")
                self.held.remove(letter)
        return letters

    def _run_in_own_loop(self, work: Coroutine[Any, Any, int]) -> int:
        """For blocking tests: one loop for all webhooks, which may share what the shop opened."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._runner = self._runner or asyncio.Runner()
            return self._runner.run(work)
        work.close()
        raise PostTrouble(
            "An async test tells an ASGI shop with the fixture `async_imp`, not `imp`."
        )

    def _bring_often(self, letter: Letter) -> int:
        return [self._bring(letter) for _ in range(self._times)][-1]

    def _bring(self, letter: Letter) -> int:
        try:
            return self._tell(letter)
        except PostTrouble:
            raise
        except Exception as error:
            # The shop's own mistake: the gateway sees what a server would answer, the test the error.
            self._errors.append(error)
            return 500

    def _tell(self, letter: Letter) -> int:
        headers = signed_anew(self._secret, letter)
        try:
            if self._shop is None:
                status = 200
            elif isinstance(self._shop, str):
                status = _post(self._shop + self._path, headers, letter.body)
            elif _is_asgi(self._shop):
                status = self.run_async(_tell_asgi(self._shop, self._path, headers, letter.body))
            else:
                status = _tell_wsgi(self._shop, self._path, headers, letter.body)
        except PostTrouble:
            raise
        except Exception:
            self.told.append((letter, 500))
            raise
        self.told.append((letter, status))
        return status


class Postman:
    """The HTTP server of this process that gateways post to; each shop has a path of its own."""

    def __init__(self) -> None:
        shops: dict[str, Webhooks] = {}

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                shop = shops.get(self.path)
                status = (
                    _GONE
                    if shop is None
                    else shop.receive(_read(self.path, dict(self.headers), body))
                )
                with suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self._shops = shops
        self._server = Server(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def open(self, path: str, webhooks: Webhooks) -> None:
        """Letters to this path are for this shop from now on."""
        self._shops[path] = webhooks

    def shut(self, path: str) -> None:
        """Nobody is here any more."""
        self._shops.pop(path, None)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def _read(path: str, headers: dict[str, str], body: bytes) -> Letter:
    lower = {name.lower(): text for name, text in headers.items()}
    if lower.get("content-type", "").startswith("application/json"):
        fields = json.loads(body)
    else:
        fields = {name: texts[-1] for name, texts in parse_qs(body.decode()).items()}
    imp_uid, merchant_uid, status = (
        str(fields.get(name, "")) for name in ("imp_uid", "merchant_uid", "status")
    )
    return Letter(imp_uid, merchant_uid, status, path, body, lower)


def signed_anew(secret: str, letter: Letter) -> dict[str, str]:
    """The letter's headers with the time of now, as every attempt of the gateway has its own.

    A held letter is an attempt that was made later, and the shop's clock is not moved by `advance`:
    with the gateway's stamp it would be refused as too old, or as of the future.
    """
    import time
    from datetime import UTC, datetime

    from standardwebhooks import Webhook

    headers = {
        name: text
        for name, text in letter.headers.items()
        if name in ("content-type", "user-agent") or name.startswith("webhook-")
    }
    now = datetime.fromtimestamp(int(time.time()), UTC)
    headers["webhook-timestamp"] = str(int(now.timestamp()))
    headers["webhook-signature"] = Webhook(secret).sign(
        headers["webhook-id"], now, letter.body.decode()
    )
    return headers


def _is_asgi(shop: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(shop) or inspect.iscoroutinefunction(
        getattr(shop, "__call__", None)  # noqa: B004  # its type is what tells the two apart
    )


def _post(url: str, headers: dict[str, str], body: bytes) -> int:
    import urllib3

    with urllib3.PoolManager() as pool:
        try:
            answer = pool.request(
                "POST",
                url,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                timeout=BROUGHT_SECONDS,
            )
        except (urllib3.exceptions.HTTPError, OSError):
            return 502  # Nobody there: as a balancer would answer, so the gateway tries again.
        return int(answer.status)


def _tell_wsgi(shop: Callable[..., Any], path: str, headers: dict[str, str], body: bytes) -> int:
    from wsgiref.util import setup_testing_defaults

    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
    }
    for name, text in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = text
    setup_testing_defaults(environ)
    statuses: list[int] = []

    def start(status: str, _: list[tuple[str, str]], error: Any = None) -> Callable[[bytes], None]:
        statuses.append(int(status.split(" ", 1)[0]))
        return lambda _: None

    answer = shop(environ, start)
    try:
        for _ in answer:
            pass
    finally:
        if hasattr(answer, "close"):
            answer.close()
    return statuses[-1]


async def _tell_asgi(
    shop: Callable[..., Any], path: str, headers: dict[str, str], body: bytes
) -> int:
    given = [*headers.items(), ("content-length", str(len(body))), ("host", "127.0.0.1")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode("latin-1"), text.encode("latin-1")) for name, text in given],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 80),
    }
    parts = [{"type": "http.request", "body": body, "more_body": False}]
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await shop(scope, receive, send)
    return statuses[-1] if statuses else 500
