"""The V1 body, byte for byte, for naru/webhooks/payload.py."""

from __future__ import annotations

from urllib.parse import parse_qsl

from naru.webhooks.payload import write_payload

FACTS = {"imp_uid": "imp_1234567890", "merchant_uid": "order_id_8237352", "status": "paid"}


def test_the_json_body_is_the_one_of_the_documentation() -> None:
    payload = write_payload(**FACTS)
    assert payload.body == (
        b'{"imp_uid":"imp_1234567890","merchant_uid":"order_id_8237352","status":"paid"}'
    )
    assert payload.content_type == "application/json"


def test_a_cancellation_carries_its_id() -> None:
    payload = write_payload(**FACTS | {"status": "cancelled"}, cancellation_id="c1")
    assert payload.body.endswith(b'"status":"cancelled","cancellation_id":"c1"}')


def test_a_form_body_says_the_same() -> None:
    payload = write_payload(**FACTS | {"merchant_uid": "주문 1&2"}, format="form")
    assert payload.content_type == "application/x-www-form-urlencoded"
    assert dict(parse_qsl(payload.body.decode())) == FACTS | {"merchant_uid": "주문 1&2"}
