"""The sandbox PG: a pretend company that behaves like any PG of i'mport.

One file per family of powers, all over one signed line (`line.py`). Source: docs/reference/sandbox-wire.md.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from naru.connectors import Can, Connector
from naru.connectors.sandbox.billing import Billing
from naru.connectors.sandbox.cvs import Cvs
from naru.connectors.sandbox.escrow import Escrow
from naru.connectors.sandbox.identity import Identity
from naru.connectors.sandbox.lookups import Lookups
from naru.connectors.sandbox.mall import Mall
from naru.connectors.sandbox.payments import Payments
from naru.connectors.sandbox.points import Points
from naru.connectors.sandbox.quick import Quick
from naru.connectors.sandbox.receipts import Receipts
from naru.wire import Wire


class Sandbox(
    Payments, Billing, Identity, Cvs, Points, Quick, Lookups, Receipts, Escrow, Mall, Connector
):
    """The sandbox PG. Everything can be looked up and undone, as with the best of PGs."""

    can = frozenset(Can)
    wrong_card = frozenset(["F113", "F114", "F115", "F116"])
    auth_token_seconds = 600


def connector(wire: Wire, now: Callable[[], datetime]) -> Connector:
    """The connector of this folder, for the finder."""
    return Sandbox(wire, now)
