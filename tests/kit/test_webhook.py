"""What reaches a merchant's endpoint: two content types, one liar, and everyone who is bored."""

import base64
import json
import os
import random
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as some

from naru.kit import BadWebhook, Report, Webhook, read_report, read_webhook

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BODY = b'{"imp_uid":"imp_1234567890","merchant_uid":"order_id_8237352","status":"paid"}'
FORM_BODY = b"imp_uid=imp_1234567890&merchant_uid=order_id_8237352&status=paid"
EXPECTED = Webhook("imp_1234567890", "order_id_8237352", "paid")
SECRET = "whsec_" + base64.b64encode(b"a secret of this test only, 32 b").decode()


def signed(body: bytes, at: datetime | None = None, secret: str = SECRET) -> dict[str, str]:
    at = at or datetime.now(UTC)
    signature = standardwebhooks.Webhook(secret).sign("msg_1", at, body.decode())
    return JSON | {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": signature,
    }


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY, JSON),
        (BODY, {"content-type": "application/json; charset=UTF-8"}),
        (FORM_BODY, FORM),
        (FORM_BODY, JSON),
        (BODY, {}),
        (b"\xef\xbb\xbf " + BODY, JSON),
        (BODY[:-1] + b',"extra":{"escrow_status":"4"},"event":"x"}', JSON),
    ],
)
def test_json_and_form_are_the_same_webhook_whatever_the_header_says(
    body: bytes, headers: dict[str, str]
) -> None:
    assert read_webhook(body, headers) == EXPECTED


def test_a_cancel_brings_its_own_number() -> None:
    body = json.dumps(json.loads(BODY) | {"status": "cancelled", "cancellation_id": "c-1"})

    assert read_webhook(body.encode(), JSON).cancellation_id == "c-1"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"{}",
        b'"imp_1"',
        b"\xff\xfe\x00",
        b"imp_uid=%FF&merchant_uid=a&status=paid",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b'{"imp_uid":' + b"9" * 5000 + b"}",
        BODY + b" " * 70_000,
        b'{"imp_uid":7,"merchant_uid":"a","status":"paid"}',
        b'{"imp_uid":["imp_1"],"merchant_uid":"a","status":"paid"}',
        b'{"imp_uid":"imp_1\\u0000","merchant_uid":"a","status":"paid"}',
        b'{"imp_uid":"../payments","merchant_uid":"a","status":"paid"}',
        b'{"imp_uid":"imp_1","merchant_uid":"a\\u0000","status":"paid"}',
        b'{"imp_uid":"imp_1","merchant_uid":"\\ud800","status":"paid"}',
        b'{"imp_uid":"imp_1","merchant_uid":"a"}',
        b'{"imp_uid":"imp_1","imp_uid":"imp_2","merchant_uid":"a","status":"paid"}',
        b"imp_uid=imp_1&imp_uid=imp_2&merchant_uid=a&status=paid",
        b"imp_uid[]=imp_1&merchant_uid=a&status=paid",
        b"&".join([b"a=b"] * 200),
    ],
)
def test_what_is_no_webhook_is_refused_with_one_error(body: bytes) -> None:
    with pytest.raises(BadWebhook):
        read_webhook(body, JSON)


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "text/xml", "image/a"])
def test_a_content_type_of_something_else_is_refused(content_type: str) -> None:
    with pytest.raises(BadWebhook, match="content type"):
        read_webhook(BODY, {}, content_type)


@given(some.binary(max_size=400) | some.text(max_size=200).map(lambda text: text.encode()))
def test_no_bytes_at_all_raise_anything_but_bad_webhook(body: bytes) -> None:
    for read in (lambda: read_webhook(body, JSON), lambda: read_report(body)):
        try:
            read()
        except BadWebhook:
            continue


def test_with_a_secret_a_true_signature_is_believed() -> None:
    assert read_webhook(BODY, signed(BODY), secret=SECRET) == EXPECTED


@pytest.mark.fault("L4_SL")
@pytest.mark.promise("P21")
def test_two_secrets_at_once_while_they_are_rotated() -> None:
    other = "whsec_" + base64.b64encode(os.urandom(32)).decode()
    headers = signed(BODY)
    headers["Webhook-Signature"] += " " + signed(BODY, secret=other)["Webhook-Signature"]

    assert read_webhook(BODY, headers, secret=SECRET) == EXPECTED
    assert read_webhook(BODY, headers, secret=other) == EXPECTED


@pytest.mark.parametrize(
    "changes",
    [
        {"Webhook-Signature": "v1,AAAA"},
        {"Webhook-Signature": "v1,not base64!"},
        {"Webhook-Signature": "v1"},
        {"Webhook-Signature": "v1,a,b"},
        {"Webhook-Signature": ""},
        {"Webhook-Timestamp": "yesterday"},
        {"Webhook-Timestamp": "nan"},
        {"Webhook-Timestamp": "inf"},
        {"Webhook-Timestamp": "1"},
        {"Webhook-Id": "msg_2"},
        {"Webhook-Id": ""},
    ],
)
def test_a_signature_that_is_wrong_or_malformed_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(BadWebhook, match="signature"):
        read_webhook(BODY, signed(BODY) | changes, secret=SECRET)


def test_no_signature_where_one_is_wanted_is_refused() -> None:
    with pytest.raises(BadWebhook, match="signature"):
        read_webhook(BODY, JSON, secret=SECRET)


@pytest.mark.promise("P21")
def test_a_body_changed_after_signing_is_refused() -> None:
    with pytest.raises(BadWebhook, match="signature"):
        read_webhook(BODY.replace(b"paid", b"PAID"), signed(BODY), secret=SECRET)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_signature_older_or_newer_than_five_minutes_is_refused(minutes: int) -> None:
    at = datetime.now(UTC) + timedelta(minutes=minutes)

    with pytest.raises(BadWebhook, match="signature"):
        read_webhook(BODY, signed(BODY, at), secret=SECRET)


def test_a_signed_body_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(BadWebhook, match="signature"):
        read_webhook(b"\xff", signed(BODY), secret=SECRET)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_%%%", "가나다"])
def test_a_secret_that_is_none_is_the_merchants_mistake_not_the_senders(secret: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        read_webhook(BODY, signed(BODY), secret=secret)


def test_the_documents_jquery_report_is_read_under_its_json_header() -> None:
    report = read_report(b"imp_uid=imp_1&merchant_uid=57008833-33004", "application/json")

    assert report == Report("imp_1", "57008833-33004")


def test_a_report_may_lack_the_order_number_but_never_the_payment() -> None:
    assert read_report(b'{"imp_uid":"imp_1"}').merchant_uid is None
    with pytest.raises(BadWebhook):
        read_report(b'{"merchant_uid":"a"}')


@pytest.mark.fault("E1_WD")
@pytest.mark.promise("P21")
def test_cutting_or_flipping_a_signed_webhook_anywhere_is_refused() -> None:
    chance = random.Random(7)
    for _ in range(200):
        body = bytearray(BODY)
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        with pytest.raises(BadWebhook):
            read_webhook(bytes(body), signed(BODY), secret=SECRET)
