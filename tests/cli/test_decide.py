"""`naru decide`: a person's word ends a doubt, and its name is kept."""

import asyncio
from collections.abc import Callable

import asyncpg
import pytest

from naru.store import Store
from tests.cli.test_webhooks import IMP_UID, delivery

__all__ = ["delivery"]

Say = Callable[..., tuple[int, str, str]]
KIM = ("--by", "kim", "--note", "row 7 of the console")
AT = ("--tid", "tid-7", "--at")


async def _doubt(url: str) -> None:
    """The payment's approval was asked for two hours ago, and nobody knows what became of it."""
    store = await Store.open(url, 1, root_key=b"a root key of this test, long enough")
    async with store.begin() as tx:
        payment = await tx.payments.get(IMP_UID)
        assert payment is not None
        sealed = tx.payments._sealed(payment, None)
    await store.close()
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute("INSERT INTO payment_secrets VALUES ($1, $2)", IMP_UID, sealed)
        await connection.execute(
            "UPDATE payments SET step = 'approving', event = 'authenticated', version = 2,"
            " approving_at = now() - interval '2 hours'"
        )
        await connection.execute(
            "INSERT INTO intents (imp_uid, kind, number, amount, request, opened_at, next_try_at)"
            " VALUES ($1, 'approve', 'n1', 1004, '{}', now() - interval '2 hours', now())",
            IMP_UID,
        )
        await connection.execute("UPDATE intents SET state = 'unknown'")
    await connection.close()


@pytest.fixture
def doubt(delivery: int, cli_database: str) -> None:
    """A payment whose approval is unknown."""
    asyncio.run(_doubt(cli_database))


async def _an_hour_ago(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        at = await connection.fetchval("SELECT now() - interval '1 hour'")
    finally:
        await connection.close()
    return str(at.isoformat())


@pytest.mark.usefixtures("doubt")
def test_not_approved_frees_the_order_and_is_in_the_log(say: Say) -> None:
    status, said, complaint = say("decide", IMP_UID, "not-approved", *KIM)
    assert (status, "is failed 결제실패, its order is free again" in said) == (0, True), complaint
    assert "closed by kim: not-approved: row 7" in say("payment", IMP_UID)[1]
    assert "naru decide not-approved" in say("log", "show", "imp12345678")[1]
    status, _, complaint = say("decide", IMP_UID, "not-approved", *KIM)
    assert (status, complaint.count("\n")) == (1, 1), "once is enough"


@pytest.mark.usefixtures("doubt")
def test_approved_wants_the_pgs_number_and_a_time_with_a_zone(say: Say, cli_database: str) -> None:
    at = asyncio.run(_an_hour_ago(cli_database))
    for words in ((), (*AT, "soon"), (*AT, at[:19]), (*AT, "9999-12-31T23:59:59-14:00")):
        status, _, complaint = say("decide", IMP_UID, "approved", *KIM, *words)
        assert (status, complaint.count("\n")) == (1, 1), words
    status, said, complaint = say("decide", IMP_UID, "approved", *KIM, *AT, at)
    assert (status, "is paid 결제완료, left 1,004원" in said) == (0, True), complaint
    assert "event 3: approved" in say("payment", IMP_UID)[1]


@pytest.mark.usefixtures("delivery")
@pytest.mark.parametrize("name", [IMP_UID, "imp_000000000000", "\ud800", "x" * 200])
def test_what_is_not_in_doubt_is_refused_in_one_sentence(say: Say, name: str) -> None:
    status, _, complaint = say("decide", name, "not-approved", *KIM)
    assert (status, complaint.count("\n")) == (1, 1)
