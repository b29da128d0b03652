"""Every test runs twice: with the blocking client, and with the async one."""

from __future__ import annotations

import inspect
import json
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from naru.kit import (
    AsyncClient,
    Client,
    ConnectionFailed,
    MalformedAnswer,
    NotFound,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from naru.kit.operations import Operations
from tests.support.stand_in_gateway import (
    API_KEY,
    API_SECRET,
    StandInGateway,
    answers,
    answers_raw,
    drips,
    hangs_up,
    stays_silent,
)


@pytest.fixture
def gateway() -> Iterator[StandInGateway]:
    with StandInGateway() as stand_in:
        yield stand_in


class Voice:
    """Speaks through either client, so that one test asks both."""

    def __init__(self, kind: type[Client | AsyncClient], url: str) -> None:
        self.kind, self.url, self.clients = kind, url, list[Any]()
        self.client = self.open()

    def open(self, secret: str = API_SECRET, **options: Any) -> Any:
        options = {"base_url": self.url, "timeout_seconds": 5.0} | options
        self.clients.append(self.kind(API_KEY, secret, **options))
        return self.clients[-1]

    async def ask(self, operation: str, *args: Any, client: Any = None, **fields: Any) -> Any:
        answer = getattr(client or self.client, operation)(*args, **fields)
        return await answer if inspect.isawaitable(answer) else answer

    async def close(self) -> None:
        for client in self.clients:
            closing = client.close()
            if inspect.isawaitable(closing):
                await closing


@pytest.fixture(params=[Client, AsyncClient])
async def voice(request: pytest.FixtureRequest, gateway: StandInGateway) -> AsyncIterator[Voice]:
    voice = Voice(request.param, gateway.url)
    yield voice
    await voice.close()


async def test_a_payment_is_read_into_money_and_times(
    gateway: StandInGateway, voice: Voice
) -> None:
    imp_uid = gateway.pay("ORD-1", 12.5, currency="USD", brand_new_key={"of": "tomorrow"})

    payment = await voice.ask("payment", imp_uid)

    assert payment.amount == Decimal("12.5")
    assert isinstance(payment.amount, Decimal)
    assert payment.paid_at == datetime.fromtimestamp(1700000100, UTC)
    assert payment.cancelled_at is None
    assert payment.customer_uid is None


async def test_every_operation_reaches_the_gateway_as_v1_spells_it(
    gateway: StandInGateway, voice: Voice
) -> None:
    first, second = gateway.pay("ORD 1/가", 1004), gateway.pay("ORD-2", 64900)
    since = datetime(2026, 1, 1, tzinfo=UTC)

    many = await voice.ask("payments", imp_uids=[first], merchant_uids=["ORD-2", "ORD-none"])
    found = await voice.ask("find_payment", "ORD 1/가", status="paid", sorting="-paid")
    page = await voice.ask("find_payments", "ORD-2", page=1, limit=1)
    by_status = await voice.ask("payments_by_status", "all", limit=1, since=since, until=since)
    await voice.ask("prepare", "ORD-3", Decimal("12.50"), "USD")
    await voice.ask("change_prepared", "ORD-3", Decimal("13.00"), "USD")
    prepared = await voice.ask("prepared", "ORD-3")
    balance = await voice.ask("balance", first)
    account = await voice.ask(
        "issue_virtual_account", "ORD-4", 1004, vbank_code="088", vbank_due=since, pg="kcp"
    )
    closed = await voice.ask("close_virtual_account", account.imp_uid)
    settings = await voice.ask("pg_settings")
    cancelled = await voice.ask("cancel", imp_uid=second, amount=900, checksum=64900, reason="변심")

    assert [payment.imp_uid for payment in many] == [first, second]
    assert found.imp_uid == first
    assert [payment.imp_uid for payment in page.payments] == [second]
    assert (by_status.total, by_status.next, by_status.previous) == (2, 2, None)
    assert (prepared.amount, prepared.currency) == (13, "USD")
    assert balance.primary is not None
    assert balance.primary.vat == 91
    assert (account.status, closed.status) == ("ready", "failed")
    assert settings[0].channel_key == "channel-key-1"
    assert (cancelled.cancel_amount, cancelled.cancel_history[0].reason) == (900, "변심")
    asked = {one.path: one for one in gateway.asked}
    assert asked["/payments/status/all"].query == {
        "limit": ["1"],
        "from": ["1767225600"],
        "to": ["1767225600"],
    }
    assert asked["/vbanks"].fields["vbank_due"] == 1767225600
    assert "/payments/find/ORD%201%2F%EA%B0%80/paid" in asked


async def test_one_token_serves_many_calls(gateway: StandInGateway, voice: Voice) -> None:
    imp_uid = gateway.pay("ORD-1", 1004)

    for _ in range(3):
        await voice.ask("payment", imp_uid)

    assert gateway.count("POST", "/users/getToken") == 1


@pytest.mark.fault("J1_CJ")
@pytest.mark.parametrize("skew", [-86_400, 86_400])
async def test_a_clock_that_is_a_day_off_changes_nothing(
    gateway: StandInGateway, voice: Voice, skew: int
) -> None:
    gateway.clock_skew_seconds = skew
    imp_uid = gateway.pay("ORD-1", 1004)

    for _ in range(3):
        await voice.ask("payment", imp_uid)

    assert gateway.count("POST", "/users/getToken") == 1


async def test_a_token_near_its_end_is_renewed_before_it_is_used(
    gateway: StandInGateway, voice: Voice
) -> None:
    gateway.token_life_seconds = 20
    imp_uid = gateway.pay("ORD-1", 1004)

    for _ in range(2):
        await voice.ask("payment", imp_uid)

    assert gateway.count("POST", "/users/getToken") == 2


async def test_a_forgotten_token_is_renewed_once_and_the_call_goes_through(
    gateway: StandInGateway, voice: Voice
) -> None:
    imp_uid = gateway.pay("ORD-1", 1004)
    await voice.ask("payment", imp_uid)
    gateway.forget_tokens()

    cancelled = await voice.ask("cancel", imp_uid=imp_uid)

    assert cancelled.status == "cancelled"
    assert gateway.count("POST", "/payments/cancel") == 2  # the first was refused at the door


async def test_a_gateway_that_refuses_every_token_is_asked_twice_and_no_more(
    gateway: StandInGateway, voice: Voice
) -> None:
    imp_uid = gateway.pay("ORD-1", 1004)
    await voice.ask("payment", imp_uid)
    unauthorized = {"code": -1, "message": "Unauthorized", "response": None}
    token = {"access_token": "t", "now": 0, "expired_at": 1800}
    gateway.faults = [
        answers(401, unauthorized),
        answers(200, {"code": 0, "message": None, "response": token}),
        answers(401, unauthorized),
    ]

    with pytest.raises(Unauthorized):
        await voice.ask("payment", imp_uid)

    assert gateway.faults == []


async def test_a_wrong_secret_is_unauthorized_and_tried_once(
    gateway: StandInGateway, voice: Voice
) -> None:
    with pytest.raises(Unauthorized, match="인증에 실패"):
        await voice.ask("payment", "imp_1", client=voice.open(secret="wrong"))

    assert len(gateway.asked) == 1


async def test_an_unknown_payment_is_not_found(voice: Voice) -> None:
    with pytest.raises(NotFound, match="존재하지 않는 결제정보입니다"):
        await voice.ask("payment", "imp_nothing")


async def test_a_no_with_http_200_is_a_refusal_with_the_gateways_words(
    gateway: StandInGateway, voice: Voice
) -> None:
    imp_uid = gateway.pay("ORD-1", 1004, cancel_amount=1004)

    with pytest.raises(Refused, match="이미 전액취소된") as refusal:
        await voice.ask("cancel", imp_uid=imp_uid)

    assert (refusal.value.code, refusal.value.http_status) == (1, 200)


@pytest.mark.fault("E2_LR")
@pytest.mark.parametrize(
    "fault", [hangs_up, answers(503, {}), answers(429, {}), answers_raw(502, b"<html>")]
)
async def test_a_question_is_asked_again_when_the_gateway_stumbles(
    gateway: StandInGateway, voice: Voice, fault: Any
) -> None:
    imp_uid = gateway.pay("ORD-1", 1004)
    gateway.faults = [fault]  # the token
    await voice.ask("payment", imp_uid)
    gateway.faults = [fault, fault]  # the payment

    assert (await voice.ask("payment", imp_uid)).amount == 1004


async def test_a_question_is_given_up_after_three_tries(
    gateway: StandInGateway, voice: Voice
) -> None:
    gateway.faults = [hangs_up] * 3

    with pytest.raises(ConnectionFailed) as trouble:
        await voice.ask("payment", "imp_1")

    assert len(gateway.asked) == 3
    assert not trouble.value.may_have_happened


@pytest.mark.parametrize("fault", [hangs_up, answers(502, {}), answers_raw(200, b"{")])
@pytest.mark.parametrize("operation", ["cancel", "issue_virtual_account", "close_virtual_account"])
async def test_what_moves_money_is_never_sent_twice(
    gateway: StandInGateway, voice: Voice, fault: Any, operation: str
) -> None:
    imp_uid = gateway.pay("ORD-1", 1004)
    await voice.ask("payment", imp_uid)  # also leaves a kept connection behind
    due = datetime(2027, 1, 1, tzinfo=UTC)
    account = {"merchant_uid": "A", "amount": 1, "vbank_code": "088", "vbank_due": due}
    fields = account if operation == "issue_virtual_account" else {"imp_uid": imp_uid}
    before = len(gateway.asked)
    gateway.faults = [fault]

    with pytest.raises(Unavailable) as trouble:
        await voice.ask(operation, **fields)

    assert len(gateway.asked) == before + 1
    assert trouble.value.may_have_happened


async def test_a_cancel_that_never_left_has_certainly_not_happened(
    gateway: StandInGateway, voice: Voice
) -> None:
    imp_uid = gateway.pay("ORD-1", 1004)
    await voice.ask("payment", imp_uid)
    gateway.stop()
    await voice.close()

    with pytest.raises(ConnectionFailed) as trouble:
        await voice.ask("cancel", imp_uid=imp_uid)

    assert not trouble.value.may_have_happened


@pytest.mark.fault("E2_SL")
async def test_a_silent_gateway_times_out(gateway: StandInGateway, voice: Voice) -> None:
    client = voice.open(timeout_seconds=0.2)
    imp_uid = gateway.pay("ORD-1", 1004)
    await voice.ask("payment", imp_uid, client=client)
    gateway.faults = [stays_silent(1.0)]

    with pytest.raises(TimedOut) as trouble:
        await voice.ask("cancel", imp_uid=imp_uid, client=client)

    assert trouble.value.may_have_happened


async def test_an_answer_that_drips_in_times_out_too(gateway: StandInGateway, voice: Voice) -> None:
    client = voice.open(timeout_seconds=0.3)
    imp_uid = gateway.pay("ORD-1", 1004)
    await voice.ask("payment", imp_uid, client=client)
    gateway.faults = [drips(0.05)]

    with pytest.raises(TimedOut):
        await voice.ask("cancel", imp_uid=imp_uid, client=client)


async def test_a_host_that_takes_no_connection_fails_clearly(voice: Voice) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    client = voice.open(base_url=f"http://127.0.0.1:{port}")

    with pytest.raises(ConnectionFailed, match="could not be reached"):
        await voice.ask("payment", "imp_1", client=client)


PAYMENT: dict[str, Any] = {"imp_uid": "imp_1", "status": "paid"}


def envelope(response: Any, code: Any = 0) -> bytes:
    return json.dumps({"code": code, "message": None, "response": response}).encode()


@pytest.mark.fault("E2_WD")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"[]",
        b'"text"',
        b"{}",
        b"[" * 100_000,
        b'{"code": 0, "response": {"imp_uid": "imp_1", "status": "paid", "amount": NaN}}',
        b'{"code": 0, "response": {"amount": 1e99999999999999999999}}',
        b'{"code": ' + b"9" * 5000 + b"}",
        envelope(None),
        envelope([]),
        envelope({}),
        envelope(PAYMENT, code="0"),
        envelope(PAYMENT, code=False),
        envelope({"imp_uid": "imp_1"}),
        envelope(PAYMENT | {"imp_uid": "imp_2"}),
        envelope(PAYMENT | {"status": 1}),
        envelope(PAYMENT | {"amount": "1004"}),
        envelope(PAYMENT | {"amount": True}),
        envelope(PAYMENT | {"merchant_uid": 7}),
        envelope(PAYMENT | {"currency": []}),
        envelope(PAYMENT | {"sandbox": 0}),
        envelope(PAYMENT | {"cancel_amount": {}}),
        envelope(PAYMENT | {"cancel_history": ["x"]}),
    ],
)
async def test_an_answer_in_other_words_is_malformed_and_nothing_else(
    gateway: StandInGateway, voice: Voice, body: bytes
) -> None:
    gateway.pay("ORD-1", 1004)
    await voice.ask("payment", "imp_000000000001")
    gateway.faults = [answers_raw(200, body)] * 3

    with pytest.raises(MalformedAnswer):
        await voice.ask("payment", "imp_1")


async def test_a_missing_fact_is_none_and_a_strange_decoration_too(
    gateway: StandInGateway, voice: Voice
) -> None:
    gateway.pay("ORD-1", 1004)
    await voice.ask("payment", "imp_000000000001")
    strange = {"name": 7, "paid_at": 10**30, "card_quota": "3", "cancel_history": None}
    gateway.faults = [answers_raw(200, envelope(PAYMENT | strange))]

    payment = await voice.ask("payment", "imp_1")

    assert (payment.amount, payment.currency, payment.sandbox) == (None, None, None)
    assert (payment.name, payment.paid_at, payment.card_quota) == (None, None, None)


async def test_an_endless_answer_is_cut_off(gateway: StandInGateway, voice: Voice) -> None:
    gateway.pay("ORD-1", 1004)
    await voice.ask("payment", "imp_000000000001")
    gateway.faults = [answers_raw(200, b" " * (17 * 1024 * 1024))] * 3

    with pytest.raises(MalformedAnswer, match="too long"):
        await voice.ask("payment", "imp_1")


async def test_a_redirect_is_not_followed_so_the_token_stays_here(
    gateway: StandInGateway, voice: Voice
) -> None:
    with StandInGateway() as thief:

        def redirect(handler: Any) -> None:
            handler.send_response(302)
            handler.send_header("Location", thief.url + "/payments/imp_1")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        gateway.pay("ORD-1", 1004)
        await voice.ask("payment", "imp_000000000001")
        gateway.faults = [redirect] * 3

        with pytest.raises(MalformedAnswer):
            await voice.ask("payment", "imp_1")

        assert thief.asked == []


@pytest.mark.parametrize(
    "imp_uid", ["", "..", "imp_1/cancel", "imp 1", "imp_1\x00", "imp_1\n", "가", "x" * 33, None, 7]
)
async def test_an_imp_uid_that_is_none_never_leaves(
    gateway: StandInGateway, voice: Voice, imp_uid: Any
) -> None:
    with pytest.raises(ValueError, match="imp_uid"):
        await voice.ask("payment", imp_uid)

    assert gateway.asked == []


@pytest.mark.parametrize(
    ("operation", "fields"),
    [
        ("prepare", {"merchant_uid": "A", "amount": 10.5}),
        ("prepare", {"merchant_uid": "A", "amount": True}),
        ("prepare", {"merchant_uid": "A", "amount": Decimal("NaN")}),
        ("prepare", {"merchant_uid": "", "amount": 1}),
        ("prepared", {"merchant_uid": ".."}),
        ("prepared", {"merchant_uid": "\ud800"}),
        ("cancel", {}),
        ("cancel", {"imp_uid": "imp_1", "amount": -1}),
        ("payments", {}),
        ("payments", {"imp_uids": ["imp_1"] * 101}),
        ("payments_by_status", {"status": "paid", "since": datetime(2026, 1, 1)}),  # noqa: DTZ001
    ],
)
async def test_a_wrong_argument_never_leaves(
    gateway: StandInGateway, voice: Voice, operation: str, fields: dict[str, Any]
) -> None:
    with pytest.raises((TypeError, ValueError)):
        await voice.ask(operation, **fields)

    assert gateway.asked == []


@pytest.mark.parametrize("url", ["", "api.iamport.kr", "ftp://x", "http://", "http://a:b@c"])
def test_a_base_url_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        Client("k", "s", base_url=url)


async def test_secrets_are_in_no_error_and_no_repr(gateway: StandInGateway, voice: Voice) -> None:
    gateway.pay("ORD-1", 1004)
    await voice.ask("payment", "imp_000000000001")
    gateway.faults = [hangs_up] * 3
    with pytest.raises(ConnectionFailed) as trouble:
        await voice.ask("payment", "imp_1")

    shown = f"{voice.client!r} {trouble.value!r} {trouble.getrepr()}"

    assert API_SECRET not in shown
    assert not any(token in shown for token in gateway.tokens)


def test_threads_may_share_one_client(gateway: StandInGateway) -> None:
    imp_uids = [gateway.pay(f"ORD-{n}", n + 1) for n in range(8)]
    seen: list[object] = []
    with Client(API_KEY, API_SECRET, base_url=gateway.url) as client:

        def look(imp_uid: str) -> None:
            seen.extend(client.payment(imp_uid).imp_uid for _ in range(5))

        threads = [threading.Thread(target=look, args=(uid,)) for uid in imp_uids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

    assert sorted(seen) == sorted(imp_uids * 5)  # type: ignore[type-var]


def test_both_clients_speak_every_operation_with_its_words() -> None:
    for name in (name for name in vars(Operations) if not name.startswith("_")):
        for client in (Client("k", "s"), AsyncClient("k", "s")):
            assert callable(getattr(client, name))
            assert getattr(client, name).__doc__


def test_importing_the_kit_is_light() -> None:
    """Neither HTTP library is imported before it is needed; both cost more than the kit."""
    code = "import sys, naru.kit; print([m for m in sys.modules if m in sys.argv[1:]])"
    heavy = ["urllib3", "aiohttp", "asyncio", "standardwebhooks", "pydantic"]

    run = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, timeout=60, check=True
    )

    assert run.stdout.strip() == "[]"
