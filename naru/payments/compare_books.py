"""Compare the PG's own book with ours, row by row and in both directions (P3, RELIABILITY K2).

A PG's book is a fact, so our books follow it where the rules allow: a deposit whose notice was lost
is booked, a cancel made at the PG's console too, and a late approval is booked or undone as we
had decided. What the rules do not cover changes nothing and is laid before a person. Everything may
be repeated: what is found twice is written once.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from naru.connectors import Can, UnknownConnector
from naru.domain.book import TASK_OF, BookRow, Difference, DifferenceKind, Ending, Movement
from naru.domain.channel import Channel
from naru.domain.errors import AnswerMismatch
from naru.domain.money import Money
from naru.domain.outcome import (
    Approved,
    Cancelled,
    Deposited,
    Ticket,
    Undone,
    Unknown,
    check_answer,
)
from naru.domain.payment import Payment, Step
from naru.domain.points import reach
from naru.domain.task import TaskKind
from naru.payments.confirm_deposit import confirm_deposit
from naru.payments.gateway import Gateway
from naru.payments.settle import keep_key, merchant_of
from naru.payments.take_over import take_over
from naru.payments.tell_of_receipt import tell_of_receipt
from naru.store import Session, StoreUnavailable
from naru.webhooks.announce import announce

log = logging.getLogger("naru.payments")

# Late approvals are looked for two days after an undoing (RELIABILITY §2.3, rule 6).
SPAN = timedelta(days=2)
# One movement may stand in the two books at two times: a notice is repeated for most of a day.
MARGIN = timedelta(days=2)
# What moved just now may still be on its way from one book to the other.
FRESH = timedelta(minutes=10)
EVERY = timedelta(days=1)
# So far two processes' clocks may be apart.
AHEAD = timedelta(hours=1)
# A window that was opened so long ago takes no money any more.
WINDOW_LIVES = timedelta(days=1)
UNREADABLE_FOR = timedelta(days=2)
PAGE_TRIES = 3
# More differences than this are one big mistake (another system's MID, say), and are not all told.
DIFFERENCES_MAX = 1000

UNDO_REASON = "결제가 완료되지 않아 취소되었습니다."
CANCEL_REASON = "PG사 관리자에서 취소"


@dataclass(slots=True)
class Comparison:
    """What one comparison found. `broken` says why it did not go through to its end, if so."""

    channel: Channel
    since: datetime
    until: datetime
    movements: int = 0
    pending: int = 0  # differences that our worker is about to end
    differences: list[Difference] = field(default_factory=list)
    broken: str | None = None

    @property
    def agrees(self) -> bool:
        """True when both books were read to the end and say the same."""
        return self.broken is None and not self.differences


def contracts(gateway: Gateway, channels: Iterable[Channel]) -> list[list[Channel]]:
    """Channels whose PG can show its book, those that share one book together."""
    found: dict[str, list[Channel]] = {}
    for channel in channels:
        try:
            connector = gateway.connector_of(channel)
        except UnknownConnector:
            continue
        if Can.LIST_BOOK in connector.can:
            # Whose merchant it is does not matter: a PG keeps one book of a MID, whoever sells under it.
            who = (channel.connector, channel.mid, sorted_text(channel))
            found.setdefault(repr(who), []).append(channel)
    return list(found.values())


def sorted_text(channel: Channel) -> str:
    """A channel's settings in an order of their own."""
    return repr(sorted((name, repr(value)) for name, value in channel.settings.items()))


async def due_contracts(gateway: Gateway) -> list[int]:
    """The first channel of every contract whose books were not compared for a day."""
    async with gateway.store.direct() as session:
        found = contracts(gateway, await session.channels.every())
        now = gateway.now()
        waiting = [(each[0].id, await session.pg_books.compared_at(each[0].id)) for each in found]
    # A comparison of tomorrow is a clock that was set, or another hand: it puts nothing off.
    return [channel for channel, at in waiting if not now - EVERY < at <= now + AHEAD]


async def compare_due(gateway: Gateway) -> None:
    """Compare what is due, one after the other; one contract that fails does not stop the others."""
    for channel_id in await due_contracts(gateway):
        try:
            result = await compare_contract(gateway, channel_id)
            if result is not None and result.broken is not None:
                log.error("the book of channel %s: %s", result.channel.channel_key, result.broken)
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("the book of channel number %d could not be compared", channel_id)


async def compare_contract(gateway: Gateway, channel_id: int) -> Comparison | None:
    """Compare the book that this channel stands in. None: there is no such channel or no such book."""
    async with gateway.store.direct() as session:
        found = contracts(gateway, await session.channels.every())
    for contract in found:
        if any(channel.id == channel_id for channel in contract):
            return await compare_books(gateway, contract)
    return None


async def compare_books(
    gateway: Gateway,
    contract: Sequence[Channel],
    span: timedelta = SPAN,
    *,
    restored: bool = False,
) -> Comparison:
    """Compare what moved in the last `span`. `contract` is channels that share one book.

    `restored`: ours is a fenced copy. What it has as open or in doubt is taken over from the PG at
    once, to the last minute, and nothing is undone there. Differences are ended as the rules say, each written once. Raises StoreUnavailable; then the
    next comparison finds the same.
    """
    began = gateway.now()
    # Nothing is on its way to a fenced house; the PG's clock may be ahead of ours.
    until = began + MARGIN if restored else began - FRESH
    walk = _Walk(gateway, contract, Comparison(contract[0], began - span, until), restored)
    result = walk.result
    await walk.read_theirs(result.since - MARGIN, max(began, until))
    if result.broken is None:
        await walk.end_suspects()
        await walk.read_ours()
    channel = contract[0]
    async with gateway.store.begin() as tx:
        if result.broken is None:
            await tx.pg_books.add_comparison(
                channel.id,
                began,
                gateway.now(),
                (result.since, result.until),
                result.movements,
                len(result.differences),
            )
        else:
            if began - await tx.pg_books.compared_at(channel.id) > UNREADABLE_FOR:
                await tx.tasks.open(
                    TaskKind.BOOK_UNREADABLE,
                    str(channel.id),
                    f"Channel {channel.channel_key}: {result.broken}",
                    began,
                )
    return result


class _Walk:
    """One comparison under way."""

    def __init__(
        self,
        gateway: Gateway,
        contract: Sequence[Channel],
        result: Comparison,
        restored: bool,
    ) -> None:
        self._gateway = gateway
        self._restored = restored
        self._contract = contract
        self._ids = [channel.id for channel in contract]
        self._connector = gateway.connector_of(contract[0])
        # Two PGs may use one number for what was done at their consoles.
        self._console_prefix = f"pg{contract[0].id}-"
        self._suspects: list[BookRow] = []
        self._seen: dict[Movement, set[str]] = {movement: set() for movement in Movement}
        self._read_since = self._read_until = result.since
        self.result = result

    # --- their book, page by page ---------------------------------------------------------------

    async def read_theirs(self, since: datetime, until: datetime) -> None:
        """Read their book to its end; keep what does not agree with ours."""
        self._read_since, self._read_until = since, until
        async for rows in self._pages(since, until):
            await self._compare_page(rows)

    async def _pages(self, since: datetime, until: datetime) -> AsyncIterator[Sequence[BookRow]]:
        """Their book of this time; it ends early, and `broken` says why, when it cannot be read."""
        after: str | None = None
        while True:
            page = None
            for _ in range(PAGE_TRIES):
                page = await self._connector.book(self._contract[0], since, until, after)
                if not isinstance(page, Unknown):
                    break
            reach("compare.after_page")
            if page is None or isinstance(page, Unknown):
                self.result.broken = f"the PG's book cannot be read: {page and page.why}"
                return
            yield page.rows
            if page.after is None:
                return
            after = page.after

    async def _compare_page(self, rows: Sequence[BookRow]) -> None:
        notices = [row.reference for row in rows if row.movement is Movement.DEPOSIT]
        async with self._gateway.store.direct() as session:
            payments = await session.pg_books.payments(self._ids, [row.order_no for row in rows])
            given = await session.pg_books.cancellations([p["imp_uid"] for p in payments.values()])
            booked = await session.pg_books.deposits(self._ids, notices)
        for row in rows:
            self.result.movements += 1
            self._seen[row.movement].add(_key(row))
            payment = payments.get(row.order_no)
            paid = (
                payment is not None
                and payment["paid_at"] is not None
                and payment["pg_tid"] == row.pg_tid
            )
            match row.movement:
                case Movement.CHARGE:
                    agrees = (
                        payment is not None
                        and paid
                        and _same(row.amount, payment["amount"], payment["currency"])
                    )
                case Movement.NET_CANCEL:
                    agrees = not paid
                case Movement.CANCEL:
                    agrees = payment is not None and any(
                        _same(
                            row.amount, given.get((payment["imp_uid"], name)), payment["currency"]
                        )
                        for name in self._names_of_cancel(row)
                    )
                case Movement.DEPOSIT:
                    deposit = booked.get(row.reference)
                    agrees = (
                        deposit is not None
                        and deposit["order_no"] == row.order_no
                        and _same(row.amount, deposit["amount"], deposit["currency"])
                    )
            if not agrees and row.at < self.result.until:
                self._suspects.append(row)

    def _names_of_cancel(self, row: BookRow) -> tuple[str, str]:
        """Our number, or what a cancel of the PG's console is called here."""
        return row.reference, self._console_prefix + row.reference

    # --- what does not agree ----------------------------------------------------------------------

    async def end_suspects(self) -> None:
        """Look at every row that did not agree once more, alone, and end the difference."""
        undone = self._seen[Movement.NET_CANCEL]
        for row in self._suspects:
            if row.movement is Movement.CHARGE and row.pg_tid in undone:
                await self._undone_before(row)
                continue
            if len(self.result.differences) >= DIFFERENCES_MAX:
                self.result.broken = f"there are more than {DIFFERENCES_MAX} differences"
                return
            try:
                found = await self._end(row)
            except StoreUnavailable:
                raise
            except Exception as error:
                # One row that our rules refuse must not hide the others.
                log.exception("a row of the PG's book could not be ended: %s", row)
                self.result.broken = f"{row.movement} {row.reference}: {type(error).__name__}"
                continue
            if found is not None:
                self.result.differences.append(found)

    async def _end(self, row: BookRow) -> Difference | None:
        match row.movement:
            case Movement.CHARGE:
                return await self._end_charge(row)
            case Movement.NET_CANCEL:
                return await self._end_net_cancel(row)
            case Movement.CANCEL:
                return await self._end_cancel(row)
            case Movement.DEPOSIT:
                return await self._end_deposit(row)

    async def _end_charge(self, row: BookRow) -> Difference | None:
        payment = await self._payment_of(row)
        if payment is None or payment.step is Step.WAITING_DEPOSIT:
            return await self._tell(DifferenceKind.CHARGE_UNKNOWN, row, payment, None)
        if payment.paid_at is not None:
            if payment.pg_tid != row.pg_tid:
                return await self._tell(DifferenceKind.CHARGE_UNKNOWN, row, payment, None)
            if row.amount != payment.amount:
                return await self._tell(DifferenceKind.CHARGE_AMOUNT, row, payment, payment.amount)
            return None
        if self._restored and payment.step in (Step.OPENED, Step.APPROVING):
            return await self._take_over(row, payment)
        if payment.step is Step.APPROVING:
            # An open question: the worker ends it, or tells.
            self.result.pending += 1
            return None
        if payment.step is Step.OPENED:
            if self._gateway.now() - payment.started_at > WINDOW_LIVES:
                return await self._tell(DifferenceKind.CHARGE_UNKNOWN, row, payment, None)
            self.result.pending += 1
            return None
        return await self._end_late_charge(row, payment)

    async def _take_over(self, row: BookRow, payment: Payment) -> Difference | None:
        """It was approved after the copy was made, and stands, or was given back by a cancel."""
        channel = self._channel_of(payment)
        stands = await self._what_stands(channel, row, payment) or Approved(
            row.order_no, row.amount, row.pg_tid, row.at
        )
        if await take_over(self._gateway, channel, payment, stands) is None:
            self.result.pending += 1
            return None
        return await self._write(
            self._difference(DifferenceKind.CHARGE_LOST, row, payment, None, Ending.BOOKED)
        )

    async def _end_late_charge(self, row: BookRow, payment: Payment) -> Difference | None:
        """The PG holds money for a payment that failed here."""
        async with self._gateway.store.direct() as session:
            events = [event["event"] for event in await session.payments.history(payment.imp_uid)]
        asked = "authenticated" in events
        wanted = asked and events[-1] == "declined" and row.amount == payment.amount
        channel = self._channel_of(payment)
        if not wanted and self._restored:
            # What was decided about it since is not in the copy; the next comparison may undo it.
            return await self._tell(DifferenceKind.CHARGE_UNKNOWN, row, payment, None)
        if not wanted and Can.NET_CANCEL in self._connector.can:
            # We had decided that nothing is to be taken: that stands, and is said once more. A person is
            # told first: who dies here finds it undone next time, like everything that was undone.
            await self._tell_of_undoing(row, payment)
            undone = await self._connector.net_cancel(channel, payment.pg_order_no, UNDO_REASON)
            reach("compare.after_pg")
            if isinstance(undone, Undone):
                return await self._write(
                    self._difference(DifferenceKind.CHARGE_LATE, row, payment, None, Ending.UNDONE)
                )
        approved = await self._what_stands(channel, row, payment)
        if approved is None:
            self.result.pending += 1
            return None
        try:
            check_answer(Ticket(payment.pg_order_no, payment.amount, ""), approved)
        except AnswerMismatch:
            return await self._tell(DifferenceKind.CHARGE_AMOUNT, row, payment, None)
        if not asked:
            return await self._tell(DifferenceKind.CHARGE_UNKNOWN, row, payment, None)
        return await self._book_late(row, payment, approved)

    async def _tell_of_undoing(self, row: BookRow, payment: Payment) -> None:
        async with self._gateway.store.begin() as tx:
            await tx.tasks.open(
                TaskKind.ANSWERS_CONTRADICT,
                self._subject(row),
                f"Channel {self._contract[0].channel_key}: {row.amount.text()} of PG order"
                f" {row.order_no} are approved as {row.pg_tid} after they were given up; undone again",
                self._gateway.now(),
                imp_uid=payment.imp_uid,
            )

    async def _undone_before(self, row: BookRow) -> None:
        """Undone at the PG: ordinary, unless a comparison did it and died before it wrote that down."""
        payment = await self._payment_of(row)
        if payment is None:
            return
        async with self._gateway.store.direct() as session:
            tasks = await session.tasks.of_payment(payment.imp_uid)
            mine = (TaskKind.ANSWERS_CONTRADICT, self._subject(row))
            ours = any((task.kind, task.subject) == mine for task in tasks)
            known = await session.pg_books.known(
                self._contract[0].id, DifferenceKind.CHARGE_LATE, _key(row)
            )
        if ours and not known:
            found = self._difference(DifferenceKind.CHARGE_LATE, row, payment, None, Ending.UNDONE)
            self.result.differences.append(await self._write(found))

    def _subject(self, row: BookRow) -> str:
        """What a task about this row is called."""
        return f"{self._contract[0].id}/{_key(row)}"

    async def _what_stands(
        self, channel: Channel, row: BookRow, payment: Payment
    ) -> Approved | None:
        """The approval as it stands now: the book is older than this moment. None: it does not stand."""
        if Can.INQUIRE_ORDER not in self._connector.can:
            return Approved(row.order_no, row.amount, row.pg_tid, row.at)
        found = await self._connector.inquire(channel, payment.pg_order_no)
        reach("compare.after_pg")
        return found if isinstance(found, Approved) else None

    async def _book_late(
        self, row: BookRow, payment: Payment, approved: Approved
    ) -> Difference | None:
        async with self._gateway.store.begin() as tx:
            current = await tx.payments.lock(payment.imp_uid, payment.merchant_id)
            if current is None or current.step is not Step.FAILED:
                return None
            paid = await tx.payments.settle_late(current, approved.approved_at, approved.pg_tid)
            assert paid is not None, "the row is held, and it failed"
            await keep_key(tx, paid, approved.issued_key, self._gateway.now())
            await announce(tx, await merchant_of(tx, paid), paid)
            found = self._difference(DifferenceKind.CHARGE_LATE, row, paid, None, Ending.BOOKED)
            await self._write_in(tx, found)
            reach("compare.before_commit")
        reach("compare.after_commit")
        return found

    async def _end_net_cancel(self, row: BookRow) -> Difference | None:
        payment = await self._payment_of(row)
        if payment is None or payment.paid_at is None or payment.pg_tid != row.pg_tid:
            return None
        return await self._tell(DifferenceKind.CHARGE_UNDONE, row, payment, payment.amount)

    async def _end_cancel(self, row: BookRow) -> Difference | None:
        payment = await self._payment_of(row)
        if payment is None:
            return await self._tell(DifferenceKind.CANCEL_UNKNOWN, row, None, None)
        names = self._names_of_cancel(row)
        async with self._gateway.store.begin() as tx:
            current = await tx.payments.lock(payment.imp_uid, payment.merchant_id)
            assert current is not None, "payments are never deleted"
            booked = next((c for c in current.cancellations if c.cancellation_id in names), None)
            if booked is not None and booked.amount == row.amount:
                return None
            asked = await tx.pg_books.cancel_asked(row.reference)
            mine = asked is not None and asked["imp_uid"] == current.imp_uid
            if booked is None and asked is not None and mine and asked["state"] in _OPEN:
                self.result.pending += 1
                return None
            request = asked["request"] if asked is not None and mine else {}
            if booked is not None:
                kind, ending = DifferenceKind.CANCEL_AMOUNT, Ending.TOLD
            elif not _fits(row, current) or (
                # It may be the surplus that went back, and nothing of the payment.
                not mine and (await tx.deposits.surplus(current, ever=True)).minor
            ):
                kind, ending = DifferenceKind.CANCEL_UNKNOWN, Ending.TOLD
            else:
                kind = DifferenceKind.CANCEL_LATE if mine else DifferenceKind.CANCEL_AT_PG
                ending = Ending.BOOKED
                cancelled = Cancelled(
                    names[0] if mine else names[1], row.amount, row.pg_tid, row.at
                )
                changed = await tx.payments.cancel(
                    current,
                    cancelled,
                    str(request.get("reason", CANCEL_REASON)),
                    Money(int(request.get("tax_free", 0)), row.amount.currency),
                    None,
                )
                assert changed is not None, "the row is held, and it is paid"
                await tell_of_receipt(self._gateway, tx, changed)
                await announce(
                    tx,
                    await merchant_of(tx, changed),
                    changed,
                    cancellation=changed.cancellations[-1],
                    # i'mport announces what is cancelled at a console, and of ours what was asked.
                    enable_webhook=not mine or request.get("enable_webhook") is True,
                )
            ours = None if booked is None else booked.amount
            found = self._difference(kind, row, current, ours, ending)
            await self._write_in(tx, found)
            reach("compare.before_commit")
        reach("compare.after_commit")
        return found

    async def _end_deposit(self, row: BookRow) -> Difference | None:
        payment = await self._payment_of(row)
        async with self._gateway.store.direct() as session:
            booked = await session.deposits.find(self._ids, row.reference)
        if booked is not None:
            ours = Money(booked["amount"], booked["currency"])
            if ours == row.amount and booked["order_no"] == row.order_no:
                return None
            return await self._tell(DifferenceKind.DEPOSIT_AMOUNT, row, payment, ours)
        deposited = Deposited(
            row.reference, row.order_no, row.pg_tid, row.amount, None, deposited_at=row.at
        )
        await confirm_deposit(self._gateway, self._channel_of(payment), deposited)
        return await self._write(
            self._difference(DifferenceKind.DEPOSIT_LOST, row, payment, None, Ending.BOOKED)
        )

    # --- ours, which theirs may lack -----------------------------------------------------------

    async def read_ours(self) -> None:
        """Find what stands in our books alone."""
        result = self.result
        missing: list[tuple[Movement, Difference]] = []
        async with self._gateway.store.direct() as session:
            books = session.pg_books
            for kind, movement, ours in (
                (DifferenceKind.CHARGE_MISSING, Movement.CHARGE, books.taken),
                (DifferenceKind.CANCEL_MISSING, Movement.CANCEL, books.given_back),
                (DifferenceKind.DEPOSIT_MISSING, Movement.DEPOSIT, books.deposited),
            ):
                async for row in ours(self._ids, result.since, result.until):
                    subject = row["subject"].removeprefix(self._console_prefix)
                    if subject not in self._seen[movement]:
                        money = Money(row["amount"], row["currency"])
                        where = (subject, row["order_no"], row["imp_uid"])
                        missing.append(
                            (
                                movement,
                                Difference(kind, *where, money, None, row["at"], Ending.TOLD),
                            )
                        )
        for movement, found in missing:
            if await self._stands_elsewhere(movement, found):
                continue
            if result.broken is not None:
                return
            if len(result.differences) >= DIFFERENCES_MAX:
                result.broken = f"there are more than {DIFFERENCES_MAX} differences"
                return
            result.differences.append(await self._write(found))

    async def _stands_elsewhere(self, movement: Movement, found: Difference) -> bool:
        """Does their book have it at the time that it names? What was booked late, or written by
        another hand, may name one that was not read. Those rows are compared with nothing else."""
        margin = MARGIN / 2
        if self._read_since + margin <= found.at < self._read_until:
            return False
        async for rows in self._pages(found.at - margin, found.at + margin):
            for row in rows:
                self._seen[row.movement].add(_key(row))
        return found.subject in self._seen[movement]

    # --- hands --------------------------------------------------------------------------------

    async def _payment_of(self, row: BookRow) -> Payment | None:
        """Our payment of this order, when it went through this contract."""
        async with self._gateway.store.direct() as session:
            payment = await session.payments.get_by_pg_order(row.order_no)
        return payment if payment is not None and payment.channel_id in self._ids else None

    def _channel_of(self, payment: Payment | None) -> Channel:
        for channel in self._contract:
            if payment is not None and channel.id == payment.channel_id:
                return channel
        return self._contract[0]

    def _difference(
        self,
        kind: DifferenceKind,
        row: BookRow,
        payment: Payment | None,
        ours: Money | None,
        ending: Ending,
    ) -> Difference:
        imp_uid = None if payment is None else payment.imp_uid
        return Difference(kind, _key(row), row.order_no, imp_uid, ours, row.amount, row.at, ending)

    async def _tell(
        self, kind: DifferenceKind, row: BookRow, payment: Payment | None, ours: Money | None
    ) -> Difference:
        return await self._write(self._difference(kind, row, payment, ours, Ending.TOLD))

    async def _write(self, found: Difference) -> Difference:
        async with self._gateway.store.begin() as tx:
            await self._write_in(tx, found)
            reach("compare.before_commit")
        reach("compare.after_commit")
        return found

    async def _write_in(self, tx: Session, found: Difference) -> None:
        """Write a difference down and tell of it, once."""
        now = self._gateway.now()
        channel = self._contract[0]
        if not await tx.pg_books.add_difference(channel.id, found, now):
            return
        log.error("the books of channel %s differ: %s", channel.channel_key, found.text())
        kind = TASK_OF.get((found.kind, found.ending))
        if kind is not None:
            subject = f"{channel.id}/{found.subject}"
            sentence = f"Channel {channel.channel_key}: {found.text()}."
            await tx.tasks.open(kind, subject, sentence, now, imp_uid=found.imp_uid)


_OPEN = ("open", "unknown", "undoing")


def _key(row: BookRow) -> str:
    """What names a movement in both books."""
    by_tid = row.movement in (Movement.CHARGE, Movement.NET_CANCEL)
    return row.pg_tid if by_tid else row.reference


def _same(theirs: Money, minor: int | None, currency: str) -> bool:
    return minor is not None and theirs == Money(minor, currency)


def _fits(row: BookRow, payment: Payment) -> bool:
    """Could this much have been given back of that payment?"""
    return (
        payment.step is Step.PAID
        and row.pg_tid == payment.pg_tid
        and row.amount.currency == payment.amount.currency
        and row.amount.minor <= payment.balance.minor
    )
