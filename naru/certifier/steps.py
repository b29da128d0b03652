"""The language in which attacks are written: plain values, so that they can be made, shown, and shrunk.

Orders and payments are called by short names that hold within one program. A step that speaks of
what does not exist (its order was never placed, its window never opened) is passed over: any part of a
program is a program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from naru.testing.weather import Kind

Door = Literal["callback", "redirect", "webhook"]


@dataclass(frozen=True)
class Place:
    """Somebody orders at the shop; all that one person does is done with one cookie jar."""

    order: str
    amount: int
    by: str = "buyer"


@dataclass(frozen=True)
class Change:
    """The order, not paid yet, costs something else now."""

    order: str
    amount: int


@dataclass(frozen=True)
class Open:
    """`IMP.request_pay`, with whatever the page is made to say. None: what an honest page says.

    `merchant_uid` as `says` of a `Callback`. `at` the shop's merchant or the thief's own.
    """

    payment: str
    order: str
    amount: int | None = None
    currency: str | None = None
    merchant_uid: str | None = None
    method: str = "card"
    pg: str | None = None
    surface: Literal["pc", "mobile"] = "pc"
    at: Literal["shop", "thief"] = "shop"


@dataclass(frozen=True)
class Press:
    """The buyer opens the shop's own page in a browser, presses its button, and pays, or does not.

    What window.IMP is told instead: `amount`, `currency`, the number of another order (`pays_for`).
    `times` is how often the button is pressed at once. `ending`: `pays`; `leaves`, the browser is
    gone as soon as the PG has approved; `closes`, the buyer closes the window without paying.
    """

    payment: str
    order: str
    surface: Literal["pc", "mobile"] = "pc"
    amount: int | None = None
    currency: str | None = None
    pays_for: str | None = None
    times: int = 1
    ending: Literal["pays", "leaves", "closes"] = "pays"


@dataclass(frozen=True)
class Approve:
    """The buyer authenticates; the PG does what `scenario` says, or approves."""

    payment: str
    scenario: str | None = None


@dataclass(frozen=True)
class Decline:
    """The PG declines."""

    payment: str
    reason: str = "limit_exceeded"


@dataclass(frozen=True)
class Close:
    """The buyer closes the window."""

    payment: str


@dataclass(frozen=True)
class Deposit:
    """Money into the virtual account; None: all that is asked."""

    payment: str
    amount: int | None = None


@dataclass(frozen=True)
class Refund:
    """The shop's staff give money back at the gateway's console; None: all that is left."""

    payment: str
    amount: int | None = None


@dataclass(frozen=True)
class CloseAccount:
    """The shop's staff close the virtual account, which nobody has paid into."""

    payment: str


@dataclass(frozen=True)
class Callback:
    """The page tells the shop's server. None: what an honest page says.

    `claims` names another order; `says` is the merchant_uid word for word, with `{order}` for the
    number and `{ORDER}` for it in the other case; `imp_uid` the same, with `{imp_uid}`.
    """

    payment: str
    claims: str | None = None
    says: str | None = None
    imp_uid: str | None = None


@dataclass(frozen=True)
class Redirect:
    """The browser comes to m_redirect_url with this query; as `Callback`."""

    payment: str
    claims: str | None = None
    says: str | None = None
    imp_uid: str | None = None
    success: bool = True


@dataclass(frozen=True)
class Webhook:
    """The gateway's own webhooks of this payment reach the shop, in the order they were sent.

    `status` picks one of them, also one that was brought before; `times` brings each so often.
    """

    payment: str
    status: str | None = None
    times: int = 1


@dataclass(frozen=True)
class Reword:
    """From now on the gateway's webhooks of this payment come as others of it do, signed as ever.

    `fields`: with keys that nobody had heard of; `event`: around a change of escrow; `headers`: with
    another User-Agent, a charset, and header names in capitals.
    """

    payment: str
    how: Literal["fields", "event", "headers"]


@dataclass(frozen=True)
class Lose:
    """Webhooks of this payment never arrive."""

    payment: str


@dataclass(frozen=True)
class Forge:
    """A webhook from a stranger about this payment, saying `status`; otherwise as `Callback`.

    `signature`: `none`; `wrong`, by another secret; `stolen`, of a true webhook with another body.
    `address` is where it says that it comes from; `form` whether it is form-encoded (None: as the
    gateway's own webhooks are).
    """

    payment: str
    claims: str | None = None
    says: str | None = None
    imp_uid: str | None = None
    status: str = "paid"
    signature: Literal["none", "wrong", "stolen"] = "none"
    address: str | None = None
    form: bool | None = None


@dataclass(frozen=True)
class Throw:
    """Bytes that are no news at all, at one of the shop's doors."""

    door: Door
    body: str
    content_type: str = "application/json"


@dataclass(frozen=True)
class Together:
    """All of these at once, each in a line of its own."""

    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Weather:
    """Bad weather between shop and gateway, until `Calm` (see naru/testing/weather.py)."""

    kind: Kind
    path: str = "/"
    times: int | None = None
    seconds: float = 3.0


@dataclass(frozen=True)
class Calm:
    """The weather is fine again."""


@dataclass(frozen=True)
class Advance:
    """Time goes on, for gateway and PG."""

    length: str


@dataclass(frozen=True)
class Sweep:
    """The shop's cron job runs."""


Step = (
    Place
    | Change
    | Open
    | Press
    | Approve
    | Decline
    | Close
    | Deposit
    | Refund
    | CloseAccount
    | Callback
    | Redirect
    | Webhook
    | Reword
    | Lose
    | Forge
    | Throw
    | Together
    | Weather
    | Calm
    | Advance
    | Sweep
)
Program = tuple[Step, ...]
