"""A right value for every field that an operation needs, by the field's name.

A new operation whose fields have names that stand here is in the isolation test and in the fuzz by being in the table; one
whose needed fields have other names fails until their examples are here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from naru.rest.operation import Operation
from naru.rest.schema import Schema, request_schema

# Names that say whose thing is meant, and not what is to be done with it.
# A channel is told only where it must be: a stranger's request would end there otherwise.
CHANNEL = "channel_key"
IDENTIFIERS = frozenset(
    [
        "imp_uid",
        "merchant_uid",
        "customer_uid",
        "product_order_id",
        "member_id",
        "tier_code",
    ]
)
# Names that some operations need and others do not, which only their verbs tell.
ALSO = frozenset(
    ["delivery_method", "dispatched_at", "memo", "from", "to", "schedule_from", "schedule_to"]
)
_NUMBERS = count(1)
_NOW = int(time.time())
_SOON = _NOW + 7 * 86_400

VALUES: dict[str, Any] = {
    "access_token": "t" * 40,
    "address": "성수이로20길16",
    "address_line_1": "서울 성동구",
    "amount": 1004,
    "bank_code": "004",
    "bank_num": "79959078731512",
    "bank_standard_code": "004",
    "barcode": "11222222",
    "benepia_member_code": "M001",
    "benepia_password": "password",
    "benepia_user": "benepia",
    "birth": "880101",
    "btid": "bt0000000001",
    "business_registration_number": "1178178260",
    "buyer_name": "홍길동",
    "card_number": "4518-4212-3456-7811",
    "card_standard_code": "361",
    "carrier": "SKT",
    "cid": "TC0ONETIME",
    "code_verifier": "v" * 43,
    "company": "CJGLS",
    "company_name": "나루 상점",
    "cust_ip": "203.0.113.7",
    "delivery_method": "DIRECT_DELIVERY",
    "dispatched_at": 1_700_000_000,
    "estimated_delivery_datetime": 1_700_000_000,
    "estimated_update_datetime": 1_700_000_000,
    "expiry": "2049-12",
    "from": _NOW - 3_600,
    "gender_digit": "1",
    "identifier": "010-1234-5678",
    "identifier_type": "phone",
    "invoice": "1728384716123",
    "memo": "고객 변심",
    "name": "홍길동",
    "otp": "000000",
    "partner_subtype": "S",
    "partner_type": "P",
    "payment_request_date": "20261123",
    "payment_status": "paid",
    "phone": "01012345678",
    "postcode": "04790",
    "pwd_2digit": "00",
    "refundable": "yes",
    "relationship": "본인",
    "requester": "admin",
    "review_type": "general",
    "schedule_at": _SOON,
    "schedule_from": _NOW - 3_600,
    "schedule_to": _NOW + 2 * 86_400,
    "sent_at": 1_700_000_000,
    "site_code": "A8QOB",
    "shipping_address_email": "gildong@example.com",
    "status": "order_placed",
    "tel": "010-4242-4242",
    "to": _NOW + 2 * 86_400,
    "type": "digital",
    "vbank_code": "004",
    "vbank_due": _SOON,
    "vbank_holder": "나루",
}
# Where one name means different things.
OF_PATH: dict[tuple[str, str], Any] = {
    ("/certifications/otp/request", "birth"): "900101",
    ("/payco/orders/status/{imp_uid}", "status"): "DELIVERY_START",
    ("/payments/{imp_uid}/naver/request-return", "delivery_method"): "RETURN_INDIVIDUAL",
    ("/receipts/{imp_uid}", "type"): "person",
    ("/receipts/external/{merchant_uid}", "type"): "person",
}
# Identifiers of things that nobody has.
UNKNOWN: dict[str, Callable[[int], str]] = {
    "imp_uid": lambda number: f"imp_9{number:011d}",
    "merchant_uid": lambda number: f"unknown-{number}",
    "customer_uid": lambda number: f"nobody-{number}",
    "product_order_id": lambda number: f"9{number:015d}",
    "member_id": lambda number: f"nobody-{number}",
    "tier_code": lambda number: f"Z{number % 90 + 10}",
    CHANNEL: lambda number: f"channel-key-nobody-{number}",
}


class NoExample(Exception):
    """A field that an operation needs has no example here."""


def unknown(name: str) -> str:
    """An identifier of this kind that nobody has."""
    return UNKNOWN[name](next(_NUMBERS))


def right_request(operation: Operation, names: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The path and the fields of a right request: all that are needed, and every identifier.

    `names` are the identifiers; one that is not there is one that nobody has. Raises NoExample.
    """
    schema = request_schema(operation.request)
    in_path = re.findall(r"{(\w+)}", operation.path)
    fields = {
        name: _value(operation.path, name, below, names)
        for name, below in schema["properties"].items()
        if name in schema.get("required", ()) or name in IDENTIFIERS | ALSO or name in in_path
    }
    path = operation.path
    for name in in_path:
        path = path.replace("{" + name + "}", str(fields.pop(name)))
    return path, fields


def _value(path: str, name: str, schema: Schema, names: Mapping[str, str]) -> Any:
    if name == CHANNEL or name in IDENTIFIERS:
        value: Any = names[name] if name in names else unknown(name)
        return [value] if schema.get("type") == "array" else value
    if name in names:
        return names[name]
    if (path, name) in OF_PATH:
        return OF_PATH[path, name]
    if schema.get("type") == "array" and "properties" in schema.get("items", {}):
        return [_object(path, schema["items"], names)]
    if "properties" in schema:
        return _object(path, schema, names)
    if name not in VALUES:
        raise NoExample(f"{path} needs {name!r}: give tests/contract/examples.py a right one")
    value = VALUES[name]
    return [value] if schema.get("type") == "array" else value


def _object(path: str, schema: Schema, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: _value(path, name, below, names)
        for name, below in schema["properties"].items()
        if name in schema.get("required", ()) or name in IDENTIFIERS or name in VALUES
    }
