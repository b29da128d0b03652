"""The kit describes every operation that the gateway serves, and reads what it answers."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, get_type_hints

import pytest

from naru.kit import AsyncClient, BillingKey, Certification, Client, Schedule
from naru.kit.client import _request
from naru.kit.errors import MalformedAnswer
from naru.kit.records import Delivery, ProductOrder, Receipt, Record, SchedulePage
from naru.rest import operations
from naru.rest.operation import Router
from tools.kit_calls import GIVEN, WHEN, asked, calls

# Old addresses that clients still call; the kit uses today's.
LEGACY = {
    "POST /subscribe/payments/foreign",
    "GET /vbanks/holder",
    "GET /kakao/payment/orders",
}
# What the kit asks by itself, before anything else.
OWN = {"POST /users/getToken"}


def test_the_kit_has_every_operation_of_the_gateway_and_no_other() -> None:
    ours = {f"{verb} {path}" for verb, path in asked()}
    served = {f"{row.method} {row.path}" for row in operations()}
    assert served - ours == LEGACY | OWN, "the kit cannot ask these"
    assert set(asked().values()) == calls().keys(), "the gateway has no such verb or path"


def test_the_kit_sends_only_fields_that_the_gateway_reads() -> None:
    router = Router(operations())
    for name, call in calls().items():
        row = router.find(call.method, call.path.encode()).operation
        known = {field.encode_name for field in _fields(row.request)}
        sent = {key.split("[")[0] for key, _ in call.query} | set(call.fields or ())
        assert sent <= known, name


def _fields(request: Any) -> tuple[Any, ...]:
    import msgspec

    return msgspec.structs.fields(request)


def test_every_call_can_be_sent_and_a_float_never() -> None:
    for call in calls().values():
        sent = _request(call, None)
        sent.target.encode("ascii")
        if sent.body is not None:
            json.loads(sent.body)
    client = Client("key", "secret")
    with pytest.raises(TypeError, match="never a float"):
        client.pay_by_billing_key("c", "order-1", 1, "x", tax_free=1.5)  # type: ignore[typeddict-item]


def test_both_clients_have_them_with_the_same_signature_and_words() -> None:
    for name in calls():
        sync, promised = getattr(Client("k", "s"), name), getattr(AsyncClient("k", "s"), name)
        assert sync.__doc__, name
        assert (sync.__doc__, inspect.signature(sync)) == (
            promised.__doc__,
            inspect.signature(promised),
        )


def test_an_agencys_client_acts_for_a_tier() -> None:
    from naru.kit.client import Token

    call = calls()["pg_settings"]
    assert _request(call, Token("t", 1.0), "ABC").headers["Tier"] == "ABC"
    assert "Tier" not in _request(call, Token("t", 1.0), None).headers
    assert "Tier" not in _request(call, None, "ABC").headers  # signing in is the agency's own
    with pytest.raises(ValueError, match="three"):
        Client("k", "s", tier="abcd")


def test_times_and_cards_go_out_in_the_gateways_spelling() -> None:
    made = calls()
    [plan] = (made["schedule_payments"].fields or {})["schedules"]
    assert plan["schedule_at"] == int(WHEN.timestamp())
    assert plan["buyer_name"] == "나루"
    fields = made["pay_by_card"].fields or {}
    assert (fields["card_number"], fields["pwd_2digit"]) == ("4518-4212-3456-7811", "12")
    assert "4518" not in repr(GIVEN["card"])
    assert made["register_shipment"].fields is not None
    assert made["register_shipment"].fields["logis"]["sent_at"] == int(WHEN.timestamp())


@pytest.mark.parametrize("record", Record.__subclasses__(), ids=lambda each: each.__name__)
def test_a_record_reads_what_is_there_and_refuses_what_is_none(record: type[Record]) -> None:
    assert set(get_type_hints(record)) >= {"of"}
    for wrong in (None, [], "x", 1):
        with pytest.raises(MalformedAnswer):
            record.read(wrong)


def test_records_are_read_from_what_the_gateway_writes() -> None:
    key = {"customer_uid": "c", "card_type": 0, "inserted": 1, "surprise": {}}
    super_key = {"customer_uid": "c", "succeededChannels": [{"pg_provider": "nice"}]}
    assert BillingKey.read(key).inserted == datetime.fromtimestamp(1, UTC)
    assert BillingKey.read(super_key).succeeded_channels[0].pg_provider == "nice"
    born = Certification.read({"imp_uid": "imp_1", "birth": -32_400, "certified": True})
    assert (born.birth, born.phone) == (datetime.fromtimestamp(-32_400, UTC), None)
    plan = {"merchant_uid": "m", "customer_uid": "c", "schedule_status": "scheduled"}
    assert SchedulePage.read({"total": 1, "previous": 0, "next": 0, "list": [plan]}).schedules == (
        Schedule.read(plan),
    )
    assert SchedulePage.read([plan]).total == 1
    order = ProductOrder.read({"product_order_id": "p", "orderer": {"name": "김나루"}})
    assert order.orderer is not None
    assert order.orderer.name == "김나루"
    assert Receipt.read({"amount": 1004, "vat": 91}).vat == Decimal(91)
    assert Delivery.read(None) == Delivery(None, None, ())
    with pytest.raises(MalformedAnswer):
        Schedule.read({"merchant_uid": "m"})
