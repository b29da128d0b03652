"""The shop under attack: started, spoken to, read. Everything that is said to it lands on the tape."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

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
from naru.certifier.tape import Tape

START_SECONDS = 60.0
STOP_SECONDS = 5.0
# i'mport waits 15 s for a webhook's answer when it sends it again; a buyer waits no longer.
ANSWER_SECONDS = 25.0
COMMAND_SECONDS = 30.0
LOG_LINES_SHOWN = 12


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
        self._http = urllib3.PoolManager(maxsize=16, retries=False)
        self._process: subprocess.Popen[bytes] | None = None

    # Coming and going.

    def start(self) -> None:
        """Start it, if the adapter says how, and wait until it answers. Raises ShopTrouble."""
        if self.adapter.start:
            environ = dict(os.environ) | self._env()
            with (self._folder / "shop.log").open("ab") as log:
                try:
                    self._process = subprocess.Popen(  # noqa: S603 - the merchant's own words
                        fill_words(self.adapter.start, self._names),
                        cwd=self.adapter.folder,
                        env=environ,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                except OSError as error:
                    raise ShopTrouble(f"The shop does not start: {error}.") from None
        deadline = time.monotonic() + (START_SECONDS if self.adapter.start else 5.0)
        while not self._is_up():
            if self._process is not None and self._process.poll() is not None:
                raise ShopTrouble(f"The shop has ended at once. {self._last_words()}")
            if time.monotonic() > deadline:
                raise ShopTrouble(
                    f"The shop does not answer GET {self.adapter.ready} at {self.url}. "
                    + self._last_words()
                )
            time.sleep(0.05)

    def is_alive(self) -> bool:
        """Does it still answer?"""
        if self._process is not None and self._process.poll() is not None:
            return False
        return self._is_up()

    def restart(self) -> None:
        """After it died of an attack: the next one finds it running. Raises ShopTrouble."""
        self._end_process()
        self.start()

    def stop(self) -> None:
        """End what was started here, and forget its folder."""
        self._end_process()
        self._http.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    # Orders.

    def place(self, visitor: Visitor, amount: int) -> tuple[str, int]:
        """A new order: its number, and what it costs. Raises ShopTrouble."""
        answer = self._answer_of("order", self.adapter.order, visitor, {"amount": amount})
        number = self._find("order", answer, self.adapter.order_number)
        if not isinstance(number, str | int) or str(number) == "":
            raise ShopTrouble(f"[order] merchant_uid points at {number!r}, which is no number.")
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
            raise ShopTrouble(
                f"[state.words] does not say what {word!r} means: paid, unpaid or cancelled?"
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

    def callback(self, visitor: Visitor, names: Mapping[str, str | int]) -> Answer:
        """What the page's callback tells the server."""
        assert self.adapter.callback is not None
        return self._call(self.adapter.callback, visitor, names)

    def request(
        self,
        visitor: Visitor,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        silent: bool = False,
    ) -> Answer:
        """One request; redirects are told, never followed: they may lead to a stranger."""
        given = {"Accept": "application/json, */*;q=0.5", **(headers or {})}
        if visitor.cookies:
            given["Cookie"] = "; ".join(f"{name}={text}" for name, text in visitor.cookies.items())
        began = time.monotonic()
        try:
            heard = self._http.request(
                method,
                self.url + path,
                body=body,
                headers=given,
                redirect=False,
                timeout=ANSWER_SECONDS,
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            answer = Answer(None, type(error).__name__)
        else:
            visitor.keep(heard.headers.getlist("Set-Cookie"))
            answer = Answer(
                heard.status,
                heard.data.decode("utf-8", "replace"),
                heard.headers.get("Location", ""),
            )
        if not silent:
            lines = [f"{method} {path}", *(f"{name}: {text}" for name, text in given.items()), ""]
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

    def _is_up(self) -> bool:
        answer = self.request(Visitor("certifier"), "GET", self.adapter.ready, silent=True)
        return answer.status is not None and answer.status < 500

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
        return self.request(visitor, call.method, path, body=body, headers=headers, silent=silent)

    def _run(
        self, call: Command, visitor: Visitor, names: Mapping[str, str | int], *, silent: bool
    ) -> Answer:
        words = fill_words(call.words, names)
        try:
            done = subprocess.run(  # noqa: S603 - the merchant's own words
                words,
                cwd=self.adapter.folder,
                env=dict(os.environ) | self._env(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise ShopTrouble(f"The command {words[0]} cannot be run: {error}.") from None
        answered = done.stdout.decode("utf-8", "replace")
        if done.returncode:
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no word"]
            raise ShopTrouble(f"{' '.join(words)}: exit status {done.returncode}, {last[0]}")
        if not silent:
            self.tape.record(visitor.party, "shop", " ".join(call.words), response=answered)
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
            raise ShopTrouble(f"[{section}]: the shop does not answer ({answer.text}).")
        if not answer.accepted:
            raise ShopTrouble(f"[{section}]: the shop answers {answer.status}: {answer.text[:200]}")
        try:
            return json.loads(answer.text)
        except ValueError:
            raise ShopTrouble(f"[{section}]: no JSON but {answer.text[:80]!r}.") from None

    def _find(self, section: str, answer: Any, pointer: str) -> Any:
        try:
            return point(answer, pointer)
        except (LookupError, TypeError):
            shown = json.dumps(answer, ensure_ascii=False)[:200]
            raise ShopTrouble(f"[{section}]: nothing at {pointer} in {shown}.") from None

    def _whole(self, what: str, given: Any) -> int:
        try:
            number = float(given)
            if isinstance(given, bool) or number != int(number):
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise ShopTrouble(f"[{what}]: {given!r} is no whole number.") from None
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

    def _last_words(self) -> str:
        try:
            lines = (self._folder / "shop.log").read_text("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return "Its last words:\n" + "\n".join(lines[-LOG_LINES_SHOWN:]) if lines else ""
