"""The shop under attack: started, spoken to, read. Everything that is said to it lands on the tape."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from naru.certifier.adapter import (
    Adapter,
    Call,
    Command,
    HttpCall,
    Status,
    fill,
    fill_words,
    point,
)
from naru.certifier.result import Party
from naru.certifier.tape import CUT_OUT, Tape

START_SECONDS = 60.0
STOP_SECONDS = 5.0
# i'mport waits 15 s for a webhook's answer when it sends it again; a buyer waits no longer.
ANSWER_SECONDS = 25.0
ANSWER_BYTES_MAX = 1_000_000  # the rest is not read
COMMAND_SECONDS = 30.0
LOG_LINES_SHOWN = 12
LOG_BYTES_READ = 20_000
# What these say of a request is no secret; what else an adapter puts into headers may be one.
_OPEN_HEADERS = ("accept", "content-type")
_LATE = "no whole answer in {:.0f} s"
_CLOSED_HEADERS = ("authorization", "cookie", "proxy-authorization", "set-cookie")


class ShopTrouble(Exception):
    """The shop, or the adapter's way to it, does not do what the adapter says."""


@dataclass(frozen=True)
class Answer:
    """What the shop answered; `status` None when it hung up or was silent."""

    status: int | None
    text: str = ""
    location: str = ""

    @property
    def accepted(self) -> bool:
        """2xx: whoever told it needs not tell it again."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True)
class OrderState:
    """An order as the shop's own books have it; `word` is the shop's own."""

    word: str
    status: Status
    fulfilled: int
    paid_amount: int | None


@dataclass
class Visitor:
    """Somebody with a cookie jar of their own."""

    party: Party
    cookies: dict[str, str] = field(default_factory=dict)

    def keep(self, set_cookies: list[str]) -> None:
        """Remember what the shop set, and forget what it took back."""
        for line in set_cookies:
            jar: SimpleCookie = SimpleCookie()
            with contextlib.suppress(CookieError):
                jar.load(line)
            for name, morsel in jar.items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value


def free_origin() -> str:
    """Where a shop can be started on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


class Shop:
    """One shop at one origin. Threads may speak to it at once."""

    def __init__(self, adapter: Adapter, url: str, names: Mapping[str, str], tape: Tape) -> None:
        self.adapter, self.url, self.tape = adapter, url, tape
        self._folder = Path(tempfile.mkdtemp(prefix="naru-shop-"))
        port = urlsplit(url).port or (443 if url.startswith("https") else 80)
        self._names: dict[str, str | int] = dict(names)
        self._names |= {"url": url, "port": str(port), "temp": str(self._folder)}
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[str] | None = None
        self._telling = threading.Lock()

    # Coming and going.

    def start(self) -> None:
        """Start it, if the adapter says how, and wait until it answers. Raises ShopTrouble."""
        if self.adapter.start:
            self._refuse_neighbour()
            self._start_guard()
            with (self._folder / "shop.log").open("ab") as log:
                try:
                    self._process = subprocess.Popen(  # noqa: S603 - the merchant's own words
                        fill_words(self.adapter.start, self._names),
                        cwd=self.adapter.folder,
                        env=dict(os.environ) | self._env(),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                except (OSError, ValueError) as error:
                    raise self._trouble(f"The shop does not start: {_why(error)}.") from None
            self._tell_guard(self._process.pid)
        deadline = time.monotonic() + (START_SECONDS if self.adapter.start else 5.0)
        while not self._is_up(min(ANSWER_SECONDS, max(1.0, deadline - time.monotonic()))):
            if self._process is not None and self._process.poll() is not None:
                raise self._trouble(f"The shop has ended at once. {self._last_words()}")
            if time.monotonic() > deadline:
                raise self._trouble(
                    f"The shop does not answer GET {self.adapter.ready} at {self.url}. "
                    + self._last_words()
                )
            time.sleep(0.05)

    def is_alive(self) -> bool:
        """Does it still answer?"""
        if self._process is not None and self._process.poll() is not None:
            return False
        return self._is_up(ANSWER_SECONDS)

    def restart(self) -> None:
        """After it died of an attack: the next one finds it running. Raises ShopTrouble."""
        self._end_process()
        self.start()

    def stop(self) -> None:
        """End what was started here, and forget its folder."""
        self._end_process()
        shutil.rmtree(self._folder, ignore_errors=True)
        guard, self._guard = self._guard, None
        if guard is not None:
            assert guard.stdin is not None
            with contextlib.suppress(OSError):
                guard.stdin.close()
            guard.wait()

    # Orders.

    def place(self, visitor: Visitor, amount: int) -> tuple[str, int]:
        """A new order: its number, and what it costs. Raises ShopTrouble."""
        answer = self._answer_of("order", self.adapter.order, visitor, {"amount": amount})
        number = self._find("order", answer, self.adapter.order_number)
        if not isinstance(number, str | int) or str(number) == "":
            shown = self.tape.clean(repr(number), 200)
            raise self._trouble(f"[order] merchant_uid points at {shown}, which is no number.")
        if self.adapter.order_amount is not None:
            amount = self._whole(
                "order amount", self._find("order", answer, self.adapter.order_amount)
            )
        return str(number), amount

    def read(self, merchant_uid: str) -> OrderState:
        """How the order stands in the shop's own books. Raises ShopTrouble."""
        adapter = self.adapter
        # Not on the tape: judging is no part of what happened.
        answer = self._answer_of(
            "state", adapter.state, None, {"merchant_uid": merchant_uid}, silent=True
        )
        word = str(self._find("state", answer, adapter.state_status))
        if word not in adapter.words:
            shown = self.tape.clean(repr(word), 200)
            raise self._trouble(
                f"[state.words] does not say what {shown} means: paid, unpaid or cancelled?"
            )
        paid_amount = None
        if adapter.state_paid_amount is not None:
            given = self._find("state", answer, adapter.state_paid_amount)
            paid_amount = None if given is None else self._whole("state paid_amount", given)
        fulfilled = self._find("state", answer, adapter.state_fulfilled)
        return OrderState(
            word,
            adapter.words[word],
            int(fulfilled) if isinstance(fulfilled, bool) else self._whole("fulfilled", fulfilled),
            paid_amount,
        )

    def change(self, merchant_uid: str, amount: int) -> Answer:
        """The order, not paid yet, gets another price. Raises ShopTrouble when a command fails."""
        assert self.adapter.change is not None
        names: dict[str, str | int] = {"merchant_uid": merchant_uid, "amount": amount}
        return self._call(self.adapter.change, Visitor("buyer"), names)

    def sweep(self) -> Answer:
        """What cron runs. Raises ShopTrouble when a command fails."""
        assert self.adapter.sweep is not None
        return self._call(self.adapter.sweep, Visitor("staff"), {})

    # News.

    def callback(
        self, visitor: Visitor, names: Mapping[str, str | int], call: Call | None = None
    ) -> Answer:
        """What the page's callback tells the server; `call` where it is said in another way."""
        call = self.adapter.callback if call is None else call
        assert call is not None
        return self._call(call, visitor, names)

    def request(
        self,
        visitor: Visitor,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        hidden: Collection[str] = (),
        silent: bool = False,
    ) -> Answer:
        """One request; redirects are told, never followed: they may lead to a stranger.

        `hidden`: the values of these headers do not come onto the tape, nor do cookies.
        """
        given = {"Accept": "application/json, */*;q=0.5", **(headers or {})}
        if visitor.cookies:
            given["Cookie"] = "; ".join(f"{name}={text}" for name, text in visitor.cookies.items())
        began = time.monotonic()
        answer, cookies = self._ask(method, path, body, given, ANSWER_SECONDS)
        visitor.keep(cookies)
        if not silent:
            closed = {name.lower() for name in hidden}.union(_CLOSED_HEADERS)
            shown = {
                name: CUT_OUT if name.lower() in closed else text for name, text in given.items()
            }
            lines = [f"{method} {path}", *(f"{name}: {text}" for name, text in shown.items()), ""]
            sent = "\n".join(lines) + "\n" + (body or b"").decode("utf-8", "replace")
            found = f"Location: {answer.location}\n\n" if answer.location else ""
            self.tape.record(
                visitor.party,
                "shop",
                f"{method} {path.partition('?')[0]}",
                request=sent,
                status=answer.status,
                response=found + answer.text,
                seconds=time.monotonic() - began,
            )
        return answer

    # How it is done.

    def _env(self) -> dict[str, str]:
        return {name: str(fill(text, self._names)) for name, text in self.adapter.env.items()}

    def _is_up(self, seconds: float) -> bool:
        answer, _ = self._ask("GET", self.adapter.ready, None, {}, seconds)
        return answer.status is not None and answer.status < 500

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        seconds: float,
    ) -> tuple[Answer, list[str]]:
        """The answer as it came, and the cookies that it sets.

        `seconds` are for all of it, from the connection to the last byte: a shop that drips must
        not hold the certifier. What it packs (nobody asked it to) stays packed, and a flood is cut.
        """
        url = urllib3.util.parse_url(self.url + path)
        kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
        connection = kind((url.host or "").strip("[]"), url.port, timeout=seconds)
        late = threading.Event()
        try:
            connection.connect()
            deadline = threading.Timer(seconds, _hang_up, (connection.sock, late))
            deadline.daemon = True
            deadline.start()
            try:
                connection.request(
                    method,
                    url.request_uri,
                    body=body,
                    headers=headers,
                    preload_content=False,
                    decode_content=False,
                )
                heard = connection.getresponse()
                content = heard.read(ANSWER_BYTES_MAX, decode_content=False)
                status, told = heard.status, heard.headers
                heard.close()
            finally:
                deadline.cancel()
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as no:
            return Answer(None, _LATE.format(seconds) if late.is_set() else type(no).__name__), []
        finally:
            connection.close()
        if late.is_set():
            return Answer(None, _LATE.format(seconds)), []
        answer = Answer(status, content.decode("utf-8", "replace"), told.get("Location", ""))
        return answer, told.getlist("Set-Cookie")

    def _call(
        self, call: Call, visitor: Visitor, names: Mapping[str, str | int], *, silent: bool = False
    ) -> Answer:
        names = self._names | dict(names)
        if isinstance(call, Command):
            return self._run(call, visitor, names, silent=silent)
        return self._send(call, visitor, names, silent=silent)

    def _send(
        self, call: HttpCall, visitor: Visitor, names: Mapping[str, str | int], *, silent: bool
    ) -> Answer:
        headers = {name: str(fill(text, names)) for name, text in call.headers.items()}
        body = None
        if call.json is not None:
            body = json.dumps(fill(call.json, names)).encode()
            headers = {"Content-Type": "application/json"} | headers
        elif call.form is not None:
            form = {name: str(text) for name, text in fill(call.form, names).items()}
            body = urlencode(form, errors="surrogatepass").encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        path = fill(call.path, names, quoted=True)
        hidden = [name for name in call.headers if name.lower() not in _OPEN_HEADERS]
        return self.request(
            visitor, call.method, path, body=body, headers=headers, hidden=hidden, silent=silent
        )

    def _run(
        self, call: Command, visitor: Visitor, names: Mapping[str, str | int], *, silent: bool
    ) -> Answer:
        # What is said of a command is said in the adapter's own words: filled in, they hold secrets.
        said = " ".join(call.words)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                process = subprocess.Popen(  # noqa: S603 - the merchant's own words
                    fill_words(call.words, names),
                    cwd=self.adapter.folder,
                    env=dict(os.environ) | self._env(),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                why = f"The command {call.words[0]} cannot be run: {_why(error)}."
                raise self._trouble(why) from None
            self._tell_guard(process.pid)
            try:
                status = process.wait(COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                raise self._trouble(f"{said}: no end after {COMMAND_SECONDS:.0f} s.") from None
            finally:
                if process.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                self._tell_guard(-process.pid)
            out.seek(0)
            err.seek(max(0, err.seek(0, os.SEEK_END) - LOG_BYTES_READ))
            answered = out.read(ANSWER_BYTES_MAX).decode("utf-8", "replace")
            complaint = err.read(LOG_BYTES_READ).decode("utf-8", "replace")
        if status:
            last = complaint.strip().splitlines()[-1:] or ["no word"]
            raise self._trouble(f"{said}: exit status {status}, {last[0]}")
        if not silent:
            self.tape.record(visitor.party, "shop", said, response=answered)
        return Answer(200, answered)

    def _answer_of(
        self,
        section: str,
        call: Call,
        visitor: Visitor | None,
        names: Mapping[str, str | int],
        *,
        silent: bool = False,
    ) -> Any:
        answer = self._call(call, visitor or Visitor("certifier"), names, silent=silent)
        if answer.status is None:
            raise self._trouble(f"[{section}]: the shop does not answer ({answer.text}).")
        shown = self.tape.clean(answer.text, 200)
        if not answer.accepted:
            raise self._trouble(f"[{section}]: the shop answers {answer.status}: {shown}")
        try:
            return json.loads(answer.text)
        except (ValueError, RecursionError):
            raise self._trouble(f"[{section}]: no JSON but {shown[:80]!r}.") from None

    def _find(self, section: str, answer: Any, pointer: str) -> Any:
        try:
            return point(answer, pointer)
        except (LookupError, TypeError):
            shown = self.tape.clean(json.dumps(answer, ensure_ascii=False), 200)
            raise self._trouble(f"[{section}]: nothing at {pointer} in {shown}.") from None

    def _whole(self, what: str, given: Any) -> int:
        try:
            number = float(given)
            if isinstance(given, bool) or number != int(number):
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            shown = self.tape.clean(repr(given), 200)
            raise self._trouble(f"[{what}]: {shown} is no whole number.") from None
        return int(number)

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for strength in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, strength)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        # Whatever the shop itself has started belongs to its group.
        self._tell_guard(-process.pid)

    def _refuse_neighbour(self) -> None:
        """Who listens where the shop will be is somebody else, and must not be attacked for it."""
        place = urlsplit(self.url)
        with (
            contextlib.suppress(OSError),
            socket.create_connection((place.hostname or "", int(self._names["port"])), 2.0),
        ):
            raise self._trouble(
                f"Something listens at {self.url} already, where the adapter starts the shop: end "
                "it, or name another port. Nothing was attacked."
            )

    def _start_guard(self) -> None:
        if self._guard is None:
            self._guard = subprocess.Popen(  # noqa: S603
                # -P: a module of the merchant's own folder must not stand in for one of Python's.
                [sys.executable, "-P", "-m", "naru.certifier.guard", str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                # What ends us by Ctrl-C must not end it first.
                start_new_session=True,
            )

    def _tell_guard(self, group: int) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(OSError), self._telling:
                self._guard.stdin.write(f"{group}\n")
                self._guard.stdin.flush()

    def _last_words(self) -> str:
        try:
            with (self._folder / "shop.log").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_BYTES_READ))
                lines = log.read(LOG_BYTES_READ).decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return "Its last words:\n" + "\n".join(lines[-LOG_LINES_SHOWN:]) if lines else ""

    def _trouble(self, text: str) -> ShopTrouble:
        """What is told of trouble stands in reports: no secret may."""
        return ShopTrouble(self.tape.clean(text))


def _hang_up(line: socket.socket, late: threading.Event) -> None:
    """Whoever reads from it reads its end; a TLS socket has a word of its own for that, too slow."""
    late.set()
    with contextlib.suppress(OSError):
        socket.socket.shutdown(line, socket.SHUT_RDWR)


def _why(error: Exception) -> str:
    """Without the words of the command, which the error may repeat."""
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
