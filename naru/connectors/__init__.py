"""Every file in this room is a PG. Here: the contract they fill in, and the finder.

Connectors are stateless: all state lives in payments and intents. One new file is one new PG; no list
is edited, because files are found by their names.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from enum import Enum, auto
from importlib import import_module
from typing import ClassVar, Protocol

from naru.domain.billing_key import CardNumber
from naru.domain.book import BookPage
from naru.domain.cash_receipt import CashReceipt, ReceiptIssued, ReceiptOrder, ReceiptRevoked
from naru.domain.certification import (
    Certification,
    CertificationOrder,
    Certified,
    CodeOrder,
    CodeSent,
    Pending,
    WrongCode,
)
from naru.domain.channel import Channel
from naru.domain.mall import Acted, CashAmount, OrderAct, ProductOrder, Review
from naru.domain.money import Money
from naru.domain.outcome import (
    AccountIssued,
    BarcodeRead,
    CancelOrder,
    CancelOutcome,
    Declined,
    Deposited,
    EscrowChanged,
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
from naru.domain.payment import Buyer, Payment
from naru.domain.point_account import PointAccount
from naru.domain.quick import QuickMember, QuickQuestion
from naru.domain.shipping import Errand, ErrandDone
from naru.domain.wallet_order import WalletOrder
from naru.domain.window import Redirect, WindowPlan
from naru.domain.window_rules import WindowRules
from naru.domain.wish import WalletVisit, Wish
from naru.wire import Wire

KST = timezone(timedelta(hours=9))


class Can(Enum):
    """Powers of a PG. Ask what it can do, never who it is."""

    PARTIAL_CANCEL = auto()
    NET_CANCEL = auto()  # undo an approval whose answer was lost
    INQUIRE_ORDER = auto()  # look an order up by our own number
    INQUIRE_CANCEL = auto()  # look a cancel up by our own number
    REPEAT_APPROVAL = auto()  # the same question once more has one effect and the same answer
    REPEAT_CANCEL = auto()  # the same cancel once more has one effect and the same answer
    LIST_BOOK = auto()  # show its own book of movements, page by page
    ISSUE_ACCOUNT = auto()  # virtual account without a window
    CLOSE_ACCOUNT = auto()
    POINTS = auto()  # welfare points, taken by the name and password of a person
    LOOK_UP = auto()  # whose account a number is; the orders of a day at a wallet company
    QUICK_PAY = auto()  # members of a shop with a PIN and a wallet of prepaid money
    ISSUE_BARCODE = auto()  # a number that is paid at the till of a convenience store
    BILLING = auto()  # keep a card under a key of its own, and charge it by that
    REPEAT_CHARGE = auto()  # the same charge by a key once more has one effect and the same answer
    KEY_IN = auto()  # charge a card by its number, once
    CERTIFY = auto()  # show a window in which a person proves who they are
    CASH_RECEIPT = (
        auto()
    )  # tell the tax office of money; the same question once more is one receipt
    CHANGE_ACCOUNT = auto()  # give a waiting virtual account another amount and due date
    SHIP_ESCROW = auto()  # take a shipment, so that the buyer may confirm it
    SPLIT_SLIP = auto()  # put sub-shops on a sales slip
    KEEP_WISHES = auto()  # show a page on which a person keeps a shop's products in mind
    SHOW_WALLET = auto()  # show a page on which a shop's customer looks after cards and password
    MALL = auto()  # product orders with lives of their own, and what is told about orders
    CERTIFY_CODE = auto()  # the same without a window: a code, or a question in an app


@dataclass(frozen=True, slots=True)
class Lasting:
    """How long a power lasts after the question: so much time, or so many days of Korea's calendar."""

    time: timedelta | None = None
    days: int | None = None  # 2: today and tomorrow, as "today's and yesterday's orders" means

    def until(self, asked_at: datetime) -> datetime:
        """The first moment at which the power is gone; aware."""
        ends = []
        if self.time is not None:
            ends.append(asked_at + self.time)
        if self.days is not None:
            midnight = asked_at.astimezone(KST).replace(hour=0, minute=0, second=0, microsecond=0)
            ends.append(midnight + timedelta(days=self.days))
        return min(ends)


@dataclass(frozen=True, slots=True)
class WindowOrder:
    """What a PG needs to show its window for one payment. Times are aware datetimes."""

    payment: Payment
    merchant_name: str
    return_url: str
    notice_url: str
    frame_ancestors: tuple[str, ...] = ()
    rules: WindowRules = field(default_factory=WindowRules)
    account_due: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccountOrder:
    """A virtual account asked for by the merchant's server."""

    order_no: str
    amount: Money
    bank_code: str
    holder: str | None
    due: datetime
    name: str | None
    merchant_name: str
    merchant_uid: str
    notice_url: str
    buyer: Buyer = field(default_factory=Buyer)


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """A billing key asked for. `number` is ours; the same number is the same question."""

    number: str
    customer_uid: str
    merchant_name: str
    customer: Buyer = field(default_factory=Buyer)


@dataclass(frozen=True, slots=True)
class ChargeOrder:
    """Money asked for without a window. `customer_uid`: the card is to be kept under a key, too."""

    order_no: str
    amount: Money
    tax_free: Money
    name: str | None
    merchant_name: str
    merchant_uid: str
    buyer: Buyer = field(default_factory=Buyer)
    installment_months: int = 0
    interest_free: bool = False
    use_card_point: bool = False
    customer_uid: str | None = None


@dataclass(frozen=True, slots=True)
class BarcodeOrder:
    """A barcode asked for by the merchant's server; its own one, or None for the PG's."""

    order_no: str
    amount: Money
    barcode: str | None
    due: datetime | None
    ask_before: bool  # the till asks us before it takes the money
    name: str | None
    merchant_name: str
    merchant_uid: str
    notice_url: str
    buyer: Buyer = field(default_factory=Buyer)


class Connector(Protocol):
    """One PG. No method raises for anything the PG says or fails to say; doubt is Unknown."""

    can: frozenset[Can]
    # Powers of recovery that end: a net-cancel within the hour, inquiries of today and yesterday.
    lasts: ClassVar[Mapping[Can, Lasting]] = {}
    # Codes that refuse a card for what was written of it (number, expiry, password), and not its money.
    wrong_card: ClassVar[frozenset[str]] = frozenset()
    auth_token_seconds: int  # after this long an authentication cannot become an approval any more

    async def prepare(self, channel: Channel, order: WindowOrder) -> WindowPlan | Declined:
        """Where the buyer's browser goes. Declined when the PG cannot open a window now."""

    def read_return(self, channel: Channel, payment: Payment, fields: dict[str, str]) -> Return:
        """Read what the browser brought back. Raises ForgedReturn when it is not the PG's word about this payment."""

    async def approve(self, channel: Channel, ticket: Ticket) -> Outcome:
        """Take the money."""

    async def repeat(self, channel: Channel, ticket: Ticket) -> Outcome:
        """Ask the same again, with the same key: one effect, the first answer. Only with Can.REPEAT_APPROVAL.

        A repetition that did not leave, or that the PG did not take up, says nothing about the
        first question: that is Unknown, not Declined.
        """

    async def repeat_cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome:
        """Cancel with the same number again; as `repeat`. Only with Can.REPEAT_CANCEL."""

    async def net_cancel(
        self, channel: Channel, order_no: str, reason: str
    ) -> Undone | TooLate | Unknown:
        """Undo it, if it happened. Only with Can.NET_CANCEL."""

    async def inquire(self, channel: Channel, order_no: str) -> Inquired:
        """What became of this order. Only with Can.INQUIRE_ORDER."""

    async def cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome:
        """Give money back."""

    async def inquire_cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome | None:
        """What became of this cancel; None: the PG never saw it. Only with Can.INQUIRE_CANCEL."""

    async def issue_account(
        self, channel: Channel, order: AccountOrder
    ) -> AccountIssued | Declined | Unknown:
        """Issue a virtual account without a window. Only with Can.ISSUE_ACCOUNT."""

    async def close_account(self, channel: Channel, order_no: str) -> Undone | Declined | Unknown:
        """Close a waiting account. Only with Can.CLOSE_ACCOUNT."""

    async def issue_barcode(
        self, channel: Channel, order: BarcodeOrder
    ) -> AccountIssued | Declined | Unknown:
        """Issue or register a barcode, which is closed and paid as an account. Only with Can.ISSUE_BARCODE."""

    async def account_holder(
        self, channel: Channel, bank_code: str, number: str
    ) -> str | NotFound | Declined | Unknown:
        """Whose bank account this is. Only with Can.LOOK_UP, as the one below."""

    async def wallet_orders(
        self, channel: Channel, wallet: str, day: date, page: int
    ) -> tuple[WalletOrder, ...] | Declined | Unknown:
        """The orders that were begun at this wallet on a day in Korea, oldest first, a page of them."""

    async def points_left(
        self, channel: Channel, account: PointAccount
    ) -> int | Declined | Unknown:
        """How many points this person has. Only with Can.POINTS, as the one below."""

    async def approve_by_points(
        self, channel: Channel, order: ChargeOrder, account: PointAccount
    ) -> Outcome:
        """Take the money from this person's points."""

    async def ask_about_member(
        self, channel: Channel, question: QuickQuestion, *, again: bool
    ) -> QuickMember | Declined | Unknown:
        """Forget a member, or switch their FIDO off; the same number is the same question, and
        `again` says that it was asked before: what did not leave says nothing about that.
        The member as they were. Only with Can.QUICK_PAY, as the one below.
        """

    async def approve_by_money(
        self, channel: Channel, order: ChargeOrder, member_id: str, pin_order_no: str
    ) -> Outcome:
        """Take the money from a member's wallet; their PIN was entered for the order `pin_order_no`."""

    def read_scan(
        self, channel: Channel, headers: dict[str, str], body: bytes
    ) -> BarcodeRead | None:
        """The till's question; None for anything else. Raises ForgedReturn without its proof.
        `acknowledge` says yes or no. Only with Can.ISSUE_BARCODE.
        """

    async def issue_key(self, channel: Channel, order: KeyOrder, card: CardNumber) -> KeyOutcome:
        """Keep this card under a key. Only with Can.BILLING, as the three below."""

    async def inquire_key(self, channel: Channel, number: str) -> KeyOutcome | NotFound:
        """What became of the question for a key with this number."""

    async def forget_key(self, channel: Channel, number: str) -> Undone | Unknown:
        """No key of this number can be charged, now or later, even one that is still asked for."""

    async def approve_by_key(self, channel: Channel, order: ChargeOrder, key: str) -> Outcome:
        """Take the money from the card behind this key of the PG's."""

    async def approve_by_card(
        self, channel: Channel, order: ChargeOrder, card: CardNumber
    ) -> Outcome:
        """Take the money from this card. Only with Can.KEY_IN."""

    async def open_certification(
        self, channel: Channel, order: CertificationOrder
    ) -> WindowPlan | Declined:
        """Where the person's browser goes. Only with Can.CERTIFY."""

    def read_certification_return(
        self, channel: Channel, certification: Certification, fields: dict[str, str]
    ) -> Declined | None:
        """What the browser brought back. None: there is a result to ask for. Raises ForgedCertification.

        Who the person is comes from `inquire_certification` only.
        """

    async def inquire_certification(
        self, channel: Channel, number: str
    ) -> Certified | Pending | NotFound | Declined | Unknown:
        """Who it is, from the company itself. With Can.CERTIFY or Can.CERTIFY_CODE."""

    async def send_code(self, channel: Channel, order: CodeOrder) -> CodeSent | Declined | Unknown:
        """Send a code; the same number once more sends nothing. Only with Can.CERTIFY_CODE."""

    async def confirm_code(
        self, channel: Channel, number: str, code: str | None
    ) -> Certified | WrongCode | Declined | Unknown:
        """Was it this code? None: was it confirmed in the app? Only with Can.CERTIFY_CODE."""

    async def issue_receipt(
        self, channel: Channel, order: ReceiptOrder, *, again: bool = False
    ) -> ReceiptIssued | Declined | Unknown:
        """Tell the tax office; the same number is one receipt. Only with Can.CASH_RECEIPT.

        With `again`, as with `repeat`: a question that was not taken up says nothing about the first.
        """

    async def revoke_receipt(
        self, channel: Channel, receipt: CashReceipt, *, again: bool = False
    ) -> ReceiptRevoked | Declined | Unknown:
        """Take it back, by `receipt.cancel_number`. Only with Can.CASH_RECEIPT."""

    async def run_errand(
        self, channel: Channel, errand: Errand, *, again: bool = False
    ) -> ErrandDone | Declined | Unknown:
        """Tell the PG something that moves no money. Only with Can.SHIP_ESCROW, Can.SPLIT_SLIP,
        Can.CHANGE_ACCOUNT."""

    async def book(
        self, channel: Channel, since: datetime, until: datetime, after: str | None
    ) -> BookPage | Unknown:
        """What moved from `since` up to `until`, oldest first: the page behind `after`. Only with Can.LIST_BOOK."""

    async def act_on_order(self, channel: Channel, act: OrderAct) -> Acted | Declined | Unknown:
        """Tell the PG something about an order that moves no money. Only with Can.MALL, as the five below."""

    async def end_act(self, channel: Channel, number: str) -> Acted | Declined | Unknown:
        """What became of the act with this number; if nothing has, nothing will (Declined)."""

    async def product_orders(
        self, channel: Channel, order_no: str
    ) -> tuple[ProductOrder, ...] | NotFound | Unknown:
        """The product orders of one payment, in their order. `goods` of a CancelOrder gives one back."""

    async def product_order(
        self, channel: Channel, product_order_id: str
    ) -> ProductOrder | NotFound | Unknown:
        """One product order by the PG's number."""

    async def reviews(
        self, channel: Channel, since: datetime, until: datetime, *, premium: bool
    ) -> tuple[Review, ...] | Unknown:
        """What buyers wrote from `since` to `until`, oldest first."""

    async def cash_amount(
        self, channel: Channel, order_no: str
    ) -> CashAmount | Declined | NotFound | Unknown:
        """How much of a payment a cash receipt may be issued for."""

    async def open_wishes(self, channel: Channel, wishes: tuple[Wish, ...]) -> Redirect | Declined:
        """Where a person may wish for these products. Only with Can.KEEP_WISHES."""

    async def open_wallet(self, channel: Channel, visit: WalletVisit) -> Redirect | Declined:
        """Where a customer looks after their wallet. Only with Can.SHOW_WALLET."""

    def read_notice(
        self, channel: Channel, headers: dict[str, str], body: bytes
    ) -> Deposited | EscrowChanged | None:
        """Read a notice of the PG; None for one that asks nothing of us. Raises ForgedReturn without its proof."""

    def acknowledge(self, stored: bool) -> tuple[int, str, bytes]:
        """HTTP status, content type and bytes that this PG wants to hear; `stored` only after our commit."""


class UnknownConnector(LookupError):
    """A channel names a connector that this version does not have."""


def names() -> list[str]:
    """The connectors of this version."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str, wire: Wire, now: Callable[[], datetime]) -> Connector:
    """The connector of that name, speaking through this wire and reading this clock.

    Raises UnknownConnector.
    """
    if name not in names():
        raise UnknownConnector(name)
    made: Connector = import_module(f"{__name__}.{name}").connector(wire, now)
    return made
