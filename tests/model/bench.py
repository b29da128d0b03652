"""The real gateway for the machine: its doors called in this process, PostgreSQL and a PG beside it.

The merchant's door and the door of notices are the ASGI applications that `naru serve` runs; only
the sockets in front of them are left out. Lines to the PG are real HTTP.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Coroutine, Set
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

import asyncpg
from aiohttp import web
from starlette.applications import Starlette

from naru import notices
from naru.domain.channel import Channel
from naru.domain.ids import ImpUid, RandomIds, hash_secret
from naru.domain.merchant import Merchant
from naru.payments.certify import end_certifications
from naru.payments.check_card import due_checks, give_back_check
from naru.payments.quick_pay import ask_again, due_members
from naru.payments.reconcile import due, reconcile
from naru.payments.reconcile_key import due_keys, reconcile_key
from naru.payments.reconcile_receipt import due_receipts, reconcile_receipt
from naru.payments.run_errand import due_errands, run_again
from naru.payments.run_schedule import due_schedules, run_schedule
from naru.rest import Door, operations
from naru.store.audit import CHECKS
from tests.support.gateway import House, open_house
from tests.support.stand_in_pg import SECRET, Asked, StandInPg, standing_in

Result = TypeVar("Result")
NO = "한도초과"
# Beside the channel of `kcp`, which is the default: one whose accounts may be changed, one of quick pay,
# and one for certifications.
SETTLE, QUICK, DANAL = "settle", "kcp_quick", "danal"
_NUMBERS = count(1)

# Not after every step: what looks at all rows, and what goes by the clock on the wall, which stands
# still beside the machine's. `naru.store.audit.audit` runs all checks, once, at the end.
_AT_THE_END = (
    "every_guard_stands",
    "audit_log_whole",
    "sealed_at_rest",
    "questions_end",
    "webhooks_leave",
    "answers_found",
    "doubts_looked_at",
)
_OF_PAYMENTS = {name: query for name, query in CHECKS.items() if name not in _AT_THE_END}
_AUDIT = "WITH given AS (SELECT $1::text[], $2::timestamptz)\n" + "\nUNION ALL\n".join(
    f"SELECT '{name}' AS name, id, why FROM (\n{query.sql.rstrip().rstrip(';')}\n) {name}"
    for name, query in _OF_PAYMENTS.items()
)
_WRITTEN = """
SELECT p.imp_uid,
       (SELECT json_agg(json_build_array(v.event, v.step, v.cancelled) ORDER BY v.version)
          FROM payment_events v WHERE v.imp_uid = p.imp_uid) AS events,
       (SELECT json_agg(json_build_array(d.version, d.status) ORDER BY d.version)
          FROM webhook_deliveries d WHERE d.imp_uid = p.imp_uid) AS webhooks,
       (SELECT json_agg(json_build_array(d.amount, d.meaning) ORDER BY d.booked_at, d.notice_key)
          FROM deposits d WHERE d.imp_uid = p.imp_uid) AS deposits,
       (SELECT json_object_agg(b.account, b.sum) FROM
          (SELECT account, sum(amount) FROM entries e WHERE e.imp_uid = p.imp_uid
                 GROUP BY account HAVING sum(amount) <> 0) b) AS books,
       p.flagged
  FROM payments p WHERE p.imp_uid = ANY ($1)
"""
# What a worker's round looks at, of whatever example.
_OPEN = """
SELECT EXISTS (SELECT 1 FROM intents WHERE state IN ('open', 'unknown', 'undoing'))
    OR EXISTS (SELECT 1 FROM open_questions) OR EXISTS (SELECT 1 FROM card_checks)
"""
DAYS_TO_END, EVERYTHING = 8, 1_000_000
_PAPERS = """
SELECT (SELECT json_agg(json_build_array(coalesce(r.imp_uid, r.merchant_uid), r.state, r.amount, r.cancels)
                        ORDER BY r.id) FROM cash_receipts r WHERE r.merchant_id = ANY ($1)) AS receipts,
       (SELECT json_agg(json_build_array(c.imp_uid, c.stage, c.tries, c.sealed IS NOT NULL)
                        ORDER BY c.imp_uid) FROM certifications c
         WHERE c.merchant_id = ANY ($1)) AS certifications
"""


class Clock:
    """A clock of whole seconds that stands still until it is told to go on."""

    def __init__(self, wall: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.wall = wall
        self.reset()

    def reset(self) -> None:
        """Tomorrow's noon again, for the next example: of what Hypothesis repeats no day may begin
        at another step than before, and PostgreSQL's own clock is never ahead of ours."""
        tomorrow = self.wall() + timedelta(days=1)
        self.moment = tomorrow.replace(hour=12, minute=0, second=0, microsecond=0)

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, seconds: int) -> None:
        """So much later."""
        self.moment += timedelta(seconds=seconds)

    @property
    def seconds(self) -> int:
        """UNIX seconds."""
        return int(self.moment.timestamp())


class SteadyIds(RandomIds):
    """Names of payments that go up: where two are of the same second, whose comes first must be the
    same when an example is repeated."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def imp_uid(self) -> ImpUid:
        return ImpUid(f"imp_{next(self._numbers):012d}")

    def api_imp_uid(self) -> ImpUid:
        return ImpUid(f"imps_{next(self._numbers):012d}")


@dataclass(frozen=True)
class Answer:
    """What came out of a door."""

    status: int
    raw: bytes
    replayed: bool = False

    @property
    def body(self) -> dict[str, Any]:
        """The envelope."""
        read: dict[str, Any] = json.loads(self.raw)
        return read

    @property
    def words(self) -> tuple[int, int, str | None]:
        """Status, code and message."""
        body = self.body
        return self.status, body["code"], body["message"]


@dataclass
class Shop:
    """One of the merchants of an example."""

    merchant: Merchant
    channels: dict[str, Channel]
    imp_key: str
    imp_secret: str

    @property
    def channel(self) -> Channel:
        """The default one."""
        return self.channels["kcp"]


class Bench:
    """A gateway that synchronous rules can drive. Every example has merchants of its own."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.clock = Clock()
        self.loop = asyncio.new_event_loop()
        self._opened = AsyncExitStack()
        self.shops: list[Shop] = []
        self.pg: StandInPg
        self.run(self._open())

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do this now."""
        return self.loop.run_until_complete(work)

    async def _open(self) -> None:
        self.pg = await self._opened.enter_async_context(standing_in())
        self.pg.now = lambda: self.clock.moment.timestamp()
        self.house: House = await self._opened.enter_async_context(
            open_house(self.dsn, self.pg.url, secret=SECRET, clock=self.clock)  # type: ignore[arg-type]
        )
        self.gateway = replace(self.house.gateway, ids=SteadyIds())
        self.door = Door(self.gateway, operations())
        self.notices = Starlette(routes=notices.routes(self.gateway))
        self.sql = await asyncpg.connect(self.dsn)

    def close(self) -> None:
        """Let go of everything."""

        async def close() -> None:
            await self.sql.close()
            await self._opened.aclose()

        self.run(close())
        self.loop.close()

    async def fresh(self, tier_code: str) -> None:
        """Two new merchants, a tier of the first, and a PG that misbehaves no more.

        An example that failed may have left questions open. Its repetition must not meet them: they
        would take the fates that are meant for its own.
        """
        self.clock.reset()
        self.pg.next.clear()
        self.pg.peek = None
        for _ in range(DAYS_TO_END):
            if not await self.sql.fetchval(_OPEN):
                break
            self.clock.advance(86_400)
            await self.work(silent=False)
        self.clock.reset()
        self.pg.members = {}
        self.pg.receipts.clear()
        self.shops = []
        # A phone is rung so often by all merchants together, those of other examples, too.
        await self.sql.execute("DELETE FROM limits")
        settings = {"url": self.pg.url, "secret": SECRET}
        # One shop at quick pay, under whose name all three sell; nobody of another example does.
        quick_mid = f"Q{next(_NUMBERS)}"
        for _ in range(3):
            number = next(_NUMBERS)
            key, secret = f"model-key-{number}", f"secret-{number}"
            async with self.gateway.store.begin() as tx:
                owner = await tx.merchants.add(
                    f"상점{number}", [f"impm{number:07d}"], live=False, webhook_secret=None
                )
                await tx.merchants.add_key(owner, key, hash_secret(secret))
                for pg_code in ("kcp", SETTLE, QUICK, DANAL):
                    # What a company may tell of a person's phone is a matter of contract.
                    contract = {"phone_approved": True} if len(self.shops) == 1 else {}
                    await tx.channels.add(
                        owner,
                        f"channel-{pg_code}-{number}",
                        pg_code,
                        quick_mid if pg_code == QUICK else "T0000",
                        "sandbox",
                        test=True,
                        settings=settings | (contract if pg_code == DANAL else {}),
                        kind="certification" if pg_code == DANAL else "payment",
                        is_default=pg_code in ("kcp", DANAL),
                    )
                merchant = await tx.merchants.get(owner)
                channels = await tx.channels.of_merchant(owner)
            assert merchant is not None
            self.shops.append(
                Shop(merchant, {each.pg_code: each for each in channels}, key, secret)
            )
        agency, _, tier = (each.merchant.id for each in self.shops)
        async with self.gateway.store.begin() as tx:
            await tx.tiers.add(tier, agency, tier_code)

    # --- the doors -----------------------------------------------------------------------------

    async def ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        token: str = "",
        key: str | None = None,
        tier: str | None = None,
    ) -> Answer:
        """One request at the merchant's door."""
        raw = b"" if body is None else json.dumps(body).encode()
        headers = [
            (b"authorization", token.encode()),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(raw)).encode()),
        ]
        for name, value in ((b"idempotency-key", key), (b"tier", tier)):
            if value is not None:
                headers.append((name, value.encode()))
        return await _call(self.door, method, path, headers, raw)

    async def notice(self, channel: Channel, notice: dict[str, Any]) -> Answer:
        """The PG's server tells of a deposit."""
        raw = json.dumps({"type": "deposited", "mid": channel.mid, **notice}).encode()
        stamp = str(self.clock.seconds)
        signed = hmac.new(SECRET.encode(), f"{stamp}.".encode() + raw, hashlib.sha256)
        headers = [
            (b"x-sandbox-timestamp", stamp.encode()),
            (b"x-sandbox-signature", signed.hexdigest().encode()),
        ]
        path = f"/notices/{channel.channel_key}"
        return await _call(self.notices, "POST", path, headers, raw)

    async def work(self, *, silent: bool) -> None:
        """The worker's round: everything in doubt is looked at. A silent PG answers 503 to all."""

        async def refuse(asked: Asked) -> None:
            raise web.HTTPServiceUnavailable

        self.pg.peek = refuse if silent else None
        for imp_uid in await due(self.gateway):
            await reconcile(self.gateway, imp_uid)
        for number in await due_keys(self.gateway):
            await reconcile_key(self.gateway, number)
        for imp_uid in await due_checks(self.gateway):
            await give_back_check(self.gateway, imp_uid)
        for number in await due_errands(self.gateway):
            await run_again(self.gateway, number)
        for number in await due_members(self.gateway):
            await ask_again(self.gateway, number)
        # A receipt whose money went back meanwhile is taken back as soon as it is known to be there.
        while numbers := await due_receipts(self.gateway):
            for number in numbers:
                await reconcile_receipt(self.gateway, number)
        await end_certifications(self.gateway)
        self.pg.peek = None

    async def due_plans(self) -> list[str]:
        """The numbers of the schedules whose time has come."""
        merchants = [each.merchant.id for each in self.shops]
        rows = await self.sql.fetch(
            "SELECT number FROM schedules WHERE merchant_id = ANY ($1)", merchants
        )
        ours = {row["number"] for row in rows}
        # All of them: what earlier examples planned and left would fill any list of the oldest.
        return [each for each in await due_schedules(self.gateway, EVERYTHING) if each in ours]

    async def run_plan(self, number: str) -> None:
        """The worker's try of one schedule."""
        await run_schedule(self.gateway, number)

    # --- the PG's fates ------------------------------------------------------------------------

    def fate(
        self,
        operation: str,
        fate: str,
        *,
        doubtful: Set[str] = frozenset(),
        account_due: int | None = None,
    ) -> None:
        """What the PG does with the next request of this kind.

        `lost`: done, and the line is cut. `never`: the line is cut. `garbage`: done, and unreadable.
        `late`: done, and slow, so that the worker looks before the answer comes. `too_late`: slow
        before it is done. `mismatch`: done for one won more. `declined`: the PG says no.
        What was `doubtful` before is left for the worker's own round.
        """
        pg = self.pg

        def deed(asked: Asked) -> dict[str, Any]:
            if account_due is not None and operation == "approvals":
                # In the window the buyer chose an account instead of a card.
                chosen = {"bank_code": "004", "holder": "나루", "due": account_due}
                return pg.do_virtual_accounts(replace(asked, body={**asked.body, **chosen}))
            return pg.do(asked)

        async def act(asked: Asked, _: dict[str, Any]) -> web.StreamResponse | dict[str, Any]:
            answer = {} if fate in ("never", "too_late", "declined") else deed(asked)
            match fate:
                case "lost" | "never" if asked.method == "DELETE":
                    # HTTP's clients send such a request again by themselves when its line is cut.
                    return web.Response(status=503)
                case "lost" | "never":
                    assert asked.request.transport is not None
                    asked.request.transport.abort()
                    return web.Response()
                case "declined":
                    names = ("order_no", "key_no", "number")
                    asked_about = {name: asked.body[name] for name in names if name in asked.body}
                    return {**asked_about, "result": "declined", "code": "LIMIT", "message": NO}
                case "garbage":
                    return web.Response(body=b"<html>")
                case "mismatch":
                    return {**answer, "amount": answer["amount"] + 1}
                case "late" | "too_late":
                    self.clock.advance(25)
                    for imp_uid in [
                        each for each in await due(self.gateway) if each not in doubtful
                    ]:
                        await reconcile(self.gateway, imp_uid)
                    return answer or deed(asked)
            return answer

        pg.next[operation].append(act)

    # --- what is written -----------------------------------------------------------------------

    async def written(self, imp_uids: list[str]) -> dict[str, dict[str, Any]]:
        """Events, webhooks owed, deposits and books of these payments."""
        rows = await self.sql.fetch(_WRITTEN, imp_uids)
        return {
            row["imp_uid"]: {
                name: json.loads(row[name] or "[]") for name in ("events", "webhooks", "deposits")
            }
            | {"books": json.loads(row["books"] or "{}"), "flagged": row["flagged"]}
            for row in rows
        }

    async def papers(self) -> dict[str, list[list[Any]]]:
        """Cash receipts and certifications of the shops of this example, oldest first."""
        owners = [each.merchant.id for each in self.shops]
        row = await self.sql.fetchrow(_PAPERS, owners)
        assert row is not None
        return {name: json.loads(row[name] or "[]") for name in ("receipts", "certifications")}

    async def broken(self, imp_uids: list[str]) -> list[str]:
        """What the audit's checks find about these payments."""
        rows = await self.sql.fetch(_AUDIT, imp_uids, datetime.now(UTC))
        return [f"{row['name']}: {row['id']} {row['why']}" for row in rows]


async def _call(
    app: Any, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> Answer:
    """One request to an ASGI application, and its whole answer."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    await app(scope, receive, send)
    start, *rest = told
    replayed = any(name.lower() == b"idempotent-replayed" for name, _ in start["headers"])
    return Answer(start["status"], b"".join(each.get("body", b"") for each in rest), replayed)
