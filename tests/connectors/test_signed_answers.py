"""Which answers of the sandbox PG are believed. For naru/connectors/sandbox/line.py."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from naru.connectors.sandbox.line import signed_json
from naru.domain.channel import Channel
from naru.domain.outcome import Unknown
from naru.wire import Answer

SECRET = "a secret of two"
CHANNEL = Channel(
    id=1,
    merchant_id=1,
    channel_key="channel",
    pg_code="kakaopay",
    mid="naru_test",
    connector="sandbox",
    test=True,
    kind="payment",
    is_default=True,
    settings={"url": "http://127.0.0.1", "secret": SECRET},
)
DECLINED = {"result": "declined", "code": "LIMIT_EXCEEDED", "message": "한도초과"}


def answer(status: int) -> Answer:
    """A refusal with the PG's own true signature."""
    body = json.dumps(DECLINED).encode()
    signature = hmac.new(SECRET.encode(), b"1700000000." + body, hashlib.sha256).hexdigest()
    headers = {"X-Sandbox-Timestamp": "1700000000", "X-Sandbox-Signature": signature}
    return Answer(status, headers, body)


def test_the_control_a_signed_refusal_is_a_refusal() -> None:
    assert signed_json(CHANNEL, answer(200)) == DECLINED


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_pg_that_is_broken_has_refused_nothing_even_with_a_true_signature(status: int) -> None:
    """It may have taken the money before it broke: doubt, never a failure."""
    assert isinstance(signed_json(CHANNEL, answer(status)), Unknown)
