"""The way to i'mport's REST API: one token while it lives, time-outs, and what cannot be known is said."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

Payment = dict[str, Any]

TIMEOUT = urllib3.Timeout(connect=2, read=5)
RENEWED_BEFORE_SECONDS = 60
STATUSES = ("paid", "cancelled")


class Trouble(Exception):
    """The gateway could not be asked: nothing is known, ask again later."""


class Gateway:
    """Asks with the keys of IMP_KEY and IMP_SECRET. Threads may share it."""

    def __init__(self) -> None:
        self._url = os.environ["IMP_URL"]
        self._http = urllib3.PoolManager(maxsize=8, retries=False)
        self._token, self._good_until = "", 0.0
        self._lock = threading.Lock()

    def payment(self, imp_uid: str) -> Payment | None:
        """The payment, None when the gateway knows none of this number. Raises Trouble."""
        return self._get(f"/payments/{quote(imp_uid, safe='')}")

    def recent(self) -> Iterator[Payment]:
        """What was paid or given back during the last three days. Raises Trouble."""
        for status in STATUSES:
            page = 1
            while page:
                query = {"page": page, "limit": 100, "from": int(time.time()) - 3 * 86400}
                found = self._get(f"/payments/status/{status}?{urlencode(query)}")
                yield from found["list"] if found else ()
                page = found["next"] if found else 0

    def announce(self, merchant_uid: str, amount: int) -> None:
        """The order of this number is paid with this amount, or not at all. Raises Trouble."""
        headers = {"Authorization": self._get_token()}
        order = {"merchant_uid": merchant_uid, "amount": amount}
        _read(self._send("POST", "/payments/prepare", headers, json=order))

    def _get(self, path: str) -> Any:
        answer = self._send("GET", path, {"Authorization": self._get_token()})
        if answer.status == 401:
            # It was renewed by somebody else's call, or revoked: once more with a fresh one.
            self._good_until = 0.0
            answer = self._send("GET", path, {"Authorization": self._get_token()})
        return None if answer.status == 404 else _read(answer)

    def _get_token(self) -> str:
        with self._lock:
            if time.monotonic() >= self._good_until:
                keys = {"imp_key": os.environ["IMP_KEY"], "imp_secret": os.environ["IMP_SECRET"]}
                told = _read(self._send("POST", "/users/getToken", json=keys))
                life = told["expired_at"] - told["now"] - RENEWED_BEFORE_SECONDS
                self._token, self._good_until = told["access_token"], time.monotonic() + life
            return self._token

    def _send(
        self, method: str, path: str, headers: dict[str, str] | None = None, json: object = None
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._http.request(
                method, self._url + path, headers=headers, json=json, timeout=TIMEOUT
            )
        except urllib3.exceptions.HTTPError as error:
            raise Trouble(type(error).__name__) from error


def _read(answer: urllib3.BaseHTTPResponse) -> Any:
    try:
        told = answer.json()
    except ValueError:
        raise Trouble(f"HTTP {answer.status}, and no JSON") from None
    if answer.status != 200 or told.get("code") != 0:
        raise Trouble(f"HTTP {answer.status}")
    return told["response"]
