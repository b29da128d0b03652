"""The kit describes every operation that the gateway serves, and reads what it answers."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, get_type_hints

import pytest

from naru.kit import AsyncClient, BillingKey, Card, Certification, Client, Plan, Schedule
from naru.kit.client import _request
from naru.kit.errors import MalformedAnswer
from naru.kit.operations import Call, Operations
from naru.kit.records import Delivery, ProductOrder, Receipt, Record, SchedulePage
from naru.rest import operations
from naru.rest.operation import Router

WHEN = datetime(2026, 12, 1, 3, 4, 5, tzinfo=UTC)
# Old addresses that clients still call; the kit uses today's.
LEGACY = {
    "POST /subscribe/payments/foreign",
    "GET /vbanks/holder",
    "GET /kakao/payment/orders",
}
# What the kit asks by itself, before anything else.
OWN = {"POST /users/getToken"}
# One address, with and without its optional tail.
TAILS = {
    "GET /payments/find/{merchant_uid}/{payment_status}",
    "GET /payments/findAll/{merchant_uid}/{payment_status}",
}
PLACE = {"name": "나루", "tel": "02", "addr": "서울", "postcode": "04524"}
GIVEN: dict[str, Any] = {
    "imp_uid": "imp_123456789012",
    "imp_uids": ["imp_123456789012"],
    "merchant_uid": "order 1/é",
    "merchant_uids": ["order-1"],
    "customer_uids": ["customer-1"],
    "amount": 1004,
    "card": Card("4518-4212-3456-7811", "2049-12", "900101", "12", "111"),
    "plans": [Plan("order-1", WHEN, Decimal("12.5"), currency="USD", more={"buyer_name": "나루"})],
    "at": WHEN,
    "since": WHEN,
    "until": WHEN,
    "vbank_due": WHEN,
    "sent_at": WHEN,
    "dispatched_at": WHEN,
    "sender": PLACE,
    "receiver": PLACE,
    "parts": [{"company_name": "가", "amount": 500}],
    "status": "paid",
    "code": "361",
}


def described() -> dict[str, Call[Any]]:
    """Every operation of the kit as a call, made with what its signature needs and nothing else."""
    made = {}
    for name, operation in vars(Operations).items():
        if name.startswith("_"):
            continue
        describe = operation._describe
        needed = {
            each.name: GIVEN.get(each.name, each.name)
            for each in inspect.signature(describe).parameters.values()
            if each.default is inspect.Parameter.empty and each.kind is not each.VAR_KEYWORD
        }
        if name in ("payments", "cancel"):
            needed = {("imp_uids" if name == "payments" else "imp_uid"): GIVEN["imp_uids"]}
            needed = needed if name == "payments" else {"imp_uid": GIVEN["imp_uid"]}
        if name == "unschedule_payments":
            needed = {"customer_uid": "customer-1", "merchant_uids": ["order-1"]}
        made[name] = describe(**needed)
    return made


def test_the_kit_has_every_operation_of_the_gateway_and_no_other() -> None:
    table = operations()
    router = Router(table)
    asked = {}
    for name, call in described().items():
        row = router.find(call.method, call.path.encode()).operation
        # `find` answers a verb that it does not have with GET; the kit must not lean on that.
        assert row.method == call.method, name
        asked[f"{row.method} {row.path}"] = name
    served = {f"{row.method} {row.path}" for row in table}
    assert served - set(asked) - LEGACY - OWN - TAILS == set(), "the kit cannot ask these"


def test_the_kit_sends_only_fields_that_the_gateway_reads() -> None:
    router = Router(operations())
    for name, call in described().items():
        row = router.find(call.method, call.path.encode()).operation
        known = {field.encode_name for field in _fields(row.request)}
        sent = {key.split("[")[0] for key, _ in call.query} | set(call.fields or ())
        assert sent <= known, name


def _fields(request: Any) -> tuple[Any, ...]:
    import msgspec

    return msgspec.structs.fields(request)


def test_every_call_can_be_sent_and_a_float_never() -> None:
    for call in described().values():
        sent = _request(call, None)
        sent.target.encode("ascii")
        if sent.body is not None:
            json.loads(sent.body)
    client = Client("key", "secret")
    with pytest.raises(TypeError, match="never a float"):
        client.pay_by_billing_key("c", "order-1", 1, "x", tax_free=1.5)  # type: ignore[typeddict-item]


def test_both_clients_have_them_with_the_same_signature_and_words() -> None:
    for name in described():
        sync, promised = getattr(Client("k", "s"), name), getattr(AsyncClient("k", "s"), name)
        assert sync.__doc__, name
        assert (sync.__doc__, inspect.signature(sync)) == (
            promised.__doc__,
            inspect.signature(promised),
        )


def test_an_agencys_client_acts_for_a_tier() -> None:
    from naru.kit.client import Token

    call = described()["pg_settings"]
    assert _request(call, Token("t", 1.0), "ABC").headers["Tier"] == "ABC"
    assert "Tier" not in _request(call, Token("t", 1.0), None).headers
    assert "Tier" not in _request(call, None, "ABC").headers  # signing in is the agency's own
    with pytest.raises(ValueError, match="three"):
        Client("k", "s", tier="abcd")


def test_times_and_cards_go_out_in_the_gateways_spelling() -> None:
    calls = described()
    [plan] = (calls["schedule_payments"].fields or {})["schedules"]
    assert plan["schedule_at"] == int(WHEN.timestamp())
    assert plan["buyer_name"] == "나루"
    fields = calls["pay_by_card"].fields or {}
    assert (fields["card_number"], fields["pwd_2digit"]) == ("4518-4212-3456-7811", "12")
    assert "4518" not in repr(GIVEN["card"])
    assert calls["register_shipment"].fields is not None
    assert calls["register_shipment"].fields["logis"]["sent_at"] == int(WHEN.timestamp())


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
