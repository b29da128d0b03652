"""`Imp`: one merchant at a private gateway, and everything a test may want to happen.

    def test_a_paid_order_is_fulfilled(imp, app):
        imp.webhooks.to(app)
        imp.pay("order-1", 64_900)
        imp.approve()
        assert app.orders["order-1"].paid

Verbs that move something return when it has happened: the webhooks are with the shop by then.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from naru.kit import Client
from naru.kit.types import Payment
from naru.testing.buyer import Buyer, Result, Stuck, Window
from naru.testing.postman import Webhooks

if TYPE_CHECKING:
    from naru.testing.postman import Postman
    from naru.testing.private_gateway import PrivateGateway
    from naru.testing.weather import Kind

Which = Window | str | None
"""Which payment: its window, its imp_uid, or None for the one that was opened last."""

DEFAULT_ORIGIN = "http://localhost"
LOOK_SECONDS = 0.02
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


class Refund(TypedDict, total=False):
    """Where money from a virtual account goes back to; words as in the kit's `cancel`."""

    refund_holder: str
    refund_bank: str
    refund_account: str
    refund_tel: str


class Imp:
    """A merchant of its own. What the shop under test must be configured with:

    `url` (in place of https://api.iamport.kr, and where the SDK is), `imp_key`, `imp_secret`,
    `user_code` (for `IMP.init`) and `webhook_secret`.
    """

    def __init__(
        self,
        gateway: PrivateGateway,
        postman: Postman,
        name: str,
        webhook_format: str,
        **fixed_names: Any,  # str | None each
    ) -> None:
        self._gateway = gateway
        self._postman = postman
        self._path = f"/{secrets.token_hex(8)}"
        told = gateway.ask(
            "open_shop",
            name=name,
            webhook_url=postman.url + self._path,
            webhook_format=webhook_format,
            **fixed_names,
        )
        self.url = gateway.url
        self.sandbox_url = gateway.sandbox_url
        self.user_code: str = told["user_code"]
        self.imp_key: str = told["imp_key"]
        self.imp_secret: str = told["imp_secret"]
        self.webhook_secret: str = told["webhook_secret"]
        self.webhooks = Webhooks(self.webhook_secret)
        self.client = Client(self.imp_key, self.imp_secret, base_url=self.url)
        self.time_was_moved = False
        self._buyer = Buyer(self.url, self.sandbox_url)
        self._last: Window | None = None
        self._asking = threading.RLock()
        postman.open(self._path, self.webhooks)

    def __repr__(self) -> str:
        return f"Imp(user_code={self.user_code!r}, url={self.url!r})"

    def close(self) -> None:
        """Leave the gateway: its letters to this shop are not taken any more."""
        self._postman.shut(self._path)
        self.webhooks.close()
        self._buyer.close()
        self.client.close()

    # The buyer.

    def pay(
        self,
        merchant_uid: str,
        amount: int | Decimal,
        *,
        pay_method: str = "card",
        pg: str | None = None,
        surface: str = "pc",
        origin: str = DEFAULT_ORIGIN,
        generation: str = "new",
        **param: Any,
    ) -> Window:
        """The buyer presses 결제하기: the window is open, nothing is paid yet.

        Arguments are those of `IMP.request_pay`, by their own names; `amount` in major units, as
        there. `surface` is `pc` or `mobile`, `origin` the shop's page (any loopback origin),
        `generation` `old` or `new` SDK. Raises Refused (naru.testing.buyer) when no window opens.
        """
        asked = {
            "merchant_uid": merchant_uid,
            "amount": amount,
            "pay_method": pay_method,
            "name": "주문",
            "buyer_name": "홍길동",
            "buyer_tel": "010-4242-4242",
            "digital": False,
        } | param
        if pg is not None:
            asked["pg"] = pg
        self._last = self._buyer.press_pay(
            self.user_code, asked, origin=origin, surface=surface, generation=generation
        )
        return self._last

    def approve(
        self, which: Which = None, *, card: str | None = None, scenario: str | None = None
    ) -> Result:
        """The buyer authenticates and the PG approves; what the shop's page hears.

        A virtual account is issued and waits for `deposit`. `card` is a test card's id, `scenario`
        what the PG does instead (docs/reference/sandbox.md), such as `approve_silent_done`: the
        result's state is `checking` then. Raises Stuck when the PG refuses the buyer.
        """
        window = self._window(which)
        if (form := self._authenticate(window, card, scenario)) is not None:
            self._buyer.come_back(form)
        self.settle()
        return self._buyer.hear(window)

    def decline(self, reason: str = "한도초과", which: Which = None) -> Result:
        """The PG declines; what the shop's page hears.

        `reason` is a scenario's name (`limit_exceeded`), its code, or words of its description such
        as `잔액부족`. Raises Stuck, which names the scenarios, when none fits.
        """
        window = self._window(which)
        form = self._authenticate(window, None, self._scenario(reason), refusal_is_wanted=True)
        if form is not None:
            self._buyer.come_back(form)
        self.settle()
        return self._buyer.hear(window)

    def close_window(self, which: Which = None) -> Result:
        """The buyer closes the window; what the shop's page hears."""
        window = self._window(which)
        self._buyer.close_window(window)
        self.settle()
        return self._buyer.hear(window)

    def deposit(
        self, amount: int | None = None, which: Which = None, *, depositor: str = "홍길동"
    ) -> Payment:
        """Somebody pays into the virtual account: what is asked, or any other amount, any number of
        times, also after its time (`advance`). The payment as the gateway knows it afterwards.

        `amount` is in the currency's smallest unit. `which` may be the imp_uid of an account that
        the shop's server asked for. Raises Stuck when there is no account.
        """
        payment = self.payment(which)
        if not payment.vbank_num:
            raise Stuck(f"{payment.imp_uid} has no virtual account: it is {payment.status}.")
        if amount is None:
            assert payment.amount is not None
            amount = int(payment.amount * (100 if payment.currency == "USD" else 1))
        self._buyer.deposit(payment.vbank_num, amount, depositor)
        self.settle()
        return self.payment(payment.imp_uid)

    # The merchant.

    def payment(self, which: Which = None) -> Payment:
        """The payment as the gateway knows it, by REST. Raises the kit's errors."""
        return self.client.payment(self._imp_uid(which))

    def cancel(
        self,
        amount: int | Decimal | None = None,
        which: Which = None,
        **refund: Unpack[Refund],
    ) -> Payment:
        """The merchant's staff give back this much, or all, at the gateway's console: the shop's
        server is told by a webhook, as it is not of a cancel of its own. Raises the kit's errors:
        Refused when a paid virtual account is given back without `refund_holder`, `refund_bank`
        (the bank's standard 3 digits) and `refund_account`.
        """
        payment = self.client.cancel(
            imp_uid=self._imp_uid(which),
            amount=amount,
            reason="관리자 취소",
            enable_webhook=True,
            **refund,
        )
        self.settle()
        return payment

    # Time, and the ways between.

    def advance(self, length: str | timedelta) -> datetime:
        """Later by `"90s"`, `"31m"`, `"2h"`, `"8d"`, `"1d12h"`, for gateway, PG and database, not
        for the shop; the gateway's time then. What fell due meanwhile has happened, once.

        Webhooks that are tried again after 5 s, 5 and 30 minutes are tried once by one `advance("1h")`:
        to see each attempt, advance step by step. The fixture `imp` gives the next test the true time.
        """
        seconds = read_length(length).total_seconds()
        self.time_was_moved = True
        return datetime.fromisoformat(self._ask("advance", seconds=seconds)["now"])

    def settle(self) -> datetime:
        """Wait until the gateway has nothing to do that is due; tell the shop its webhooks meanwhile.

        The gateway's time then. Verbs do this by themselves: it is for what the shop itself began.
        """
        return datetime.fromisoformat(self._ask("settle")["now"])

    @contextmanager
    def weather(
        self, kind: Kind, *, path: str = "/", times: int | None = None, seconds: float = 3.0
    ) -> Iterator[None]:
        """Bad weather between the shop's server and the gateway, inside the block: see weather.py.

        `path` narrows it (`/payments/`), `times` ends it after so many requests, `seconds` is how
        slow `slow` is.
        """
        from naru.testing.weather import KINDS

        if kind not in KINDS:
            raise Stuck(f"The weather is one of {', '.join(KINDS)}, not {kind!r}.")
        spell = self._gateway.ask("weather", kind=kind, path=path, times=times, seconds=seconds)
        try:
            yield
        finally:
            self._gateway.ask("weather", ends=spell["number"])

    # How it is done.

    def _ask(self, do: str, **particulars: Any) -> dict[str, Any]:
        """Ask the house, and be the thread in which a shop without an address is told meanwhile."""
        with self._asking:
            told = self._gateway.ask(
                do, lambda: self.webhooks.bring_waiting(LOOK_SECONDS), **particulars
            )
        self.webhooks.raise_errors()
        return told

    def _window(self, which: Which) -> Window:
        if isinstance(which, Window):
            return which
        if self._last is None or which not in (None, self._last.imp_uid):
            raise Stuck("No window is open for that: imp.pay(merchant_uid, amount) opens one.")
        return self._last

    def _imp_uid(self, which: Which) -> str:
        return which if isinstance(which, str) else self._window(which).imp_uid

    def _authenticate(
        self,
        window: Window,
        card: str | None,
        scenario: str | None,
        *,
        refusal_is_wanted: bool = False,
    ) -> dict[str, Any] | None:
        """The form with which the browser leaves the PG; None when it never came there."""
        page = self._buyer.enter(window)
        if page is None:
            return None
        if scenario is not None:
            self._buyer.choose_scenario(page, scenario)
        answer = self._buyer.authenticate(page, self._buyer.look(page), card)
        if answer.get("return_form"):
            form: dict[str, Any] = answer["return_form"]
            return form
        if refusal_is_wanted:
            return self._buyer.give_up(page)
        raise Stuck(f"The PG refuses the buyer, {answer.get('code')}: {answer.get('message')}")

    def _scenario(self, reason: str) -> str:
        rows = [
            row
            for row in self._buyer.scenarios()
            if row["code"] and row["stage"] in ("authentication", "approval")
        ]
        for row in rows:
            if reason in (row["scenario"], row["code"]):
                return str(row["scenario"])
        words = reason.replace(" ", "")
        for row in rows:
            if words and words in row["ko"].replace(" ", ""):
                return str(row["scenario"])
        known = ", ".join(f"{row['scenario']} ({row['ko']})" for row in rows)
        raise Stuck(f"No scenario declines with {reason!r}. There are: {known}")


def read_length(length: str | timedelta) -> timedelta:
    """`"31m"`, `"1d12h"` as a length of time. Raises ValueError."""
    if isinstance(length, timedelta):
        return length
    parts = _LENGTH.findall(length)
    if not parts or "".join(number + unit for number, unit in parts) != length:
        raise ValueError(
            f'a length of time is written "90s", "31m", "2h", "8d" or "1d12h", not {length!r}'
        )
    return sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in parts), timedelta())
