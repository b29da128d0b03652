"""A PG with a book of its own, and the connector that speaks to it over the simulated network.

Its word is the truth that our books are compared with. What it can do about doubts differs, as it
does among real PGs (RELIABILITY 2.3); which kind a merchant has is decided by the seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from naru.connectors import AccountOrder, Can, ChargeOrder, KeyOrder, Lasting, WindowOrder
from naru.domain.billing_key import CardNumber, IssuedKey
from naru.domain.channel import Channel
from naru.domain.errors import ForgedReturn, NoAnswer, NotSent
from naru.domain.money import Money
from naru.domain.outcome import (
    Abandoned,
    AccountIssued,
    Approved,
    Authenticated,
    Cancelled,
    CancelOrder,
    CancelOutcome,
    Declined,
    Deposited,
    Inquired,
    KeyOutcome,
    NotFound,
    Outcome,
    Return,
    Ticket,
    TooLate,
    Undone,
    Unknown,
)
from naru.domain.payment import Card, Payment, VirtualAccount
from naru.domain.window import Redirect, WindowPlan
from tests.simulation.loop import PROCESS
from tests.simulation.offices import OfficeLines, Offices
from tests.simulation.world import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

ALWAYS = frozenset(
    {
        *(Can.PARTIAL_CANCEL, Can.ISSUE_ACCOUNT, Can.CLOSE_ACCOUNT, Can.BILLING, Can.KEY_IN),
        *(Can.CASH_RECEIPT, Can.ISSUE_BARCODE, Can.CHANGE_ACCOUNT, Can.MALL),
        *(Can.POINTS, Can.QUICK_PAY),
    }
)
HOUR = Lasting(time=timedelta(hours=1))
TWO_DAYS = Lasting(days=2)
# After the PGs of RELIABILITY 2.3 that are like them. Name -> (powers, how long they last).
KINDS: dict[str, tuple[frozenset[Can], dict[Can, Lasting]]] = {
    "all": (
        frozenset(Can) - {Can.LIST_BOOK},
        {},
    ),
    "repeat": (
        ALWAYS | {Can.REPEAT_APPROVAL, Can.REPEAT_CANCEL, Can.INQUIRE_ORDER, Can.REPEAT_CHARGE},
        {},
    ),
    "repeat_only": (ALWAYS | {Can.REPEAT_APPROVAL, Can.REPEAT_CANCEL}, {}),
    "net_cancel": (
        ALWAYS | {Can.NET_CANCEL, Can.REPEAT_CANCEL},
        {Can.NET_CANCEL: HOUR},
    ),
    "net_cancel_inquire": (ALWAYS | {Can.NET_CANCEL, Can.INQUIRE_CANCEL}, {}),
    "inquire": (ALWAYS | {Can.INQUIRE_ORDER, Can.INQUIRE_CANCEL}, {}),
    "inquire_soon": (
        ALWAYS | {Can.INQUIRE_ORDER, Can.INQUIRE_CANCEL, Can.NET_CANCEL},
        {Can.INQUIRE_ORDER: TWO_DAYS, Can.NET_CANCEL: TWO_DAYS},
    ),
    "nothing": (ALWAYS, {}),
}
TOKEN_SECONDS = 600
ANSWER_SECONDS = 12.0
LONG_AGO = timedelta(seconds=TOKEN_SECONDS)
CARD = CardNumber.read("4518421234567811", "2049-12", "880101", "00")


@dataclass
class Order:
    """What the PG knows of one of our order numbers. Amounts in minor units."""

    number: str
    imp_uid: str
    asked: int
    method: str
    token: str = ""
    token_dies: datetime | None = None
    state: str = "none"  # none, charged, refused, undone, account, closed
    charged: int = 0
    tid: str = ""
    at: datetime | None = None
    due: datetime | None = None  # when its account is closed
    given_back: dict[str, int] = field(default_factory=dict)
    refused_cancels: set[str] = field(default_factory=set)
    deposits: list[Deposited] = field(default_factory=list)

    @property
    def net(self) -> int:
        """What the PG holds for us: charged or deposited, less what was given back."""
        return self.charged + sum(d.amount.minor for d in self.deposits) - self.back

    @property
    def back(self) -> int:
        return sum(self.given_back.values())


class Pg:
    """All PGs of the world: their orders by number."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.orders: dict[str, Order] = {}
        self.by_tid: dict[str, Order] = {}
        self.keys: dict[str, str] = {}  # our number for a key -> live, refused, forgotten
        self.kind_of: dict[str, str] = {}
        self.asked: Callable[[str, str, Order | None], None] = lambda *_: None
        self.moved: Callable[[Order], None] = lambda _: None
        self.out_until = 0.0
        self.offices = Offices(self)
        self._tids = 0

    def order(self, number: str) -> Order:
        return self.orders.setdefault(number, Order(number, "", 0, "card"))

    def authenticate(self, payment: Payment) -> dict[str, str]:
        """The buyer proves who they are; the form that the browser takes back."""
        order = self.order(payment.pg_order_no)
        order.imp_uid, order.asked, order.method = payment.imp_uid, payment.amount.minor, "card"
        if payment.pay_method == "vbank":
            order.method = "vbank"
        order.token = f"t{self.world.rng.getrandbits(64):016x}"
        order.token_dies = self.world.now() + timedelta(seconds=TOKEN_SECONDS)
        return {
            "order": order.number,
            "token": order.token,
            "proof": self.proof(order.number, order.token),
        }

    @staticmethod
    def proof(number: str, token: str) -> str:
        """Only the PG can write it, and forgers guess."""
        return f"signed {number} {token}"

    # --- questions, as they arrive ---

    def approve(self, number: str, amount: int, token: str, kind: str) -> Any:
        order = self.order(number)
        self.asked("approve", number, order)
        if order.state in ("charged", "account"):
            if Can.REPEAT_APPROVAL in KINDS[kind][0]:
                return self._approved(order)
            return Unknown("a duplicate")
        if order.state == "undone":
            return Declined("UNDONE", "취소된 주문입니다.")
        if order.state == "refused":
            return Declined("REFUSED", "한도초과")
        now = self.world.now()
        if token != order.token or order.token_dies is None or now > order.token_dies:
            return Declined("TOKEN", "인증 정보가 유효하지 않습니다.")
        order.token = ""
        if self.world.toss(0.06):
            order.state = "refused"
            return Declined("REFUSED", "한도초과")
        self._name(order)
        if order.method == "vbank":
            order.state = "account"
        else:
            order.state = "charged"
            order.charged = amount
            if self.world.garbled and self.world.toss(0.02):
                order.charged = amount + 1
                self.world.count("wrong amounts")
            self.moved(order)
        self.world.note(order.imp_uid, "PG", f"{order.state} {order.charged}")
        return self._approved(order)

    def issue(self, number: str, amount: int, imp_uid: str) -> Any:
        order = self.order(number)
        if order.state == "none":
            order.imp_uid, order.asked, order.method = imp_uid, amount, "vbank"
        self.asked("approve", number, order)
        if order.state == "undone":
            return Declined("UNDONE", "취소된 주문입니다.")
        if order.state == "none":
            self._name(order)
            order.state = "account"
        return self._approved(order)

    def charge(
        self,
        number: str,
        amount: int,
        subject: str,
        what: str,
        able: Callable[[], bool],
        keep: bool,
    ) -> Any:
        """Money without a window, of what is `able` to pay; a card may be kept."""
        order = self.order(number)
        self.asked("approve", number, order)
        if order.state == "undone":
            return Declined("UNDONE", "취소된 주문입니다.")
        if order.state == "refused":
            return Declined("REFUSED", "한도초과")
        if order.state == "none":
            order.imp_uid, order.asked, order.method = subject, amount, "card"
            if self.world.toss(0.06) or not able():
                order.state = "refused"
                return Declined("REFUSED", "한도초과")
            self._name(order)
            order.state, order.charged = "charged", amount
            if self.world.garbled and self.world.toss(0.02):
                order.charged = amount + 1
                self.world.count("wrong amounts")
            if keep:
                self.keys[number] = "live"
            self.moved(order)
            self.world.note(subject, "PG", f"charged {order.charged} by {what}")
        return self._approved(order)

    def keep_card(self, number: str) -> KeyOutcome:
        if number not in self.keys:
            self.keys[number] = "refused" if self.world.toss(0.06) else "live"
        return self.kept(number)

    def kept(self, number: str) -> KeyOutcome:
        if self.keys[number] != "live":
            return Declined("REFUSED", "카드사 거절")
        return IssuedKey(number, f"key-{number}", Card("366", "신한카드", "451842******7811"))

    def inquire_key(self, number: str) -> KeyOutcome | NotFound:
        return self.kept(number) if number in self.keys else NotFound()

    def forget_key(self, number: str) -> Undone:
        self.keys[number] = "forgotten"
        return Undone()

    def _name(self, order: Order) -> None:
        self._tids += 1
        order.tid = f"tid{self._tids:08d}"
        order.at = self.world.now()
        self.by_tid[order.tid] = order

    def _approved(self, order: Order) -> Outcome:
        assert order.at is not None
        if order.method == "vbank":
            account = VirtualAccount(
                bank_code="004",
                bank_name="국민은행",
                number=f"9{order.tid[3:]}",
                holder="나루",
                due=order.due or order.at + timedelta(hours=1),
                issued_at=order.at,
            )
            return AccountIssued(order.number, Money(order.asked), order.tid, account)
        issued = self.kept(order.number) if order.number in self.keys else None
        return Approved(
            order.number,
            Money(order.charged),
            order.tid,
            order.at,
            issued_key=issued if isinstance(issued, IssuedKey) else None,
        )

    def net_cancel(self, number: str, kind: str) -> Any:
        order = self.order(number)
        self.asked("net_cancel", number, order)
        lasting = KINDS[kind][1].get(Can.NET_CANCEL)
        if lasting and order.at and self.world.now() >= lasting.until(order.at):
            return TooLate("TOO_LATE")
        if order.given_back and order.state == "charged" and "net" not in order.given_back:
            return TooLate("PARTLY_CANCELLED")
        if order.deposits:
            return TooLate("DEPOSITED")
        if order.state == "charged" and order.net:
            order.given_back["net"] = order.charged
            self.moved(order)
        order.state = "undone"
        if number in self.keys:
            self.keys[number] = "forgotten"
        self.world.note(order.imp_uid, "PG", "undone")
        return Undone()

    def inquire(self, number: str, kind: str) -> Any:
        order = self.orders.get(number)
        if order is None or order.state == "none":
            return NotFound()
        match order.state:
            case "charged" | "account":
                return self._approved(order)
            case "refused":
                return Declined("REFUSED", "한도초과")
            case "closed":
                return self._approved(order)
        return Undone()

    def cancel(self, ask: CancelOrder, kind: str) -> Any:
        order = self.by_tid.get(ask.pg_tid)
        self.asked("cancel", ask.cancel_no, order)
        if order is None:
            return Declined("NO_TID", "거래가 없습니다.")
        if ask.cancel_no in order.given_back:
            if Can.REPEAT_CANCEL in KINDS[kind][0]:
                return self._cancelled(order, ask.cancel_no)
            return Unknown("a duplicate")
        if ask.cancel_no in order.refused_cancels:
            return Declined("REFUSED", "취소 불가")
        # The guard of remaining amounts: whoever counts on another balance is refused.
        wrong = ask.balance_before.minor != order.net
        if ask.goods is not None:
            wrong = wrong or not self.offices.may_go_back(order, ask)
        if wrong or self.world.toss(0.04):
            order.refused_cancels.add(ask.cancel_no)
            return Declined("BALANCE", "취소 가능 금액이 다릅니다.")
        if ask.goods is not None:
            self.offices.back.add(ask.goods.product_order_id)
        order.given_back[ask.cancel_no] = ask.amount.minor
        self.moved(order)
        self.world.note(order.imp_uid, "PG", f"gave back {ask.amount.minor}")
        return self._cancelled(order, ask.cancel_no)

    def _cancelled(self, order: Order, number: str) -> Cancelled:
        money = Money(order.given_back[number])
        return Cancelled(number, money, f"{order.tid}c", self.world.now())

    def inquire_cancel(self, ask: CancelOrder, kind: str) -> Any:
        order = self.by_tid.get(ask.pg_tid)
        if order is None:
            return None
        if ask.cancel_no in order.given_back:
            return self._cancelled(order, ask.cancel_no)
        if ask.cancel_no in order.refused_cancels:
            return Declined("REFUSED", "취소 불가")
        return None

    def close(self, number: str, kind: str) -> Any:
        order = self.order(number)
        self.asked("close_account", number, order)
        if order.deposits:
            return Declined("DEPOSITED", "이미 입금된 계좌입니다.")
        order.state = "closed"
        return Undone()

    def deposit(self, order: Order, amount: int, at: datetime | None = None) -> Deposited:
        """Money arrives in the account of this order, if it is open; the notice that tells of it."""
        number = len(order.deposits) + 1
        told = Deposited(
            f"{order.tid}-{number}",
            order.number,
            order.tid,
            Money(amount),
            "홍길동",
            at or self.world.now(),
        )
        order.deposits.append(told)
        self.moved(order)
        self.world.note(order.imp_uid, "PG", f"deposit of {amount}")
        return told


class SimulatedConnector(OfficeLines):
    """`naru.connectors.Connector`, speaking to the simulated PG."""

    auth_token_seconds = TOKEN_SECONDS

    def __init__(self, pg: Pg, kind: str) -> None:
        self._pg = pg
        self._world = pg.world
        self._kind = kind
        self.can, self.lasts = KINDS[kind]

    async def _ask(self, serve: Callable[[], Any], subject: str, what: str) -> Any:
        """What the PG says; NotSent and NoAnswer are raised."""
        world = self._world
        process = PROCESS.get()
        now = world.loop._now
        cut = isinstance(process, Process) and process.cut_from_pg > now
        if self._pg.out_until > now:
            cut = True
        answer = await world.ask(
            serve, seconds=ANSWER_SECONDS, subject=subject, what=what, cut=cut, think=0.4
        )
        if world.garbled and world.toss(world.garbled):
            world.count("garbage")
            return Unknown("garbage")
        return answer

    async def tell(
        self, serve: Callable[[], Any], subject: str, what: str, *, again: bool = False
    ) -> Any:
        """The same; silence is Unknown. What was not sent is refused, unless it was asked before."""
        try:
            return await self._ask(serve, subject, what)
        except NotSent as error:
            return Unknown(str(error)) if again else Declined("NOT_SENT", str(error))
        except NoAnswer as error:
            return Unknown(str(error))

    def _subject(self, order_no: str) -> str:
        order = self._pg.orders.get(order_no)
        return "" if order is None else order.imp_uid

    async def prepare(self, channel: Channel, order: WindowOrder) -> WindowPlan | Declined:
        return Redirect("https://pg.example/window")

    def read_return(self, channel: Channel, payment: Payment, fields: dict[str, str]) -> Return:
        if fields.get("gave_up") == payment.pg_order_no:
            return Abandoned("USER_CANCEL", "사용자가 결제를 취소하였습니다.")
        number, token = fields.get("order", ""), fields.get("token", "")
        if number != payment.pg_order_no or fields.get("proof") != self._pg.proof(number, token):
            raise ForgedReturn("not this PG's word about this payment")
        return Authenticated(token)

    async def approve(self, channel: Channel, ticket: Ticket) -> Outcome:
        return await self._approve(ticket, "asks to approve", again=False)

    async def repeat(self, channel: Channel, ticket: Ticket) -> Outcome:
        return await self._approve(ticket, "asks to approve again", again=True)

    async def _approve(self, ticket: Ticket, what: str, *, again: bool) -> Outcome:
        number, amount = ticket.order_no, ticket.amount.minor
        return await self.tell(  # type: ignore[no-any-return]
            lambda: self._pg.approve(number, amount, ticket.token, self._kind),
            self._subject(number),
            what,
            again=again,
        )

    async def net_cancel(
        self, channel: Channel, order_no: str, reason: str
    ) -> Undone | TooLate | Unknown:
        return await self.tell(  # type: ignore[no-any-return]
            lambda: self._pg.net_cancel(order_no, self._kind),
            self._subject(order_no),
            "asks to net-cancel",
            again=True,
        )

    async def inquire(self, channel: Channel, order_no: str) -> Inquired:
        return await self.tell(  # type: ignore[no-any-return]
            lambda: self._pg.inquire(order_no, self._kind),
            self._subject(order_no),
            "inquires",
            again=True,
        )

    async def cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome:
        known = self._pg.by_tid.get(order.pg_tid)
        return await self.tell(  # type: ignore[no-any-return]
            lambda: self._pg.cancel(order, self._kind),
            "" if known is None else known.imp_uid,
            f"asks to cancel {order.amount.minor}",
        )

    async def repeat_cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome:
        return await self.tell(  # type: ignore[no-any-return]
            lambda: self._pg.cancel(order, self._kind), "", "asks to cancel again", again=True
        )

    async def inquire_cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome | None:
        return await self.tell(  # type: ignore[no-any-return]
            lambda: self._pg.inquire_cancel(order, self._kind),
            "",
            "inquires about a cancel",
            again=True,
        )

    async def issue_account(
        self, channel: Channel, order: AccountOrder
    ) -> AccountIssued | Declined | Unknown:
        return await self.tell(  # type: ignore[no-any-return]
            lambda: self._pg.issue(order.order_no, order.amount.minor, order.merchant_uid),
            order.merchant_uid,
            "asks for an account",
        )

    async def approve_by_key(self, channel: Channel, order: ChargeOrder, key: str) -> Outcome:
        return await self.charge(order, key, lambda: self._pg.keys.get(key[4:]) == "live")

    async def approve_by_card(
        self, channel: Channel, order: ChargeOrder, card: CardNumber
    ) -> Outcome:
        return await self.charge(order, "card")

    async def charge(
        self, order: ChargeOrder, what: str, able: Callable[[], bool] = lambda: True
    ) -> Outcome:
        keep = order.customer_uid is not None
        number, amount, subject = order.order_no, order.amount.minor, order.merchant_uid
        return await self.tell(  # type: ignore[no-any-return]
            lambda: self._pg.charge(number, amount, subject, what, able, keep),
            subject,
            f"asks to charge {what}",
        )

    async def issue_key(self, channel: Channel, order: KeyOrder, card: CardNumber) -> KeyOutcome:
        return await self.tell(  # type: ignore[no-any-return]
            lambda: self._pg.keep_card(order.number), order.customer_uid, "asks for a key"
        )

    async def inquire_key(self, channel: Channel, number: str) -> KeyOutcome | NotFound:
        return await self.tell(  # type: ignore[no-any-return]
            lambda: self._pg.inquire_key(number), "", "inquires about a key", again=True
        )

    async def forget_key(self, channel: Channel, number: str) -> Undone | Unknown:
        return await self.tell(  # type: ignore[no-any-return]
            lambda: self._pg.forget_key(number), "", "forgets a key", again=True
        )

    async def close_account(self, channel: Channel, order_no: str) -> Undone | Declined | Unknown:
        return await self.tell(  # type: ignore[no-any-return]
            lambda: self._pg.close(order_no, self._kind),
            self._subject(order_no),
            "asks to close the account",
            again=True,
        )

    def acknowledge(self, stored: bool) -> tuple[int, str, bytes]:
        return (200, "text/plain", b"OK") if stored else (400, "text/plain", b"NO")
