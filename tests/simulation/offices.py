"""What PGs keep beside money: receipts, members, product orders, changed accounts; and the line to it.

As with money a question has a number of ours, and the same number has one effect and one answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from naru.connectors import BarcodeOrder, ChargeOrder
from naru.domain.cash_receipt import CashReceipt, ReceiptIssued, ReceiptOrder, ReceiptRevoked
from naru.domain.channel import Channel
from naru.domain.mall import Acted, OrderAct
from naru.domain.money import Money
from naru.domain.outcome import AccountIssued, CancelOrder, Declined, Outcome, Unknown
from naru.domain.point_account import PointAccount
from naru.domain.quick import QuickMember, QuickQuestion
from naru.domain.shipping import Errand, ErrandDone

if TYPE_CHECKING:
    from tests.simulation.pg import Order, Pg

NO = Declined("REFUSED", "거절")


@dataclass
class Receipt:
    """What the tax office knows of one question. `amount` in won; refused: it never was."""

    number: str
    pg_tid: str | None
    merchant_uid: str
    amount: int
    at: datetime
    refused: bool
    taken_back: bool = False
    cancels: dict[str, ReceiptRevoked | Declined] = field(default_factory=dict)

    @property
    def stands(self) -> bool:
        return not self.refused and not self.taken_back


class Offices:
    """All offices of the PGs."""

    def __init__(self, pg: Pg) -> None:
        self.pg = pg
        self.world = pg.world
        self.receipts: dict[str, Receipt] = {}
        self.members: dict[str, QuickMember] = {}
        self.pins: dict[str, str] = {}  # order number -> the member whose PIN was entered for it
        self.goods: dict[str, dict[str, int]] = {}  # order number -> what was sold, for how much
        self.back: set[str] = set()  # product orders whose money went back
        # Our number -> what became of it: an act, an errand, a question about a member.
        self.answers: dict[str, Acted | ErrandDone | QuickMember | Declined] = {}
        self.heard: Callable[[str, str], None] = lambda *_: None

    # --- receipts ---

    def issue_receipt(self, ask: ReceiptOrder) -> ReceiptIssued | Declined:
        self.heard("receipt", ask.number)
        receipt = self.receipts.get(ask.number)
        if receipt is None:
            refused = self.world.toss(0.06)
            amount, now = ask.tax.amount.minor, self.world.now()
            if self.world.garbled and self.world.toss(0.05):
                amount += 1
            receipt = Receipt(ask.number, ask.pg_tid, ask.merchant_uid, amount, now, refused)
            self.receipts[ask.number] = receipt
            self.world.count("receipts")
            self.world.note(ask.number, "PG", f"receipt of {amount}, refused: {refused}")
        if receipt.refused:
            return NO
        number = ask.number
        return ReceiptIssued(number, f"r{number}", f"a{number}", Money(receipt.amount), receipt.at)

    def revoke_receipt(self, number: str, cancel_number: str) -> ReceiptRevoked | Declined:
        self.heard("revocation", cancel_number)
        receipt = self.receipts.get(number)
        if receipt is None or receipt.refused:
            return Declined("NO_RECEIPT", "발급 내역이 없습니다.")
        if cancel_number not in receipt.cancels:
            done: ReceiptRevoked | Declined = ReceiptRevoked(cancel_number, self.world.now())
            if receipt.taken_back or self.world.toss(0.05):
                done = NO
            else:
                receipt.taken_back = True
            receipt.cancels[cancel_number] = done
            self.world.note(number, "PG", f"receipt taken back: {receipt.taken_back}")
        return receipt.cancels[cancel_number]

    # --- members, and their money ---

    def join(self, member_id: str, pin_order_no: str) -> None:
        """A person joins, and enters their PIN for one order."""
        now = self.world.now()
        self.members.setdefault(member_id, QuickMember(member_id, now, now))
        self.pins[pin_order_no] = member_id

    def use_pin(self, member_id: str, pin_order_no: str) -> bool:
        """Good for one charge, of a member."""
        return member_id in self.members and self.pins.pop(pin_order_no, None) == member_id

    def ask_about_member(self, question: QuickQuestion) -> QuickMember | Declined:
        self.heard("question", question.number)
        member = self.members.get(question.member_id)
        if question.number not in self.answers:
            if member is None or self.world.toss(0.05):
                self.answers[question.number] = NO
            else:
                self.answers[question.number] = member
                if question.kind == "delete_member":
                    del self.members[question.member_id]
        answer = self.answers[question.number]
        assert isinstance(answer, QuickMember | Declined)
        return answer

    # --- accounts that are changed ---

    def change_account(self, number: str, said: dict[str, Any]) -> ErrandDone | Declined:
        self.heard("errand", number)
        order = self.pg.order(said["order_no"])
        if number not in self.answers:
            if order.state != "account" or order.deposits or self.world.toss(0.05):
                self.answers[number] = NO
            else:
                order.asked, order.due = said["amount"], datetime.fromtimestamp(said["due"], UTC)
                self.answers[number] = ErrandDone(number, {})
                self.world.note(order.imp_uid, "PG", f"the account waits for {order.asked}")
        answer = self.answers[number]
        assert isinstance(answer, ErrandDone | Declined)
        return answer

    # --- malls ---

    def sell(self, order: Order, pieces: int) -> dict[str, int]:
        """The product orders of a payment, and what each of them cost."""
        each = max(1, order.charged // pieces)
        sold = {f"{order.number}-{n}": each for n in range(min(pieces, order.charged))}
        return self.goods.setdefault(order.number, sold)

    def may_go_back(self, order: Order, ask: CancelOrder) -> bool:
        """A product order is given back whole, and once."""
        assert ask.goods is not None
        product = ask.goods.product_order_id
        cost = self.goods.get(order.number, {}).get(product)
        return cost == ask.amount.minor and product not in self.back

    def act(self, number: str) -> Acted | Declined:
        self.heard("act", number)
        if number not in self.answers:
            self.answers[number] = NO if self.world.toss(0.05) else Acted(number)
        return self.end_act(number)

    def end_act(self, number: str) -> Acted | Declined:
        """What became of it; what did not arrive so far never will be done."""
        answer = self.answers.setdefault(number, Declined("NEVER", "요청이 없습니다."))
        assert isinstance(answer, Acted | Declined)
        return answer


class _Lines(Protocol):
    """What `SimulatedConnector` has for the lines below."""

    _pg: Pg

    async def tell(
        self, serve: Callable[[], Any], subject: str, what: str, *, again: bool = False
    ) -> Any: ...

    async def charge(
        self, order: ChargeOrder, what: str, able: Callable[[], bool] = ...
    ) -> Outcome: ...


class OfficeLines:
    """The connector's lines to the offices."""

    async def issue_receipt(
        self: _Lines, channel: Channel, order: ReceiptOrder, *, again: bool = False
    ) -> ReceiptIssued | Declined | Unknown:
        answer: ReceiptIssued | Declined | Unknown = await self.tell(
            lambda: self._pg.offices.issue_receipt(order),
            order.number,
            "asks for a receipt",
            again=again,
        )
        return answer

    async def revoke_receipt(
        self: _Lines, channel: Channel, receipt: CashReceipt, *, again: bool = False
    ) -> ReceiptRevoked | Declined | Unknown:
        answer: ReceiptRevoked | Declined | Unknown = await self.tell(
            lambda: self._pg.offices.revoke_receipt(receipt.number, receipt.cancel_number),
            receipt.number,
            "takes a receipt back",
            again=again,
        )
        return answer

    async def issue_barcode(
        self: _Lines, channel: Channel, order: BarcodeOrder
    ) -> AccountIssued | Declined | Unknown:
        answer: AccountIssued | Declined | Unknown = await self.tell(
            lambda: self._pg.issue(order.order_no, order.amount.minor, order.merchant_uid),
            order.merchant_uid,
            "asks for a barcode",
        )
        return answer

    async def approve_by_points(
        self: _Lines, channel: Channel, order: ChargeOrder, account: PointAccount
    ) -> Outcome:
        return await self.charge(order, "points")

    async def approve_by_money(
        self: _Lines, channel: Channel, order: ChargeOrder, member_id: str, pin_order_no: str
    ) -> Outcome:
        return await self.charge(
            order, "a member's money", lambda: self._pg.offices.use_pin(member_id, pin_order_no)
        )

    async def ask_about_member(
        self: _Lines, channel: Channel, question: QuickQuestion, *, again: bool
    ) -> QuickMember | Declined | Unknown:
        answer: QuickMember | Declined | Unknown = await self.tell(
            lambda: self._pg.offices.ask_about_member(question),
            question.number,
            f"asks to {question.kind}",
            again=again,
        )
        return answer

    async def run_errand(
        self: _Lines, channel: Channel, errand: Errand, *, again: bool = False
    ) -> ErrandDone | Declined | Unknown:
        answer: ErrandDone | Declined | Unknown = await self.tell(
            lambda: self._pg.offices.change_account(errand.number, errand.said),
            errand.imp_uid,
            "asks to change the account",
            again=again,
        )
        return answer

    async def act_on_order(
        self: _Lines, channel: Channel, act: OrderAct
    ) -> Acted | Declined | Unknown:
        answer: Acted | Declined | Unknown = await self.tell(
            lambda: self._pg.offices.act(act.number), act.number, f"asks to {act.act}"
        )
        return answer

    async def end_act(self: _Lines, channel: Channel, number: str) -> Acted | Declined | Unknown:
        answer: Acted | Declined | Unknown = await self.tell(
            lambda: self._pg.offices.end_act(number), number, "asks what became of it", again=True
        )
        return answer
