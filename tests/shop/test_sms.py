"""Solapi through its own library, against a small true server that speaks Solapi's answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from naru.shop.sms import Inbox, SendFailed, Solapi

pytest.importorskip("solapi")


class StandInSolapi:
    """Answers `POST /messages/v4/send-many/detail` and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.refuses = False
        self.speaks_anew = False
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stand_in.asked.append((self.path, self.headers["Authorization"], json.loads(body)))
                status, document = stand_in.answer()
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(document).encode())

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self) -> tuple[int, dict[str, Any]]:
        if self.refuses:
            return 402, {"errorCode": "NotEnoughBalance", "errorMessage": "잔액이 부족합니다."}
        if self.speaks_anew:
            return 200, {"groupInfo": {"groupId": "G1"}}
        now = "2026-01-01T00:00:00.000Z"
        counted = ("total", "sentTotal", "sentSuccess", "sentPending", "sentReplacement", "refund")
        count = dict.fromkeys((*counted, "registeredFailed", "registeredSuccess"), 0)
        cash = dict.fromkeys(("requested", "replacement", "refund", "sum"), 0)
        group = {
            "groupId": "G1",
            "accountId": "1",
            "masterAccountId": None,
            "apiVersion": "/messages/v4/send-many/detail",
            "allowDuplicates": False,
            "isRefunded": False,
            "status": "SENDING",
            "count": count | {"total": 1, "registeredSuccess": 1},
            "countForCharge": {"sms": {"82": 1}},
            "balance": cash,
            "point": cash,
            "price": {"82": {"sms": 18}},
            "app": {},
            "log": [],
            "dateCreated": now,
            "dateUpdated": now,
        }
        return 200, {"groupInfo": group, "failedMessageList": [], "messageList": []}


@pytest.fixture
def solapi() -> Iterator[StandInSolapi]:
    stand_in = StandInSolapi()
    yield stand_in
    stand_in.server.shutdown()
    stand_in.server.server_close()


def test_a_message_leaves_through_solapis_own_library(
    solapi: StandInSolapi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    Solapi("key", "the-secret", "02-123-4567", base_url=solapi.url).send("010-4242-4242", "안녕")
    assert caplog.text == ""

    ((path, authorization, document),) = solapi.asked
    assert path == "/messages/v4/send-many/detail"
    assert authorization.startswith("HMAC-SHA256 ApiKey=key")
    assert "the-secret" not in authorization
    (message,) = document["messages"]
    assert (message["to"], message["from"], message["text"]) == (
        *("01042424242", "021234567"),
        "안녕",
    )


def test_a_refusal_is_a_failure_that_names_neither_number_nor_text(solapi: StandInSolapi) -> None:
    solapi.refuses = True

    with pytest.raises(SendFailed) as refusal:
        Solapi("key", "the-secret", "021234567", base_url=solapi.url).send("01042424242", "안녕")

    assert not any(word in str(refusal.value) for word in ("0104242", "안녕", "the-secret"))


def test_a_message_that_was_taken_is_not_a_failure_whatever_the_answer_looks_like(
    solapi: StandInSolapi, caplog: pytest.LogCaptureFixture
) -> None:
    """Or the buyer would get it again each time somebody looks at the order."""
    solapi.speaks_anew = True

    Solapi("key", "s", "021234567", base_url=solapi.url).send("01042424242", "안녕")

    assert "shape" in caplog.text


def test_a_solapi_that_is_away_is_a_failure(solapi: StandInSolapi) -> None:
    solapi.server.shutdown()
    solapi.server.server_close()

    with pytest.raises(SendFailed):
        Solapi("key", "s", "021234567", base_url=solapi.url).send("01042424242", "안녕")


def test_the_demos_inbox_keeps_what_was_sent() -> None:
    inbox = Inbox()

    inbox.send("010-4242-4242", "안녕")

    assert inbox.sent == [("010-4242-4242", "안녕")]
