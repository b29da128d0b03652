"""The PG's server tells us of deposits over real HTTP, for naru/notices.py."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
import pytest
import uvicorn
from starlette.applications import Starlette

from naru import notices
from naru.domain.channel import Channel
from naru.domain.outcome import AccountIssued
from naru.domain.payment import Payment, Step, VirtualAccount
from naru.payments.gateway import Gateway
from naru.payments.keep_notice import replay_notices
from naru.store import Store
from naru.store.keys import reseal
from naru.wire import Answer, Wire
from tests.support.house import PG_SECRET, make_merchant, make_payment
from tests.support.scale import often

if TYPE_CHECKING:
    from tests.support.postgres import Databases


@dataclass
class Pg:
    """The PG's side: it signs and posts."""

    url: str
    database_url: str
    wire: Wire
    gateway: Gateway
    channel: Channel
    payment: Payment

    def notice(self, **changes: Any) -> dict[str, Any]:
        amount = self.payment.amount.minor
        return {
            "notice_id": "n1",
            "type": "deposited",
            "mid": self.channel.mid,
            "order_no": self.payment.pg_order_no,
            "tid": "tid-1",
            "amount": amount,
            "total": amount,
            "currency": "KRW",
            "depositor": "홍길동",
            "deposited_at": int(time.time()),
        } | changes

    async def post(
        self,
        notice: dict[str, Any] | bytes,
        *,
        secret: str = PG_SECRET,
        stamp: int | None = None,
        key: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        body = notice if isinstance(notice, bytes) else json.dumps(notice).encode()
        stamped = str(stamp if stamp is not None else int(time.time()))
        signature = hmac.new(
            secret.encode(), stamped.encode() + b"." + body, hashlib.sha256
        ).hexdigest()
        return await self.wire.request(
            "POST",
            f"{self.url}/notices/{key or self.channel.channel_key}",
            body=body,
            headers={
                "Content-Type": "application/json",
                "X-Sandbox-Timestamp": stamped,
                "X-Sandbox-Signature": signature,
                **(headers or {}),
            },
        )

    async def step(self) -> Step:
        async with self.gateway.store.direct() as session:
            found = await session.payments.get(self.payment.imp_uid)
            assert found is not None
            return found.step

    async def deposits(self) -> list[tuple[str, str]]:
        """What was booked for this channel: the PG's key and what it meant to us."""
        connection = await asyncpg.connect(self.database_url)
        rows = await connection.fetch(
            "SELECT notice_key, meaning FROM deposits WHERE channel_id = $1", self.channel.id
        )
        await connection.close()
        return [(row["notice_key"], row["meaning"]) for row in rows]

    async def announced(self) -> list[str]:
        async with self.gateway.store.direct() as session:
            rows = await session.outbox.of_merchant(self.payment.merchant_id)
            return [row.status for row in rows]


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> Iterator[str]:
    """One database for the file: every test has a merchant, a channel and a payment of its own."""
    url = databases.new()
    yield url
    databases.drop(url)


@pytest.fixture
async def pg(database_url: str) -> AsyncIterator[Pg]:
    store = await Store.open(database_url, root_key=b"k" * 32)
    async with Wire(allow_private=True, ports=None) as wire:
        gateway = Gateway(store, wire, wire, "http://127.0.0.1:1", b"k" * 32)
        merchant = await make_merchant(store, webhook_url="http://127.0.0.1:1/hook")
        payment = await wait_for_deposit(store, await make_payment(store, merchant))
        async with store.direct() as session:
            channel = await session.channels.get(payment.channel_id)
        assert channel is not None
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            server = uvicorn.Server(
                uvicorn.Config(
                    Starlette(routes=notices.routes(gateway)), log_config=None, lifespan="off"
                )
            )
            serving = asyncio.create_task(server.serve([listener]))
            yield Pg(f"http://127.0.0.1:{port}", database_url, wire, gateway, channel, payment)
            server.should_exit = True
            await serving
    await store.close()


async def wait_for_deposit(store: Store, payment: Payment) -> Payment:
    """The payment with an account that waits for its amount."""
    now = datetime.now(UTC)
    account = VirtualAccount("004", "KB국민은행", "1234", "나루", now + timedelta(days=1), now)
    async with store.begin() as session:
        claimed = await session.payments.claim_for_approval(payment.imp_uid, now, now, "vbank", {})
        assert claimed is not None
        waiting = await session.payments.settle_account(
            claimed, AccountIssued(payment.pg_order_no, payment.amount, "tid-1", account)
        )
        assert waiting is not None
        return waiting


async def test_an_exact_deposit_pays_and_is_acknowledged_in_the_pgs_words(pg: Pg) -> None:
    answer = await pg.post(pg.notice())
    assert (answer.status, answer.body) == (200, b"OK")
    assert await pg.step() is Step.PAID
    assert await pg.announced() == ["paid"]


async def test_news_of_escrow_that_is_not_ours_change_nothing_and_are_acknowledged(pg: Pg) -> None:
    """Which of them are announced: tests/webhooks/test_announce.py; the whole way: tests/journeys/test_examples.py."""
    about = {"type": "escrow_changed", "status": "4", "changed_at": int(time.time()), "reason": "x"}
    for changes in ({"order_no": "n" * 25}, {"tid": "another"}, {}):  # the last: without escrow
        answer = await pg.post(pg.notice(**about, **changes))
        assert (answer.status, answer.body) == (200, b"OK")
    for wrong in ({"mid": "another"}, {"changed_at": "now"}, {"changed_at": -1}, {"tid": ""}):
        assert (await pg.post(pg.notice(**about | wrong))).body == b"NO"
    assert await pg.step() is Step.WAITING_DEPOSIT
    assert await pg.announced() == []


@pytest.mark.fault("I2_DU")
@pytest.mark.promise("P16")
async def test_the_same_notice_sent_64_times_at_once_is_booked_once(pg: Pg) -> None:
    notice = pg.notice()
    answers = await asyncio.gather(*(pg.post(notice) for _ in range(64)))
    assert {(answer.status, answer.body) for answer in answers} == {(200, b"OK")}
    assert await pg.deposits() == [("n1", "exact")]
    assert await pg.announced() == ["paid"]


@pytest.mark.fault("I2_LR")
async def test_a_pg_that_does_not_hear_our_ok_sends_ten_times_more_and_hears_it_each_time(
    pg: Pg,
) -> None:
    for _ in range(11):
        assert (await pg.post(pg.notice())).body == b"OK"
    assert await pg.deposits() == [("n1", "exact")]
    assert await pg.announced() == ["paid"]


@pytest.mark.fault("I2_WD")
@pytest.mark.parametrize(
    ("changes", "meaning"),
    [
        ({"amount": 4}, "short"),
        ({"amount": 2000}, "over"),
        ({"order_no": "nobody-knows"}, "unknown_order"),
        ({"deposited_at": int(time.time()) + 5 * 86_400}, "late"),
        ({"tid": "another"}, "other_account"),
        ({"currency": "USD"}, "other_currency"),
    ],
)
async def test_what_does_not_fit_is_stored_and_acknowledged_but_does_not_pay(
    pg: Pg, changes: dict[str, Any], meaning: str
) -> None:
    answer = await pg.post(pg.notice(**changes))
    assert (answer.status, answer.body) == (200, b"OK")
    assert await pg.deposits() == [("n1", meaning)]
    assert await pg.step() is Step.WAITING_DEPOSIT
    assert await pg.announced() == []


async def test_a_notice_that_asks_nothing_is_acknowledged(pg: Pg) -> None:
    assert (await pg.post({"type": "hello"})).body == b"OK"
    assert await pg.step() is Step.WAITING_DEPOSIT


@pytest.mark.fault("I2_WD")
async def test_a_notice_without_proof_changes_nothing(pg: Pg) -> None:
    now = int(time.time())
    without_proof: list[dict[str, Any]] = [
        {"secret": "another"},
        {"stamp": now - 8000},
        {"stamp": now + 8000},
        {"headers": {"X-Sandbox-Signature": ""}},
        {"headers": {"X-Sandbox-Signature": "ÿ"}},
        {"headers": {"X-Sandbox-Timestamp": "²"}},
    ]
    for how in without_proof:
        answer = await pg.post(pg.notice(), **how)
        assert answer.status == 400, how
        assert answer.body != b"OK", how
    assert await pg.step() is Step.WAITING_DEPOSIT
    assert await pg.deposits() == []


async def unreadable(pg: Pg) -> int:
    """How many notices of this channel a person was asked to read."""
    async with pg.gateway.store.direct() as session:
        tasks = await session.tasks.list_open()
    mine = str(pg.channel.id)
    return sum(t.kind == "notice_unreadable" and t.subject == mine for t in tasks)


async def test_signed_garbage_is_not_acknowledged_and_is_laid_before_a_person_once(pg: Pg) -> None:
    deep = b'{"a":' * 5000
    assert await unreadable(pg) == 0
    for _ in range(3):
        assert (await pg.post(b"{")).body != b"OK"
        assert await unreadable(pg) == 1
    for body in (b"", b"{", b"\x00\xff", b"[]", b"null", b'{"type":1}', deep, b'{"a":"\\ud800"}'):
        answer = await pg.post(body)
        assert answer.status in (400, 503), body[:20]
        assert answer.body != b"OK", body[:20]


async def kept(pg: Pg) -> list[bytes]:
    """What lies in the database of this channel's notices that could not be booked."""
    connection = await asyncpg.connect(pg.database_url)
    rows = await connection.fetch("SELECT sealed FROM notices WHERE channel_id = $1", pg.channel.id)
    await connection.close()
    return [row["sealed"] for row in rows]


async def an_hour_later(pg: Pg) -> int:
    """How many kept notices of all channels the worker's round books then."""
    ahead = pg.gateway.now() - datetime.now(UTC) + timedelta(hours=1, minutes=1)
    pg.gateway.now = lambda: datetime.now(UTC) + ahead
    return await replay_notices(pg.gateway)


@pytest.mark.promise("P16")
@pytest.mark.fault("I2_WD")
async def test_a_notice_that_cannot_be_read_is_kept_and_pays_once_it_can(pg: Pg) -> None:
    """The PG has long given up when the operator finds that the channel's MID was mistyped."""
    notice = pg.notice(mid="T-RIGHT")
    for _ in range(3):
        assert (await pg.post(notice)).body != b"OK"
    [sealed] = await kept(pg)
    assert "홍길동".encode() not in sealed
    assert b"T-RIGHT" not in sealed
    assert await an_hour_later(pg) == 0
    assert (await pg.step(), len(await kept(pg)), await unreadable(pg)) == (
        Step.WAITING_DEPOSIT,
        1,
        1,
    )
    connection = await asyncpg.connect(pg.database_url)
    await connection.execute("UPDATE channels SET mid = 'T-RIGHT' WHERE id = $1", pg.channel.id)
    await connection.close()
    await an_hour_later(pg)
    assert (await pg.step(), await kept(pg), await unreadable(pg)) == (Step.PAID, [], 0)
    assert await pg.announced() == ["paid"]


@pytest.mark.promise("P16")
async def test_a_notice_that_cannot_be_booked_is_kept_through_a_change_of_keys(pg: Pg) -> None:
    """A mistake of ours in booking: here a trigger that refuses every deposit of this payment."""
    connection = await asyncpg.connect(pg.database_url)
    await connection.execute(
        f"CREATE FUNCTION mistake() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.order_no = '{pg.payment.pg_order_no}' THEN RAISE 'a mistake'; END IF; RETURN NEW;"
        f" END $$; CREATE TRIGGER mistake BEFORE INSERT ON deposits"
        f" FOR EACH ROW EXECUTE FUNCTION mistake()"
    )
    for _ in range(3):
        answer = await pg.post(pg.notice())
        assert (answer.status, answer.body) == (503, b"")
    assert (len(await kept(pg)), await unreadable(pg)) == (1, 1)
    assert await an_hour_later(pg) == 0
    async with pg.gateway.store.direct() as session:
        newest = await session.keys.rotate()
    await reseal(pg.gateway.store)
    assert [int.from_bytes(each[1:5], "big") for each in await kept(pg)] == [newest]
    await connection.execute("DROP TRIGGER mistake ON deposits; DROP FUNCTION mistake")
    await connection.close()
    await an_hour_later(pg)
    assert (await pg.step(), await kept(pg), await unreadable(pg)) == (Step.PAID, [], 0)
    assert (await pg.post(pg.notice())).body == b"OK"
    assert await pg.deposits() == [("n1", "exact")]


@pytest.mark.promise("P16")
async def test_many_that_cannot_be_read_are_one_task_that_counts_and_ends_with_the_last(
    pg: Pg,
) -> None:
    """Each is kept and tried alone; people are told of their channel once."""
    many = often(30, 300)
    bodies = [pg.notice(mid="T-RIGHT", notice_id=f"many{n}") for n in range(many)]
    answers = [
        await asyncio.gather(*map(pg.post, bodies[at : at + 10])) for at in range(0, many, 10)
    ]
    assert all(answer.body != b"OK" for each in answers for answer in each)
    await pg.post(b"{ nonsense for ever")
    assert (len(await kept(pg)), await unreadable(pg)) == (many + 1, 1)
    async with pg.gateway.store.direct() as session:
        [task] = [t for t in await session.tasks.list_open() if t.subject == str(pg.channel.id)]
        assert await session.notices.of_task(task.id) == (many + 1, 0)
    connection = await asyncpg.connect(pg.database_url)
    await connection.execute("UPDATE channels SET mid = 'T-RIGHT' WHERE id = $1", pg.channel.id)
    await an_hour_later(pg)
    # One is still not understood, so the task stays, and what lies under it.
    async with pg.gateway.store.direct() as session:
        assert await session.notices.of_task(task.id) == (many + 1, many)
    assert (await unreadable(pg), len(await pg.deposits())) == (1, many)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="kept as long as task"):
        await connection.execute("DELETE FROM notices WHERE channel_id = $1", pg.channel.id)
    await connection.close()
    async with pg.gateway.store.begin() as session:
        await session.tasks.close(task.id, "kim", "a test of theirs", pg.gateway.now())
    await an_hour_later(pg)
    assert (await kept(pg), await unreadable(pg)) == ([], 0)


async def test_a_task_is_not_closed_under_a_notice_that_comes_meanwhile(pg: Pg) -> None:
    """The last kept one is booked in the moment in which another is kept: that one has a task, too."""
    connection = await asyncpg.connect(pg.database_url)
    for n in range(often(5, 50)):
        await connection.execute("UPDATE channels SET mid = 'T-OTHER' WHERE id = $1", pg.channel.id)
        await pg.post(pg.notice(notice_id=f"first{n}"))
        await connection.execute(
            "UPDATE channels SET mid = $2 WHERE id = $1", pg.channel.id, pg.channel.mid
        )
        await asyncio.gather(
            an_hour_later(pg), *(pg.post(f"{{ {n} {i}".encode()) for i in range(3))
        )
        alone = await connection.fetchval(
            "SELECT count(*) FROM notices n WHERE NOT EXISTS (SELECT FROM operator_tasks t"
            " WHERE t.id = n.task_id AND (t.closed_at IS NULL OR n.done_at IS NOT NULL))"
        )
        assert alone == 0, n
        assert (len(await kept(pg)) >= 3, await unreadable(pg)) == (True, 1)
        async with pg.gateway.store.begin() as session:
            for task in await session.tasks.list_open():
                if task.kind == "notice_unreadable":
                    await session.tasks.close(task.id, "kim", "seen", pg.gateway.now())
        await replay_notices(pg.gateway)
    await connection.close()


async def test_what_has_no_proof_is_not_kept_and_what_a_person_has_seen_is_let_go(pg: Pg) -> None:
    await pg.post(b"{ no proof", secret="another")
    assert await kept(pg) == []
    await pg.post(b"{ signed")
    assert len(await kept(pg)) == 1
    async with pg.gateway.store.begin() as session:
        for task in await session.tasks.list_open():
            if (task.kind, task.subject) == ("notice_unreadable", str(pg.channel.id)):
                await session.tasks.close(task.id, "kim", "seen", pg.gateway.now())
    await an_hour_later(pg)
    assert await kept(pg) == []


async def test_signed_nonsense_pays_nothing_and_is_never_an_error_of_ours(pg: Pg) -> None:
    nonsense: list[dict[str, Any]] = [
        {"amount": -1},
        {"amount": 0},
        {"amount": "1004"},
        {"amount": 1.5},
        {"amount": True},
        {"amount": 2**70},
        {"deposited_at": "today"},
        {"deposited_at": 2**70},
        {"mid": "another"},
        {"order_no": None},
        {"order_no": "\ud800"},
        {"notice_id": "n\x001"},
        {"currency": "ZZZ"},
        {"currency": "K" * 3000},
    ]
    for changes in nonsense:
        assert (await pg.post(pg.notice(**changes))).status != 500, changes
        assert await pg.step() is Step.WAITING_DEPOSIT, changes
    assert await pg.announced() == []


async def test_another_merchants_pg_secret_does_not_open_this_channel(pg: Pg) -> None:
    other = await make_merchant(pg.gateway.store)
    async with pg.gateway.store.direct() as session:
        [channel] = await session.channels.of_merchant(other.id)
    answer = await pg.post(pg.notice(mid=channel.mid), key=channel.channel_key)
    assert await pg.step() is Step.WAITING_DEPOSIT, "the order belongs to another channel"
    assert answer.body == b"OK", "stored as a deposit for an unknown order"


async def test_an_unknown_channel_is_not_found(pg: Pg) -> None:
    for key in ("nobody", "%00", "%ff", "a" * 500, "%0d%0a"):
        assert (await pg.post(pg.notice(), key=key)).status == 404, key


async def test_a_notice_of_10_megabytes_is_refused(pg: Pg) -> None:
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(
                f"{pg.url}/notices/{pg.channel.channel_key}", data=io.BytesIO(b"x" * 10_000_000)
            ) as response:
                assert response.status == 413
        except aiohttp.ClientOSError:
            pass  # it hung up while we were still talking, which is a refusal too
    assert await pg.step() is Step.WAITING_DEPOSIT


async def test_only_post_is_understood(pg: Pg) -> None:
    assert (await pg.wire.get(f"{pg.url}/notices/{pg.channel.channel_key}")).status == 405


@pytest.mark.fault("I2_DB")
@pytest.mark.promise("P16")
async def test_without_a_database_nothing_is_acknowledged(pg: Pg, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("ALTER TABLE deposits RENAME TO deposits_elsewhere")
    answer = await pg.post(pg.notice())
    assert (answer.status, answer.body) == (503, b"")
    await connection.execute("ALTER TABLE deposits_elsewhere RENAME TO deposits")
    await connection.close()
    assert (await pg.post(pg.notice())).body == b"OK"
    assert await pg.step() is Step.PAID
