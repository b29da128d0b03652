"""`naru webhooks` tells what was announced, and sends it again."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from naru.store import Store
from naru.store.outbox import Attempt

Say = Callable[..., tuple[int, str, str]]
IMP_UID = "imp_123456789012"


async def _announce(url: str) -> int:
    """A payment of the first merchant, its webhook, one failed attempt, and the end of trying."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        """
        INSERT INTO payments (imp_uid, merchant_id, merchant_uid, channel_id, pg_code, mid, sandbox,
                              surface, pay_method, step, event, amount, currency, pg_order_no,
                              started_at)
        SELECT $1, merchant_id, 'order-1', id, pg_code, mid, true, 'pc', 'card', 'opened', 'opened',
               1004, 'KRW', 'n1', now() FROM channels
        """,
        IMP_UID,
    )
    await connection.close()
    store = await Store.open(url, 1, root_key=b"a root key of this test, long enough")
    try:
        async with store.begin() as session:
            delivery_id = await session.outbox.lay(
                webhook_id="w1",
                merchant_id=1,
                imp_uid=IMP_UID,
                version=1,
                status="paid",
                cancellation_id=None,
                url="http://127.0.0.1:9/hook",
                content_type="application/json",
                body=b"{}",
                mode="ladder",
            )
            assert delivery_id is not None
            delivery = await session.outbox.claim(delivery_id, timedelta(seconds=30))
            assert delivery is not None
            attempt = Attempt(datetime.now(UTC), 12, {}, 503, "try later", None)
            await session.outbox.failed(delivery, attempt, None)
    finally:
        await store.close()
    return delivery_id


@pytest.fixture
def delivery(say: Say, cli_database: str) -> int:
    """The number of a webhook that was given up."""
    say("merchant", "add", "My shop", "--user-code", "imp12345678")
    say("channel", "add", "imp12345678", "kcp", "--mid", "T0000", "--connector", "sandbox")
    return asyncio.run(_announce(cli_database))


def test_the_list_tells_what_became_of_every_attempt(say: Say, delivery: int) -> None:
    status, said, _ = say("webhooks", "list", "imp12345678", "--attempts")

    assert status == 0
    first, second = said.splitlines()
    assert first.split()[0] == str(delivery)
    assert IMP_UID in first
    assert " order-1  merchant 1 " in first
    assert "parked" in first
    assert "HTTP 503" in second
    assert say("webhooks", "list", "imp12345678", "--state", "waiting")[1] == ""
    assert say("webhooks", "list", "imp12345678", "--imp-uid", "imp_000000000000")[1] == ""


def test_the_list_is_of_every_merchant_or_of_the_one_that_is_named(say: Say, delivery: int) -> None:
    say("merchant", "add", "Another shop", "--user-code", "imp87654321")

    assert say("webhooks", "list")[1] == say("webhooks", "list", "imp12345678")[1] != ""
    assert say("webhooks", "list", "--state", "parked")[1].split()[0] == str(delivery)
    assert say("webhooks", "list", "imp87654321") == (0, "", "No webhook was announced.\n")
    assert say("webhooks", "list", "imp00000000")[0] == 1


def test_one_that_was_given_up_leaves_again(say: Say, delivery: int) -> None:
    assert say("webhooks", "resend", str(delivery))[0] == 0

    assert "waiting" in say("webhooks", "list", "imp12345678")[1]


@pytest.mark.parametrize("number", ["999999", "0", "-5", "9" * 40])
def test_a_webhook_that_does_not_exist_is_one_sentence(say: Say, number: str) -> None:
    status, _, complaint = say("webhooks", "resend", "--", number)

    assert (status, complaint.count("\n")) == (1, 1)
    assert "There is no webhook number" in complaint


def test_a_payment_that_cannot_exist_is_one_sentence(say: Say, delivery: int) -> None:
    for word in ("\x00", "\udcff", ""):
        assert say("webhooks", "list", "imp12345678", "--imp-uid", word)[0] == 1
