"""A small world in which the real finaliser is stepped: a gateway with a history, a database with
row locks, and callers that are stopped between any two of their moves.

Nothing waits for time here: every `await` of the kit ends in a `Move`, and who moves next is chosen
by the schedule. So a schedule is a list of numbers, and the same list gives the same run.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from naru.kit import AsyncFinaliser, Finding, NotFound, Payment, Verdict
from naru.kit.operations.call import Call
from naru.kit.orders import SETTLED, AlreadyUsed, StoredOrder

PRICE = 64_900
ORDER = "order-1"


class Move:
    """One moment in which others may go first. `may` is False while a row is locked by another."""

    def __init__(self, may: Callable[[], bool] = lambda: True) -> None:
        self.may = may

    def __await__(self) -> Generator[Move, None, None]:
        yield self


@dataclass
class Truth:
    """What the gateway knows. `history` is what will happen there, one change after the other."""

    payments: dict[str, dict[str, Any]]
    history: list[Callable[[dict[str, dict[str, Any]]], None]]
    refunded: set[str] = field(default_factory=set)

    async def live(self) -> None:
        """The gateway's own actor: its history happens, whenever the schedule lets it."""
        for change in self.history:
            await Move()
            change(self.payments)


class Gateway:
    """An `AsyncClient` as far as the finaliser sees: an answer is true when it is made, and old
    when it arrives."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth

    async def send(self, call: Call[Any], *, within: float | None = None) -> Any:
        await Move()
        answer = self._answer(call)
        await Move()
        return answer

    def _answer(self, call: Call[Any]) -> Any:
        payments = self._truth.payments
        match call.path.strip("/").split("/"):
            case ["payments", "status", status]:
                found = [each for each in payments.values() if each["status"] == status]
                return call.read({"total": len(found), "list": found})
            case ["payments", "cancel"]:
                assert call.fields is not None
                payment = payments[call.fields["imp_uid"]]
                if call.fields["checksum"] != payment["amount"] - payment["cancel_amount"]:
                    raise NotFound(1, "취소가능금액이 다릅니다.", http_status=200)
                give_back(payment["imp_uid"], payment["amount"])(payments)
                self._truth.refunded.add(payment["imp_uid"])
                return call.read(payments[payment["imp_uid"]])
            case ["payments", imp_uid]:
                if imp_uid not in payments:
                    raise NotFound(-1, "존재하지 않는 결제정보입니다.", http_status=404)
                return call.read(payments[imp_uid])
        raise AssertionError(call.path)


def payment_of(imp_uid: str, **changes: Any) -> dict[str, Any]:
    """A payment whose window is open."""
    return {
        "imp_uid": imp_uid,
        "merchant_uid": ORDER,
        "amount": PRICE,
        "cancel_amount": 0,
        "currency": "KRW",
        "sandbox": False,
        "status": "ready",
        "started_at": 1_700_000_000,
    } | changes


def becomes(imp_uid: str, **changes: Any) -> Callable[[dict[str, dict[str, Any]]], None]:
    """A change of the gateway's history."""

    def change(payments: dict[str, dict[str, Any]]) -> None:
        payments[imp_uid] = payments[imp_uid] | changes

    return change


def give_back(imp_uid: str, amount: int) -> Callable[[dict[str, dict[str, Any]]], None]:
    """So much of its money goes back in all; i'mport calls a part of it cancelled, too."""
    return becomes(imp_uid, status="cancelled", cancel_amount=amount)


@dataclass
class Database:
    """Committed rows, and who has locked which until the end of a transaction.

    A reader sees what is committed and locks nothing; a writer waits for the row, and its condition
    is looked at when it has it: READ COMMITTED without `FOR UPDATE`, the weakest that shops use.
    """

    rows: dict[str, StoredOrder]
    locks: dict[str, object] = field(default_factory=dict)
    parcels: list[str] = field(default_factory=list)
    log: list[StoredOrder] = field(default_factory=list)
    careless: bool = False

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        await Move()
        transaction = Transaction(self)
        try:
            yield transaction
            await Move()
            for row in transaction.written.values():
                self.rows[row.merchant_uid] = row
                self.log.append(row)
            self.parcels += transaction.session
        finally:
            for key in [key for key, holder in self.locks.items() if holder is transaction]:
                del self.locks[key]


class Transaction:
    """An `AsyncDesk`. `session` is what is to leave the house when this is committed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.session: list[str] = []
        self.written: dict[str, StoredOrder] = {}

    async def find(self, merchant_uid: str) -> StoredOrder | None:
        await Move()
        return self._database.rows.get(merchant_uid)

    async def holder(self, imp_uid: str) -> str | None:
        await Move()
        rows = self._database.rows.values()
        return next((row.merchant_uid for row in rows if row.imp_uid == imp_uid), None)

    async def change(self, before: StoredOrder, after: StoredOrder) -> bool:
        locks, row = self._database.locks, before.merchant_uid
        await Move(lambda: locks.get(row, self) is self)
        locks[row] = self
        if not self._database.careless and self._database.rows[row] != before:
            return False
        # The same index entry waits for the same end.
        unique = f"imp_uid {after.imp_uid}"
        await Move(lambda: locks.get(unique, self) is self)
        locks[unique] = self
        if any(
            each.imp_uid == after.imp_uid and each.merchant_uid != row
            for each in self._database.rows.values()
        ):
            raise AlreadyUsed(after.imp_uid)
        self.written[row] = after
        return True

    async def left(self, limit: int) -> Sequence[StoredOrder]:
        await Move()
        rows = self._database.rows.values()
        return [row for row in rows if row.untold or row.status == "refunding"][:limit]


class Violated(AssertionError):
    """A rule that every schedule must keep was not kept."""


@dataclass
class World:
    """A gateway, a shop, and who calls: built anew for each schedule."""

    truth: Truth
    database: Database
    told: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.till: AsyncFinaliser[list[str]] = AsyncFinaliser(
            Gateway(self.truth),  # type: ignore[arg-type]
            self.database,
            fulfil=self._fulfil,
            tell=self._tell,
            report=self.findings.append,
        )

    async def _fulfil(self, order: StoredOrder, payment: Payment, session: list[str]) -> None:
        await Move()
        if payment.status != "paid" or payment.amount != PRICE:
            raise Violated("goods left for a payment that does not pay")
        session.append(order.merchant_uid)

    async def _tell(self, order: StoredOrder, payment: Payment) -> None:
        await Move()
        self.told.append(order.status)

    async def caller(self, imp_uid: str) -> None:
        """Callback, redirect or webhook."""
        self.verdicts.append(await self.till.finalise(imp_uid))

    async def sweeper(self, *, refunds: bool = False) -> None:
        """Cron, of a shop that would rather give money back than send so late."""
        await self.till.sweep(
            policy=lambda payment, order: "refund" if refunds else "finish",
            refund_double_payments=refunds,
        )

    def run(self, actors: Sequence[Coroutine[Any, Any, Any]], choose: Callable[[int], int]) -> int:
        """Step the actors until all have ended; answers how many moves that took.

        `choose(n)` says which of the n that may move does. Below 0: that one's process dies there.
        """
        waiting = {number: (actor, Move()) for number, actor in enumerate(actors)}
        moves = 0
        while waiting:
            ready = [number for number, (_, move) in waiting.items() if move.may()]
            if not ready:
                raise Violated("everybody waits for somebody")
            chosen = choose(len(ready))
            number = ready[chosen if chosen >= 0 else -1 - chosen]
            actor, _ = waiting[number]
            moves += 1
            if chosen < 0:
                actor.close()
                del waiting[number]
                continue
            try:
                waiting[number] = (actor, actor.send(None))
            except StopIteration:
                del waiting[number]
            self._check()
        return moves

    def finish(self) -> None:
        """Nobody else comes: one last sweep, undisturbed, and what must be true then."""
        self.run([self.sweeper()], lambda ready: 0)
        order = self.database.rows[ORDER]
        paid = [each for each in self.truth.payments.values() if each["status"] == "paid"]
        if any(each["amount"] == PRICE for each in paid) and order.status not in SETTLED:
            raise Violated(f"paid at the gateway, and {order.status} in the shop")
        if order.status == "paid" and self.database.parcels != [ORDER]:
            raise Violated(f"paid, and sent {len(self.database.parcels)} times")
        if self.database.parcels and order.imp_uid in self.truth.refunded:
            raise Violated("sent, and given back by the sweep")
        following = self.truth.payments.get(order.imp_uid or "")
        if order.status in SETTLED:
            assert following is not None
            if Decimal(order.cancelled) != following["cancel_amount"]:
                raise Violated("what went back differs")
        if order.untold or (order.status in SETTLED and order.status not in self.told):
            raise Violated("nobody was told")
        doubles = [each for each in paid if each["imp_uid"] != order.imp_uid]
        found = {each.payment.imp_uid for each in self.findings}
        if not {each["imp_uid"] for each in doubles} <= found:
            raise Violated("a second payment was swallowed")

    def _check(self) -> None:
        if len(self.database.parcels) > 1:
            raise Violated("goods left the house twice")
        log = self.database.log
        for before, after in itertools.pairwise(log):
            if before.status in SETTLED and after.status not in SETTLED:
                raise Violated(f"an older word won: {before.status}, then {after.status}")
            if before.status == "cancelled" and after.status != "cancelled":
                raise Violated("what was cancelled is paid again")
            if before.imp_uid == after.imp_uid and (before.status, after.status) == (
                "failed",
                "waiting",
            ):
                raise Violated("an older word won: a closed account waits again")
            tries = [(each.tried_at, each.imp_uid or "") for each in (before, after)]
            if after.status not in SETTLED and tries[1] < tries[0]:
                raise Violated("an older word won: the order is back at an older try")
            if after.cancelled < before.cancelled:
                raise Violated("money that went back came back")
        log[:-1] = []


def world(history: str, *, careless: bool = False) -> World:
    """A world whose gateway has one of `HISTORIES` before it."""
    payments, changes = HISTORIES[history]
    return World(
        Truth({uid: dict(payment) for uid, payment in payments.items()}, list(changes)),
        Database({ORDER: StoredOrder(ORDER, PRICE, "KRW")}, careless=careless),
    )


_ACCOUNT = {"pay_method": "vbank", "vbank_num": "56211105948400"}
_LATER = {"started_at": 1_700_000_900}

# What may happen at the gateway while the shop is told of it: imp_a, and in some imp_b.
HISTORIES: dict[str, tuple[dict[str, dict[str, Any]], tuple[Any, ...]]] = {
    "a card": ({"imp_a": payment_of("imp_a")}, (becomes("imp_a", status="paid"),)),
    "a deposit, then a part goes back, then all": (
        {"imp_a": payment_of("imp_a", **_ACCOUNT)},
        (becomes("imp_a", status="paid"), give_back("imp_a", 900), give_back("imp_a", PRICE)),
    ),
    "a refusal that was none": (
        {"imp_a": payment_of("imp_a")},
        (becomes("imp_a", status="failed"), becomes("imp_a", status="paid")),
    ),
    "an account that is closed": (
        {"imp_a": payment_of("imp_a", **_ACCOUNT)},
        (becomes("imp_a", status="failed"),),
    ),
    "two accounts, of which the first is closed": (
        {
            "imp_a": payment_of("imp_a", **_ACCOUNT),
            "imp_b": payment_of("imp_b", **_ACCOUNT, **_LATER),
        },
        (becomes("imp_a", status="failed"), becomes("imp_b", status="failed")),
    ),
    "a card after an account, and the deposit as well": (
        {"imp_a": payment_of("imp_a", **_ACCOUNT), "imp_b": payment_of("imp_b", **_LATER)},
        (becomes("imp_b", status="paid"), becomes("imp_a", status="paid")),
    ),
    "a forged amount beside the true one": (
        {"imp_a": payment_of("imp_a"), "imp_b": payment_of("imp_b", amount=1000, **_LATER)},
        (becomes("imp_b", status="paid"), becomes("imp_a", status="paid")),
    ),
}
